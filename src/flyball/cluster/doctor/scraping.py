"""Does Prometheus answer, and does it have the series of every engine under the labels that the query asks for?"""

from collections.abc import Iterator, Sequence

from flyball.cluster.doctor.expected import ExpectedService, ScalingQuery
from flyball.cluster.doctor.facts import ClusterFacts, Sample
from flyball.cluster.doctor.questions import coverage, dcgm_query, matches, selector_text, spread
from flyball.cluster.doctor.reading import name, named, namespace, place, selects, table
from flyball.cluster.doctor.resource import POD_MONITORS, PODS, PROMETHEUSES
from flyball.cluster.doctor.service_pods import ready_engines
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, dig
from flyball.lint.promql import Selector

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label that the API server gives every namespace."""


def check_prometheus(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """An address is known, and something answers PromQL there."""
    known = facts.prometheus
    if known is None:
        return Checked(answer="not asked", is_known=False)
    if not known.address:
        fix = "--prometheus URL, for example of a `kubectl port-forward`"
        answered = "none: neither the scaler nor a Prometheus object in the cluster names it"
        return Checked(answer="", symptoms=[broken("Prometheus", asked="an address", answered=answered, fix=fix)])
    if known.error:
        elsewhere = [each for each in facts.of(PROMETHEUSES) if f".{namespace(each)}." not in f"{known.address}."]
        fix = known.fix
        if elsewhere:
            usual = f"http://prometheus-operated.{namespace(elsewhere[0])}.svc:9090"
            fix += f"; {place(elsewhere[0])} is at {usual} (kubernetes.prometheus in the spec)"
        asked = f"an instant query at {known.address}"
        return Checked(answer="", symptoms=[broken("Prometheus", asked=asked, answered=known.error, fix=fix)])
    return Checked(answer=f"{known.address} answers")


def check_scraped(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Each PodMonitor has targets that are up, and each series of the scaling query is there once for each engine."""
    pods = [name(pod) for pod in ready_engines(facts, expected)]
    if not pods:
        return Checked(answer="no engine is Ready, so none has metrics", is_known=False)
    monitors = () if POD_MONITORS in facts.unread else expected.of("PodMonitor")
    symptoms = [symptom for monitor in monitors for symptom in _monitor_symptoms(facts, monitor)]
    if not any(symptom.severity == "error" for symptom in symptoms):  # otherwise there is the cause already
        for query in expected.queries:
            for selector in query.selectors:
                symptoms += _series_symptoms(facts, query, selector, pods)
    unique = list(dict.fromkeys(symptoms))
    return Checked(answer=f"{len(pods)} Ready engines, each with the series of the scaling query", symptoms=unique)


def _monitor_symptoms(facts: ClusterFacts, monitor: PlainObject) -> Iterator[Symptom]:
    live = named(facts.of(POD_MONITORS), name(monitor))
    if live is None:
        fix = "`flyball apply` creates it"
        yield broken(place(monitor), asked="the PodMonitor", answered="not there", fix=fix)
        return
    known = None if facts.prometheus is None else facts.prometheus.targets
    if known is None:
        return
    pool = f"podMonitor/{namespace(monitor)}/{name(monitor)}/"
    mine = [target for target in known if target.pool.startswith(pool)]
    down = [target for target in mine if target.health == "down"]
    asked = f"targets of {pool.rstrip('/')} in Prometheus"
    if not mine:
        answered, fix = _why_not_selected(facts, live)
        yield broken(place(monitor), asked=asked, answered=answered, fix=fix)
    for target in down:
        pod = target.labels.get("pod", "?")
        symptom = broken if len(down) == len(mine) else risky
        fix = "let Prometheus reach the port: is it in the namespace that the NetworkPolicy lets in?"
        yield symptom(place(monitor), asked=asked, answered=f"{pod} is down: {target.last_error}", fix=fix)


def _why_not_selected(facts: ClusterFacts, monitor: PlainObject) -> tuple[str, str]:
    """(answered, fix): which selector of which Prometheus passes the monitor over."""
    servers = facts.of(PROMETHEUSES)
    for server in servers:
        wanted = dig(server, "spec", "podMonitorSelector")
        spaces = dig(server, "spec", "podMonitorNamespaceSelector")
        own = namespace(server) == namespace(monitor)
        if not (own if spaces is None else selects(spaces, {_NAMESPACE_NAME: namespace(monitor)})):
            answered = (
                f"none: podMonitorNamespaceSelector of {place(server)} passes namespace {namespace(monitor)} over"
            )
            return answered, f"podMonitorNamespaceSelector: {{}} on {place(server)}, or label the namespace for it"
        if wanted is None or not selects(wanted, table(monitor, "metadata", "labels")):
            asks = ", ".join(f"{key}={value}" for key, value in table(wanted, "matchLabels").items()) or "nothing"
            answered = f"none: podMonitorSelector of {place(server)} selects {asks}"
            return answered, "give the PodMonitor that label, or set podMonitorSelector: {} there"
    if PROMETHEUSES in facts.unread:
        return (
            "none (this user may not list Prometheus objects, which would tell more)",
            "look at their podMonitorSelector",
        )
    if not servers:
        return (
            "none, and there is no Prometheus object",
            "is this Prometheus run by the operator? Only then it reads PodMonitors",
        )
    return "none", "the PodMonitor's selector or port matches no pod; wait half a minute after it was created"


