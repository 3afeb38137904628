"""CPU, memory and shared memory of a replica, from its share of the machine."""

import math
from dataclasses import dataclass
from typing import Any

from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because
from flyball.units import GIB

USABLE = 0.75
"""Of a machine, what is left beside the kubelet's reserve and the DaemonSets of a GPU node."""
LIMIT = 0.85
CPUS_PER_GPU = 4
SERVER_GIB = 8
"""vLLM's processes without weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a replica may take of its machine; None where the machine is not known."""

    vcpus: float | None
    memory_bytes: float | None


def share(design: ServiceDesign) -> Share:
    machine = design.machine
    part = design.gpus_per_replica / machine.accelerator_count
    return Share(
        vcpus=None if machine.vcpus is None else machine.vcpus * part,
        memory_bytes=None if machine.memory_bytes is None else machine.memory_bytes * part,
    )


def shared_memory_gib(design: ServiceDesign) -> int:
    """Of /dev/shm: ranks exchange through it."""
    return 1 if design.gpus_per_replica == 1 else min(10, 2 * design.gpus_per_replica)


def resources(design: ServiceDesign) -> dict[str, Any]:
    """Requests and limits of the engine's container."""
    part = share(design)
    cpus = CPUS_PER_GPU * design.gpus_per_replica
    if part.vcpus is not None:
        cpus = max(1, min(cpus, math.floor(USABLE * part.vcpus)))
    wanted = math.ceil(design.weights_bytes / 2 / GIB) + SERVER_GIB + shared_memory_gib(design)
    request, limit = wanted, 2 * wanted
    if part.memory_bytes is not None:
        request = max(1, min(wanted, math.floor(USABLE * part.memory_bytes / GIB)))
        limit = max(request, math.floor(LIMIT * part.memory_bytes / GIB))
    machine = f" within a {design.machine.name}" if part.memory_bytes is not None else ""
    gpus = str(design.gpus_per_replica)
    return {
        "requests": {
            "cpu": Because(str(cpus), "every engine step waits for the CPU; no limit, because throttling stalls steps"),
            "memory": Because(
                f"{request}Gi",
                f"half of the weights while they load, {SERVER_GIB} Gi for the server, /dev/shm{machine}",
            ),
            "ephemeral-storage": "4Gi",
            "nvidia.com/gpu": gpus,
        },
        "limits": {"memory": f"{limit}Gi", "nvidia.com/gpu": gpus},
    }
