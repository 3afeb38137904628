"""What this machine has: cores, memory, instructions, GPUs."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from flyball.units import MIB

UNLIMITED = 2**62  # cgroup v1 writes a number near this where there is no limit
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86, x86, aarch64, as /proc/cpuinfo names them


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU."""

    id: str
    """As CUDA_VISIBLE_DEVICES takes it."""
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a replica can be given."""

    cores: tuple[int, ...]
    """Ids of the cores that we may run on."""
    has_bf16: bool
    """Whether the CPU computes in bfloat16. Where it does not, float32 is about four times as fast."""
    memory_available_bytes: int
    """What new processes can take, within the limit of our control group."""
    gpus: tuple[Gpu, ...]
    """Those that we may use."""


def this_machine() -> Machine:
    """Look now; the memory changes."""
    return Machine(
        cores=tuple(sorted(os.sched_getaffinity(0))),
        has_bf16=has_bf16(_read("/proc/cpuinfo")),
        memory_available_bytes=min(psutil.virtual_memory().available, _left_in_control_group()),
        gpus=visible_gpus(),
    )


def has_bf16(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo names a bfloat16 instruction set."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    return any(key.strip() in ("flags", "Features") and BF16_FLAGS & set(value.split()) for key, _, value in lines)


def visible_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs here, by the driver's own tool; those of CUDA_VISIBLE_DEVICES where it is set."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        listing = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return listed_gpus(listing, os.environ.get("CUDA_VISIBLE_DEVICES"))


def listed_gpus(listing: str, chosen: str | None) -> tuple[Gpu, ...]:
    """From nvidia-smi's lines `index, uuid, name, MiB` and the value of CUDA_VISIBLE_DEVICES (None: not set)."""
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines()]
    wanted = None if chosen is None else {part.strip() for part in chosen.split(",")}
    return tuple(
        Gpu(id=row[0], name=row[2], memory_bytes=int(row[3]) * MIB)
        for row in rows
        if len(row) == 4 and row[3].isdigit() and (wanted is None or wanted & {row[0], row[1]})
    )


def _left_in_control_group() -> int:
    """Control groups v2, then v1, as a container sees its own at the root."""
    for limit_file, usage_file in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes",
                                                                      "memory/memory.usage_in_bytes")):  # fmt: skip
        limit, usage = _read(f"/sys/fs/cgroup/{limit_file}").strip(), _read(f"/sys/fs/cgroup/{usage_file}").strip()
        if limit.isdigit() and usage.isdigit() and int(limit) < UNLIMITED:
            return max(0, int(limit) - int(usage))
    return UNLIMITED


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
