"""All rules, by theme, in the order in which the rule page shows them."""

from flyball.lint.finding import RuleInfo
from flyball.lint.reading import BROKEN, DUPLICATE, SKIPPED
from flyball.lint.rule import Rule
from flyball.lint.rules import (
    autoscaling,
    capacity,
    disruption,
    drain,
    engine_flags,
    image,
    metrics_queries,
    probes,
    rollout,
    scheduling,
    security,
    service,
    signals,
    storage,
)
from flyball.lint.suppression import UNKNOWN_SUPPRESSION

THEMES: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("Scaling signals", signals.RULES),
    ("Autoscalers", autoscaling.RULES),
    ("Metrics and queries", metrics_queries.RULES),
    ("Draining", drain.RULES),
    ("Probes", probes.RULES),
    ("Rollouts", rollout.RULES),
    ("Engine flags", engine_flags.RULES),
    ("Memory", capacity.RULES),
    ("Image", image.RULES),
    ("Scheduling", scheduling.RULES),
    ("Storage", storage.RULES),
    ("Security", security.RULES),
    ("Disruption", disruption.RULES),
    ("Services and monitors", service.RULES),
)

RULES: tuple[Rule, ...] = tuple(rule for _, rules in THEMES for rule in rules)

DOCUMENT_RULES: tuple[RuleInfo, ...] = (BROKEN, DUPLICATE, SKIPPED, UNKNOWN_SUPPRESSION)
"""What reading the documents finds by itself."""

RULE_INFOS: tuple[RuleInfo, ...] = (*(rule.info for rule in RULES), *DOCUMENT_RULES)
