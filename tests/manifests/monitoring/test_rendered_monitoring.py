"""The rendered rules and panels: on every release, readable by Prometheus and by lint, and of metrics that exist."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from flyball.catalog import RELEASES
from flyball.lint.promql import parse_promql, selectors
from flyball.manifests.dashboard import dashboard
from flyball.manifests.dashboard_rows import dashboard_rows
from flyball.manifests.dcgm import ADDED_FIELDS, FIELDS, counters_csv, dcgm_exporter_values
from flyball.manifests.exporters import DCGM, KUBE_STATE
from flyball.manifests.manifest import unwrapped
from flyball.manifests.monitoring import asked_metrics
from flyball.manifests.prometheus_rules import rule_file, rule_groups
from flyball.manifests.promql import Vector
from flyball.manifests.rules import Alert, Record
from flyball.manifests.scraping import engine_monitor, gateway_monitor
from flyball.manifests.watch import Watch

DATA = Path(__file__).parent / "data"
WatchOn = Callable[[str], Watch]
Promtool = Callable[..., str]
LATER_THAN_0_31 = {"VllmRequestsRejected"}


def monitors(watch: Watch) -> tuple[dict[str, Any], dict[str, Any]]:
    labels = {"app.kubernetes.io/instance": "chat"}
    asked = asked_metrics(watch)
    return (
        engine_monitor(watch.series, selector=labels, labels=labels, asked=asked),
        gateway_monitor(watch.series, selector=labels, labels=labels, asked=asked),
    )


def queries(watch: Watch) -> Iterator[Vector]:
    """Every one of rules and panels."""
    yield from (rule.query for group in rule_groups(watch) for rule in group.rules)
    yield from (line.query for row in dashboard_rows(watch) for panel in row.panels for line in panel.lines)


@pytest.mark.parametrize("version", RELEASES)
def test_every_release_has_rules_that_prometheus_takes(version: str, watch_on: WatchOn, promtool: Promtool) -> None:
    """What a release lacks is left out, not rendered: the rest stays, and promtool finds no mistake."""
    watch = watch_on(version)
    alerts = {rule.name for group in rule_groups(watch) for rule in group.rules if isinstance(rule, Alert)}
    newest = {rule.name for group in rule_groups(watch_on("0.33.0")) for rule in group.rules if isinstance(rule, Alert)}

    assert newest - alerts == (set() if version in ("0.32.0", "0.33.0") else LATER_THAN_0_31)
    assert "SUCCESS" in promtool("check", "rules", "rules.yaml", rules=rule_file(watch))


@pytest.mark.parametrize("version", ["0.26.0", "0.33.0"])
def test_lint_reads_the_same_metrics_in_every_query(version: str, watch_on: WatchOn) -> None:
    """The text that is rendered asks for what the pieces asked for, of this service alone."""
    for query in queries(watch_on(version)):
        expression = parse_promql(query.text)
        assert expression is not None, query.text
        read = list(selectors(expression))
        assert {each.name for each in read} == query.metrics, query.text
        for selector in read:
            matchers = {each.label: each.value for each in selector.matchers}
            scope = matchers.get("namespace") or matchers.get("exported_namespace")
            assert scope == "llm" or selector.name == "kube_node_spec_taint", query.text
            assert any("chat" in value for label, value in matchers.items() if label != "namespace") or scope is None


def test_alerts_tell_what_to_do(watch: Watch) -> None:
    """Each has a summary that names only labels it has, a meaning, and a runbook of at least a step."""
    for group in rule_groups(watch):
        for rule in group.rules:
            if isinstance(rule, Alert):
                named = set(re.findall(r"\$labels\.(\w+)", rule.summary + rule.meaning))
                assert named <= rule.query.labels, rule.name
                assert all((rule.summary, rule.meaning, *rule.runbook)), rule.name
                assert len(rule.summary) <= 120, rule.name


def test_records_are_named_as_prometheus_asks(watch: Watch) -> None:
    """level:metric:operation, and no record twice with the same labels."""
    records = [rule for group in rule_groups(watch) for rule in group.rules if isinstance(rule, Record)]

    assert all(re.fullmatch(r"service:[a-z0-9_]+:[a-z0-9_]+", record.record) for record in records)
    assert len({(record.record, *record.labels.items()) for record in records}) == len(records)


def test_what_is_recorded_is_what_is_asked_for(watch: Watch) -> None:
    """No query asks for a record that no rule makes, and no load is recorded that nobody asks for."""
    made = {rule.record for group in rule_groups(watch) for rule in group.rules if isinstance(rule, Record)}
    asked = {metric for metric in asked_metrics(watch) if metric.startswith("service:")}

    assert asked == made


def kept(monitor: Mapping[str, Any], samples: list[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """What is left after the monitor's metricRelabelings; regular expressions are anchored, as Prometheus' are."""
    for rule in unwrapped(monitor["spec"])["podMetricsEndpoints"][0]["metricRelabelings"]:
        matches = [re.fullmatch(rule["regex"], each.get(rule["sourceLabels"][0], "")) is not None for each in samples]
        wanted = rule["action"] == "keep"
        samples = [each for each, match in zip(samples, matches, strict=True) if match == wanted]
    return samples


def test_relabelling_bounds_the_series_and_loses_none_that_is_asked_for(watch: Watch) -> None:
    """Of what a vLLM 0.32 exports at most six in ten series stay, and every metric that is asked for among them."""
    text = (Path(__file__).parents[2] / "catalog" / "data" / "vllm-0.32.0-metrics.txt").read_text()
    samples = [
        {"__name__": re.split(r"[{ ]", line)[0]} for line in text.splitlines() if line and not line.startswith("#")
    ]
    left = kept(monitors(watch)[0], list(samples))
    lost = {each["__name__"] for each in samples} - {each["__name__"] for each in left}

    assert len(left) < 0.6 * len(samples)
    assert not lost & asked_metrics(watch)


def test_kube_state_metrics_has_what_is_asked_for() -> None:
    """Names, types and labels are those of its own list."""
    listed = {each["name"]: each for each in yaml.safe_load((DATA / "kube-state-metrics.yaml").read_text())}

    assert KUBE_STATE.keys() == listed.keys()
    for name, metric in KUBE_STATE.items():
        assert metric.type == listed[name]["type"].lower()
        assert set(metric.labels) <= set(listed[name]["labels"])


def test_the_exporter_is_told_to_export_what_is_asked_for(watch: Watch) -> None:
    """The counters file has every field of the queries, none twice, three columns a line; the values parse as such."""
    rows = [line.split(", ") for line in counters_csv().splitlines() if not line.startswith("#")]
    names = [row[0] for row in rows]

    assert all(len(row) == 3 and row[1] in ("gauge", "counter", "label") for row in rows)
    assert len(set(names)) == len(names)
    assert {metric for metric in asked_metrics(watch) if metric.startswith("DCGM_")} <= DCGM.keys() <= set(names)
    assert not {field[0] for field in FIELDS} & {field[0] for field in ADDED_FIELDS}
    operator = unwrapped(dcgm_exporter_values("gpu-operator", monitor_labels={"release": "p"}))
    assert operator["dcgmExporter"]["config"]["data"] == counters_csv()


def test_the_dashboard_is_one_that_grafana_and_people_can_read(watch: Watch) -> None:
    """Unique ids and titles, no panel over another, and each with a unit, a description and queries with letters."""
    board = dashboard(watch)
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in board["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(board["uid"]) <= 40
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len({panel["title"] for panel in board["panels"]}) == len(board["panels"])
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0, panel["title"]
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_legends_name_labels_that_are_there(watch: Watch) -> None:
    """A legend with a label that the query drops would be empty."""
    for row in dashboard_rows(watch):
        for panel in row.panels:
            for line in panel.lines:
                assert set(re.findall(r"{{(\w+)}}", line.legend)) <= line.query.labels, panel.title
