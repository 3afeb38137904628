"""Which cores and which GPUs a replica has of the machine. Pure."""

from collections.abc import Mapping

from flyball.engine.machine import Machine
from flyball.errors import UsageError
from flyball.spec import FlagValue, ServingSpec


def replica_cores(spec: ServingSpec, *, machine: Machine, index: int) -> tuple[int, ...]:
    """The cores that replica `index` computes on: its share; shared with others once all are given away.

    Raises UsageError if the spec asks for more cores a replica than there are.
    """
    total = len(machine.cores)
    count = spec.local.cores or max(1, total // spec.scaling.max)
    if count > total:
        raise UsageError(
            f"local.cores: {count} cores a replica, and there are {total}", fix=f"give at most {total}, or leave it out"
        )
    return tuple(machine.cores[(index * count + offset) % total] for offset in range(count))


def workers(args: Mapping[str, FlagValue]) -> int:
    """How many workers one replica has; each takes a GPU of its own where there are GPUs."""
    return plain_number(args, "tensor_parallel_size", 1) * plain_number(args, "pipeline_parallel_size", 1)


def plain_number(args: Mapping[str, FlagValue], name: str, default: int) -> int:
    """A flag that flyball reckons with. vLLM also reads `1k`; UsageError for that."""
    value = args.get(name, default)
    if not isinstance(value, int):
        raise UsageError(f"engine.{name}: {value!r} is not a plain number", fix="write it in digits, for example 4")
    return value


def replica_gpus(args: Mapping[str, FlagValue], *, machine: Machine, index: int) -> tuple[str, ...]:
    """The GPUs of replica `index`. One too many gets those of another, which vLLM refuses until that one has left."""
    count, total = workers(args), len(machine.gpus)
    return tuple(machine.gpus[(index * count + offset) % total].id for offset in range(count))


def require_gpus(spec: ServingSpec, args: Mapping[str, FlagValue], *, machine: Machine) -> None:
    """UsageError if `scaling.max` replicas need more GPUs than there are: vLLM takes nearly all memory of each."""
    count, total = workers(args), len(machine.gpus)
    if spec.scaling.max * count > total:
        raise UsageError(
            f"scaling.max: {spec.scaling.max} replicas need {spec.scaling.max * count} GPUs, and there are {total}",
            fix=f"set scaling.max to {total // count}" if total >= count else "lower engine.tensor_parallel_size",
        )
