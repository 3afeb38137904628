"""Recording rules: what is asked often, over long windows, or by rules that need its history."""

from flyball.manifests.latency import objectives
from flyball.manifests.objective_rules import misses
from flyball.manifests.promql import Vector, clamp, rate, total
from flyball.manifests.queries import RUNNING, WAITING, bridged, scaling_signal
from flyball.manifests.rules import Group, Record
from flyball.manifests.watch import ReplicaPrice, Watch

REQUESTS_RUNNING = "service:vllm_requests_running:sum"
REQUESTS_WAITING = "service:vllm_requests_waiting:sum"
SCALING_SIGNAL = "service:vllm_scaling_signal:sum"
OUTPUT_TOKENS = "service:vllm_generation_tokens:rate5m"
PROMPT_TOKENS = "service:vllm_prompt_tokens:rate5m"
USD_PER_HOUR = "service:replica_usd_per_hour:estimate"


def records(watch: Watch) -> tuple[Group, ...]:
    series = watch.series
    load = [
        Record(record=REQUESTS_RUNNING, query=total(bridged(series.engine(RUNNING)))),
        Record(record=REQUESTS_WAITING, query=total(bridged(series.engine(WAITING)))),
        Record(record=SCALING_SIGNAL, query=scaling_signal(watch.signal, series)),
        Record(record=OUTPUT_TOKENS, query=total(rate(series.engine("vllm:generation_tokens_total"), "5m"))),
        Record(record=PROMPT_TOKENS, query=total(rate(series.engine("vllm:prompt_tokens_total"), "5m"))),
    ]
    if watch.price is not None:
        load.append(Record(record=USD_PER_HOUR, query=usd_per_hour(watch, watch.price)))
    shares = [record for objective in objectives(watch.slo, series.release) for record in misses(objective, series)]
    return (
        Group(name=f"{series.name}-load", rules=tuple(load)),
        Group(name=f"{series.name}-objective", rules=tuple(shares)),
    )


def usd_per_hour(watch: Watch, price: ReplicaPrice) -> Vector:
    """Every replica that exists costs, loading ones too: their nodes are paid for."""
    replicas = watch.series.deployments("kube_deployment_status_replicas")
    if price.spot_usd_per_hour is None:
        return replicas * price.on_demand_usd_per_hour
    steady = clamp(replicas, high=price.on_demand_floor)
    on_spot = clamp(replicas - price.on_demand_floor, low=0)
    return steady * price.on_demand_usd_per_hour + on_spot * price.spot_usd_per_hour
