"""Rules about what an autoscaler looks at: a signal that follows the load, and a target that it can reach."""

from collections.abc import Iterator

from flyball.lint.command import Flag
from flyball.lint.engine import Engine
from flyball.lint.image import parse_image
from flyball.lint.manifests import Scaling
from flyball.lint.metric_names import metric_of
from flyball.lint.pods import PodTemplate, same_namespace
from flyball.lint.promql import Binary, Expression, Number, selectors, walk
from flyball.lint.query import Query
from flyball.lint.rule import Hit, InContext, Rule, context_rule, query_rule, scaling_rule
from flyball.lint.scaler import Signal
from flyball.lint.series import COUNTING, bare_selectors, statistic, yields_one_series

TOLERANCE = 1.1
"""An HPA acts when the metric is more than 10% above its target."""
MOST_SEQS = 1024
"""The largest default of --max-num-seqs (GPUs with 70 GiB or more)."""
_HPA_LAW = "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details"
_KEDA_PROMETHEUS = "https://keda.sh/docs/latest/scalers/prometheus/"
_LABELS_OF_BOTH = frozenset({"namespace", "cluster"})
"""Labels that scraping gives to the router's series as well."""
_OWN_LABELS = frozenset({"engine", "le", "finished_reason", "reason", "source", "__name__"})
_FLAWED = {
    "cpu": "the CPU of a GPU engine says nothing about its load: one thread spins, the rest waits",
    "memory": "vLLM takes its memory when it starts and keeps it",
    "gpu_util": "GPU_UTIL is near 100% whenever any kernel runs, with 1 request or 200",
    "gpu_memory": "FB_USED is flat: vLLM allocates the KV cache when it starts",
}


@scaling_rule(
    "error",
    finds="a signal that does not follow an LLM's load",
    why="the autoscaler stays where it is or runs to its maximum, whatever the users feel",
    reference="https://cloud.google.com/kubernetes-engine/docs/best-practices/machine-learning/inference/autoscaling",
)
def blind_signal(scaling: Scaling) -> Iterator[Hit]:
    for signal in scaling.scaler.signals:
        for measure in sorted(signal.measures & _FLAWED.keys()):
            at = signal.named
            fix = "scale on vllm:num_requests_running + vllm:num_requests_waiting"
            yield Hit(at=at, says=_FLAWED[measure], fix=fix, evidence=signal.metric)


@scaling_rule(
    "warning",
    finds="an autoscaler that looks at waiting requests only",
    why="waiting is 0 until a replica is full, and the HPA then proposes the minimum: busy replicas without a"
    " queue are scaled down",
    reference=f"{_HPA_LAW}; llm-d guides/workload-autoscaling",
)
def waiting_only(scaling: Scaling) -> Iterator[Hit]:
    if scaling.scaler.measures == {"waiting"}:
        at = scaling.scaler.signals[0].named
        says = "waiting requests are the only signal: with an empty queue the proposal is 0 replicas, whatever runs"
        fix = "scale on the sum of vllm:num_requests_running and vllm:num_requests_waiting"
        yield Hit(at=at, says=says, fix=fix)


@scaling_rule(
    "error",
    finds="a target that the signal can never exceed",
    why="the replica rejects or refuses to batch more before the autoscaler would act: it never scales up",
    reference=f"{_HPA_LAW}; vllm/config/scheduler.py",
)
def target_unreachable(scaling: Scaling) -> Iterator[Hit]:
    for signal in scaling.scaler.signals if scaling.engine and not scaling.scaler.has_formula else ():
        limit = most_per_replica(signal, scaling.engine) if scaling.engine else None
        target = signal.target_value
        if limit is None or target is None or signal.target_type != "AverageValue" or target * TOLERANCE < limit[0]:
            continue
        reachable, because = limit
        says = (
            f"a replica can show {reachable:g} at most ({because}); a target of {target:g} acts above"
            f" {target * TOLERANCE:g}"
        )
        yield Hit(at=signal.target, says=says, fix=f"a target well below {reachable / TOLERANCE:g}")