def _series_symptoms(
    facts: ClusterFacts, query: ScalingQuery, selector: Selector, pods: Sequence[str]
) -> Iterator[Symptom]:
    found = facts.answer(coverage(selector))
    asked = f"series {selector_text(selector)}"
    if found.error:
        yield broken("Prometheus", asked=asked, answered=found.error, fix="--debug, and ask Prometheus by hand")
    elif not found.samples:
        answered, fix = _why_empty(facts.answer(spread(selector)).samples, selector)
        yield broken("Prometheus", asked=asked, answered=answered, fix=fix)
    else:
        yield from _coverage_symptoms(facts, query, asked, found.samples, pods)


def _why_empty(series: Sequence[Sample], selector: Selector) -> tuple[str, str]:
    """(answered, fix): whether there is no such series at all, or which matcher leaves none."""
    if not series:
        return (
            f"none; no series is called {selector.name}",
            "is the engine scraped, and does it run without --disable-log-stats?",
        )
    number = int(sum(sample.value for sample in series))
    for matcher in selector.matchers:
        there = sorted({sample.labels.get(matcher.label, "") for sample in series})
        if not any(matches(matcher, value) for value in there):
            shown = ", ".join(value or "(missing)" for value in there[:4])
            return (
                f"none; {number} of that name, and the label {matcher.label} is {shown}",
                f"relabel in the PodMonitor, or ask for the {matcher.label} that is there",
            )
    return (
        f"none; {number} of that name, none with all the labels at once",
        "another service's series: is this scraped?",
    )


def _coverage_symptoms(
    facts: ClusterFacts, query: ScalingQuery, asked: str, found: Sequence[Sample], pods: Sequence[str]
) -> Iterator[Symptom]:
    by_pod = {sample.labels.get("pod", ""): sample.value for sample in found}
    if set(by_pod) == {""}:
        symptom = broken if query.per_pod else risky
        fix = "scrape through a PodMonitor: it sets namespace and pod"
        yield symptom("Prometheus", asked=asked, answered="without the label pod", fix=fix)
        return
    missing = [pod for pod in pods if pod not in by_pod]
    if missing:
        symptom = broken if len(missing) == len(pods) else risky
        answered = (
            f"{len(found)} series, none of {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} Ready"
        )
        fix = "wait for two scrapes after a start; then look at that target's error in Prometheus"
        yield symptom("Prometheus", asked=asked, answered=answered, fix=fix)
    twice = [sample for sample in found if sample.value > 1]
    if twice:
        pod, times = twice[0].labels.get("pod", "?"), int(twice[0].value)
        fix = (
            "scrape the engines once: a second monitor, a scrape annotation, or an undeduplicated replica of Prometheus"
        )
        answered = f"{pod} {times} times: the query sums what it has {times} times over"
        yield broken("Prometheus", asked=asked, answered=answered, fix=fix)
    there = {name(pod) for pod in facts.of(PODS)}
    gone = sorted(pod for pod in by_pod if pod and pod not in there)
    if gone:
        fix = "something re-exports engines' metrics (a router, a push gateway): exclude it from the query"
        yield risky("Prometheus", asked=asked, answered=f"also of {', '.join(gone[:4])}, which are no pods", fix=fix)


def check_dcgm(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Every field of the DCGM exporter that the rules and dashboards use has a series."""
    fields = expected.dcgm_fields
    if not fields:
        return Checked(answer="no rule and no dashboard asks for a field")
    found = facts.answer(dcgm_query(fields))
    if found.error:
        return Checked(answer=found.error, is_known=False)
    there = {sample.labels.get("__name__", "") for sample in found.samples}
    missing = [field for field in fields if field not in there]
    if not missing:
        return Checked(answer=f"all {len(fields)} fields are there")
    fix = "add them to the exporter's counters (many DCGM_FI_PROF_ and all DCGM_EXP_ fields are off by default)"
    answered = f"{', '.join(missing)} missing"
    if len(missing) == len(fields):
        answered = "none of them"
        fix = "let Prometheus scrape the DCGM exporter: its serviceMonitor on, with labels that Prometheus selects"
    symptom = risky("Prometheus", asked=f"{len(fields)} DCGM fields", answered=answered, fix=fix)
    return Checked(answer="", symptoms=[symptom])
