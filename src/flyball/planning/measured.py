"""Whether the spec's `measured` record holds for a configuration, and why not. Pure."""

from dataclasses import dataclass

from flyball.planning.configuration import Configuration
from flyball.planning.demand import Demand
from flyball.planning.sizing import Engine
from flyball.spec import SLO, MeasuredSpec, ServingSpec

SAME_TOKENS = 0.1
"""Mean lengths that differ by less (a share) are the same workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The record, and what becomes of it for one configuration."""

    record: MeasuredSpec
    ignored: str | None
    """Why it says nothing here; None: it stands in place of the model's rate."""
    model_rate: float | None = None
    """Requests per second that the model says, where the record is used."""

    @property
    def text(self) -> str:
        """In one line."""
        record = self.record
        about = f"{record.requests_per_s:.3g} req/s (± {record.error:.0%}) of {record.run}, {record.date}"
        if self.ignored is not None:
            return f"measured {about}, is ignored: {self.ignored}"
        return f"measured: {about}, vLLM {record.vllm}; the model says {self.model_rate:.3g}"


def mismatch(
    record: MeasuredSpec,
    *,
    spec: ServingSpec,
    demand: Demand,
    configuration: Configuration,
    engine: Engine,
    vllm: str,
) -> str | None:
    """The first thing in which the record differs from what is planned; None if there is none."""
    pairs: list[tuple[str, object, object]] = [
        ("model", record.model, spec.model.id),
        ("accelerator", record.accelerator, configuration.accelerator.name),
        ("tensor_parallel_size", record.tensor_parallel_size, configuration.tensor_parallel_size),
        ("vLLM", record.vllm, vllm),
        ("objective", _objective(record.slo), _objective(spec.slo)),
    ]
    flags = {name: flag.value for name, flag in engine.items()}
    names = [*record.flags, *(["quantization"] if "quantization" in flags else [])]
    pairs += [(name, record.flags.get(name, "unset"), flags.get(name, "unset")) for name in names]
    for name, then, now in pairs:
        if then != now:
            return f"measured with {name} {then}, planned with {now}"
    for name, tokens, mean in (
        ("prompts", record.prompt_tokens, demand.mean_prompt_tokens),
        ("outputs", record.output_tokens, demand.mean_output_tokens),
    ):
        if abs(tokens - mean) > SAME_TOKENS * mean:
            return f"measured with {name} of {tokens:.0f} tokens, the mean; the workload's have {mean:.0f}"
    return None


def _objective(slo: SLO) -> str:
    return ", ".join(f"{metric} p{percentile} {bound:g} s" for metric, percentile, bound in slo.objectives())