def most_per_replica(signal: Signal, engine: Engine) -> tuple[float, str] | None:
    """The largest value of a signal in one replica and what limits it; None if nothing known does."""
    numbers = [each for each in walk(signal.expression) if isinstance(each, Number)] if signal.expression else []
    if any(each.value for each in numbers) or not signal.measures <= {"waiting", "running"}:
        return None
    ranks, queue, sequences = engine.count("data_parallel_size"), engine.flag("max_num_queued_reqs"), _batch(engine)
    running = (sequences.number or MOST_SEQS) * ranks if sequences else float(MOST_SEQS * ranks)
    shown = sequences.written if sequences else f"the largest default of --max-num-seqs is {MOST_SEQS}"
    if signal.measures == {"running"}:
        return running, shown
    if queue is None or queue.number is None:
        return None
    if signal.measures == {"waiting"}:
        return queue.number, queue.written
    return running + queue.number, f"{shown}, {queue.written}"


def _batch(engine: Engine) -> Flag | None:
    flag = engine.flag("max_num_active_seqs") or engine.flag("max_num_seqs")
    return flag if flag and flag.number else None


def _divided_by_replicas(query: Query) -> bool:
    """Whether the result is divided by a target per replica: `AverageValue` outside of a Pods metric."""
    if query.signal is None or query.scaler is None or query.scaler.has_formula:
        return False
    return query.signal.target_type == "AverageValue"


@query_rule(
    "error",
    finds="a percentile under metricType AverageValue",
    why="the percentile is divided by the target without regard to how many replicas run: no latency asks for many",
    reference=f"{_KEDA_PROMETHEUS}; {_HPA_LAW}",
)
def percentile_average_value(query: Query) -> Iterator[Hit]:
    if query.expression and query.signal and _divided_by_replicas(query) and statistic(query.expression) == "quantile":
        target = query.signal.target_value or 1.0
        says = f"desired = ceil(percentile / {target:g}): a percentile of {2 * target:g} asks for 2 replicas, ever"
        yield Hit(at=query.node, says=says, fix="metricType: Value, which multiplies by the replicas that run")


@query_rule(
    "error",
    finds="an average or a maximum over replicas under metricType AverageValue",
    why="the HPA divides the result by the target as if it were a total: more load on every replica asks for no more",
    reference=f"{_KEDA_PROMETHEUS}; {_HPA_LAW}",
)
def averaged_twice(query: Query) -> Iterator[Hit]:
    kind = statistic(query.expression) if query.expression else ""
    if query.signal and kind in ("avg", "max", "min") and _divided_by_replicas(query):
        target = query.signal.target_value or 1.0
        says = f"desired = ceil({kind} / {target:g}): 4 replicas at {2 * target:g} each ask for 2"
        yield Hit(at=query.node, says=says, fix="sum(...), or metricType: Value")


@query_rule(
    "error",
    finds="a total under metricType Value",
    why="the HPA multiplies the replicas by total / target: each new replica makes it ask for more, up to the maximum",
    reference=f"{_KEDA_PROMETHEUS}; {_HPA_LAW}",
)
def total_as_value(query: Query) -> Iterator[Hit]:
    if not query.expression or not query.signal or query.signal.target_type != "Value":
        return
    if statistic(query.expression) == "sum" and query.signal.measures <= {"waiting", "running"}:
        target = query.signal.target_value or 1.0
        says = f"desired = replicas x total / {target:g}: a total of {2 * target:g} takes 2 replicas to 4, then to 8"
        yield Hit(at=query.node, says=says, fix="metricType: AverageValue, the default")


@query_rule(
    "error",
    finds="a KEDA query that yields several series",
    why="KEDA fails with 'returned multiple elements' as soon as a second pod exists, and does not scale",
    reference=_KEDA_PROMETHEUS,
)
def several_series(query: Query) -> Iterator[Hit]:
    if query.origin == "trigger" and query.expression and not yields_one_series(query.expression):
        says = "the query yields one series for each pod and engine; KEDA takes one"
        yield Hit(at=query.node, says=says, fix="sum(...) over the pods, without by()")


@query_rule(
    "warning",
    finds="a scaling query that no label confines",
    why="it counts every vLLM of every namespace, and of other models: one team's load scales another's replicas",
    reference=_KEDA_PROMETHEUS,
)
def unscoped_query(query: Query) -> Iterator[Hit]:
    if query.origin != "trigger" or not query.expression:
        return
    for selector in selectors(query.expression):
        if selector.name.startswith("vllm:") and not {each.label for each in selector.matchers} - _OWN_LABELS:
            says = f"{selector.name} is not confined to a namespace or a model"
            fix = f'{selector.name}{{namespace="...", model_name="..."}}'
            yield Hit(at=query.node, says=says, fix=fix, evidence=selector.name)
            return


