"""From a spec file to Kubernetes objects, for every verb that needs them."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyball.catalog import DEFAULT_RELEASE
from flyball.cli.planning import Planned, planned
from flyball.cli.spec_file import read_spec
from flyball.errors import UsageError
from flyball.gateway import DnsEndpoints, GatewaySettings, bootstrap
from flyball.gateway import to_yaml as gateway_yaml
from flyball.manifests import Because, Concern, Manifest, ServiceDesign, concerns, render, side_files
from flyball.manifests.design import ENGINE_PORT, GATEWAY_ADMIN_PORT, GATEWAY_METRICS_PORT, GATEWAY_PORT
from flyball.planning import Derived, Plan, PlanOutcome
from flyball.spec import ServingSpec

LEAST_STREAM_S = 30
"""A shorter answer is no reason to hurry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A spec's objects; without a plan there are none, and the outcome says why."""

    spec: ServingSpec
    outcome: PlanOutcome
    design: ServiceDesign | None = None
    manifests: tuple[Manifest, ...] = ()
    side_files: Mapping[str, str] = field(default_factory=dict)
    """By name, what is no Kubernetes object."""
    concerns: tuple[Concern, ...] = ()

    @property
    def plan(self) -> Plan | None:
        return self.outcome.plan


def rendered(path: Path, *, catalog: Path | None = None, vllm: str | None = None) -> Rendered:
    """Plan the spec in `path` and render its objects. UsageError for a spec that no object can express.

    `vllm` None: the version that kubernetes.image says, else the newest.
    """
    made = planned(path, catalog=catalog, vllm=engine_version(read_spec(path), vllm))
    plan = made.outcome.plan
    if plan is None:
        return Rendered(spec=made.spec, outcome=made.outcome)
    design = service_design(made, plan)
    key = api_key(made.spec)
    return Rendered(
        spec=made.spec,
        outcome=made.outcome,
        design=design,
        manifests=render(design, gateway_bootstrap=gateway_bootstrap(design, key), api_key=key),
        side_files=side_files(design),
        concerns=concerns(design),
    )


def engine_version(spec: ServingSpec, asked: str | None) -> str:
    """UsageError where the image is of another version than was asked for: its flags and metrics would be others."""
    tag = re.search(r":v?(\d+\.\d+\.\d+)", spec.kubernetes.image or "")
    if asked is not None and tag is not None and tag[1] != asked.removeprefix("v"):
        raise UsageError(
            f"kubernetes.image is vLLM {tag[1]}, and --vllm asks for {asked}", fix="change one, or leave --vllm out"
        )
    return asked or (tag[1] if tag else DEFAULT_RELEASE)


def service_design(made: Planned, plan: Plan) -> ServiceDesign:
    """The plan as the objects need it."""
    spec, chosen = made.spec, plan.chosen
    start_up = spec.kubernetes.start_up
    rental = chosen.tariff.rental
    return ServiceDesign(
        spec=spec,
        release=made.release,
        engine_args={name: _because(flag) for name, flag in chosen.engine.items()},
        max_num_seqs=chosen.budget.settings.max_num_seqs,
        weights_bytes=plan.weights_bytes,
        accelerator=plan.accelerator,
        gpus_per_replica=plan.tensor_parallel_size,
        machine=plan.machine,
        on_demand_floor=plan.spot_replicas_above,
        min_replicas=_because(chosen.replicas.min),
        max_replicas=_because(chosen.replicas.max),
        typical_replicas=chosen.typical.replicas,
        target=_because(chosen.replicas.target),
        start_s=_because(chosen.start_s) if start_up is None else Because(start_up, "kubernetes.start_up, as measured"),
        longest_stream_s=longest_stream(spec, plan),
        on_demand_usd_per_hour=None if rental.on_demand is None else rental.on_demand.price_usd_per_hour,
        spot_usd_per_hour=None if rental.spot is None else rental.spot.price_usd_per_hour,
    )


def longest_stream(spec: ServingSpec, plan: Plan) -> Because:
    """Seconds that the longest answer takes within the objective, or as predicted at the peak where it has no bound."""
    if spec.kubernetes.longest_stream is not None:
        return Because(math.ceil(spec.kubernetes.longest_stream), "kubernetes.longest_stream, given in the spec")
    bounds = spec.slo.request_bounds()
    peak = plan.chosen.peak.latency.quantiles_s
    if "tpot" not in bounds and "e2e" in bounds:
        seconds, reason = bounds["e2e"], "what the objective allows a whole answer"
    else:
        tokens = max(plan.demand.traffic.output_tokens)
        tpot_s = bounds.get("tpot", peak["tpot", 99].value)
        ttft_s = bounds.get("ttft", peak["ttft", 99].value)
        seconds = ttft_s + tokens * tpot_s
        reason = f"the longest answer, {tokens:,} tokens, takes {seconds:.0f} s at {tpot_s * 1000:.0f} ms a token"
    rounded = max(LEAST_STREAM_S, math.ceil(seconds / 5) * 5)
    return Because(rounded, f"{reason} (kubernetes.longest_stream overrides)")


def api_key(spec: ServingSpec) -> str | None:
    """The key that the environment holds; UsageError where the spec names a variable that is not set."""
    name = spec.gateway.api_key_env
    if name is None:
        return None
    key = os.environ.get(name)
    if not key:
        raise UsageError(
            f"gateway.api_key_env: the environment variable {name} is not set",
            fix=f"export {name}=...: the key becomes part of two Secrets",
        )
    return key


def gateway_bootstrap(design: ServiceDesign, key: str | None) -> str:
    """Envoy's configuration in the cluster: the local one with other addresses, and replicas found by name."""
    gateway = design.spec.gateway
    settings = GatewaySettings(
        host="0.0.0.0",
        port=GATEWAY_PORT,
        admin_port=GATEWAY_ADMIN_PORT,
        metrics_port=GATEWAY_METRICS_PORT,
        idle_timeout_s=gateway.idle_timeout,
        max_pending=gateway.max_pending,
        retries=gateway.retries,
        api_key=key,
    )
    replicas = DnsEndpoints(name=design.engine_host, port=ENGINE_PORT)
    return gateway_yaml(bootstrap(settings, endpoints=replicas, access_log="/dev/stdout"))


def _because(derived: Derived[Any]) -> Because:
    return Because(derived.value, derived.reason)