@query_rule(
    "error",
    finds="a counter used as if it were a gauge",
    why="a counter only grows: the autoscaler runs to its maximum, the alert never ends",
    reference="https://prometheus.io/docs/concepts/metric_types/#counter",
)
def counter_without_rate(query: Query) -> Iterator[Hit]:
    if query.origin == "dashboard" or not query.expression:
        return
    compared = _compared(query.expression) if query.origin == "alert" else query.expression
    for selector in bare_selectors(compared, COUNTING) if compared else ():
        metric = metric_of(query.versions[0], selector.name)
        if metric is None or selector.is_range:
            continue
        if metric.type == "counter" or (metric.type == "histogram" and selector.name != metric.name):
            says = f"{selector.name} is a counter, and nothing takes its rate"
            yield Hit(at=query.node, says=says, fix=f"rate({selector.name}[1m])", evidence=selector.name)


def _compared(expression: Expression) -> Expression | None:
    """The side of an alert's outermost comparison that is compared with a number."""
    if isinstance(expression, Binary) and expression.operator in (">", ">=", "<", "<=", "==", "!="):
        return expression.left if isinstance(expression.right, Number) else None
    return None


@query_rule(
    "error",
    finds="a threshold in percent for a metric that is a ratio",
    why="kv_cache_usage_perc runs from 0 to 1 despite its name: the threshold is never reached",
    reference="vllm/v1/metrics/loggers.py",
)
def ratio_as_percent(query: Query) -> Iterator[Hit]:
    if not query.expression:
        return
    names = {each.name for each in selectors(query.expression)}
    if not names or not all("cache_usage_perc" in name for name in names):
        return
    threshold = _threshold(query)
    if threshold is not None and threshold > 1:
        says = f"{sorted(names)[0]} is at most 1, the threshold is {threshold:g}"
        at = query.signal.target if query.signal else query.node
        yield Hit(at=at, says=says, fix=f"{threshold / 100:g}" if threshold <= 100 else "0.9")


def _threshold(query: Query) -> float | None:
    """What the ratio itself is compared with; None if arithmetic stands between."""
    inner = query.expression
    if query.signal is None:
        compared = _compared(inner) if inner else None
        if compared is None or not isinstance(inner, Binary) or not isinstance(inner.right, Number):
            return None
        number, inner = inner.right.value, compared
    else:
        number = query.signal.target_value or 0.0
    scaled = inner is None or any(
        isinstance(each, Binary) and (isinstance(each.left, Number) or isinstance(each.right, Number))
        for each in walk(inner)
    )
    return None if scaled else number


@context_rule(
    "error",
    finds="a scaling query that counts the router's metrics too",
    why="the production-stack router exports the engines' gauges again under the same names: the sum counts twice",
    reference="vllm-project/production-stack, src/vllm_router/services/metrics_service",
)
def router_counted_too(each: InContext) -> Iterator[Hit]:
    routers = [pod for pod in each.manifests.pods if same_namespace(pod.object, each.object) and _is_router(pod)]
    for query in each.manifests.queries if routers else ():
        if query.scaler not in each.engine.scalers or not query.expression:
            continue
        for selector in selectors(query.expression):
            labels = {matcher.label for matcher in selector.matchers}
            if selector.name.startswith("vllm:num_requests_") and labels <= _LABELS_OF_BOTH:
                router = routers[0].object
                says = f"the router of {router.kind} {router.name} exports {selector.name} too"
                fix = f'{selector.name}{{model_name="..."}}: the router\'s series have no model_name'
                yield Hit(at=query.node, says=says, fix=fix, within=query.object, evidence=selector.name)
                break


def _is_router(pod: PodTemplate) -> bool:
    images = [parse_image(container.at("image").text).repository for container in pod.containers]
    return any("vllm-router" in image or "lmstack-router" in image for image in images)


RULES: tuple[Rule, ...] = (
    blind_signal,
    waiting_only,
    target_unreachable,
    percentile_average_value,
    averaged_twice,
    total_as_value,
    several_series,
    unscoped_query,
    counter_without_rate,
    ratio_as_percent,
    router_counted_too,
)
