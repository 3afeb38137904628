"""What a machine has, and what a replica gets of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.engine.machine import Gpu, Machine, has_bf16, listed_gpus
from flyball.engine.share import replica_cores, replica_gpus, require_gpus
from flyball.errors import UsageError
from flyball.spec import LocalSpec, ModelSpec, ScalingSpec, ServingSpec
from flyball.units import GIB, MIB

SMI = "0, GPU-aaaa, NVIDIA A10G, 23028\n1, GPU-bbbb, NVIDIA A10G, 23028\n2, GPU-cccc, NVIDIA A10G, 23028\n"


def _spec(*, replicas: int, cores: int | None = None) -> ServingSpec:
    return ServingSpec(
        model=ModelSpec(id="m"), scaling=ScalingSpec(max=replicas), local=LocalSpec.model_validate({"cores": cores})
    )


def _machine(*, cores: int = 2, gpus: int = 0) -> Machine:
    return Machine(
        cores=tuple(range(cores)),
        has_bf16=True,
        memory_available_bytes=8 * GIB,
        gpus=tuple(Gpu(id=str(index), name="A10G", memory_bytes=22 * GIB) for index in range(gpus)),
    )


def test_bf16_is_read_from_the_processor_flags() -> None:
    """x86 lists `flags`, Arm `Features`; a model name that mentions it is no instruction set."""
    assert has_bf16("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n")
    assert has_bf16("processor : 0\nFeatures\t: fp asimd bf16 i8mm\n")
    assert not has_bf16("processor : 0\nmodel name : bf16 edition\nflags\t\t: fpu avx2\n")
    assert not has_bf16("")


def test_gpus_are_those_that_we_may_use() -> None:
    """CUDA_VISIBLE_DEVICES narrows the driver's list, by index or by uuid; empty hides all."""
    assert [gpu.id for gpu in listed_gpus(SMI, None)] == ["0", "1", "2"]
    assert [gpu.id for gpu in listed_gpus(SMI, "2, GPU-aaaa")] == ["0", "2"]
    assert listed_gpus(SMI, "") == listed_gpus(SMI, "-1") == ()
    assert listed_gpus(SMI, None)[0] == Gpu(id="0", name="NVIDIA A10G", memory_bytes=23028 * MIB)


def test_a_broken_driver_means_no_gpu() -> None:
    """nvidia-smi prints its complaint where the list should be."""
    assert listed_gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n", None) == ()


def test_two_cores_for_three_replicas_wrap_around() -> None:
    """One core each, the third shares with the first."""
    spec = _spec(replicas=3)

    assert [replica_cores(spec, machine=_machine(), index=index) for index in range(3)] == [(0,), (1,), (0,)]


def test_cores_are_divided_where_there_are_enough() -> None:
    """Eight cores, three replicas: two each, none shared."""
    spec = _spec(replicas=3)

    assert [replica_cores(spec, machine=_machine(cores=8), index=index) for index in range(3)] == [
        (0, 1), (2, 3), (4, 5),
    ]  # fmt: skip


@given(total=st.integers(1, 64), replicas=st.integers(1, 32), index=st.integers(0, 40))
def test_share_is_of_distinct_cores_and_disjoint_while_it_lasts(total: int, replicas: int, index: int) -> None:
    """No replica is bound twice to a core, and nobody shares one where there are cores for all."""
    spec, machine = _spec(replicas=replicas), _machine(cores=total)
    mine = replica_cores(spec, machine=machine, index=index)

    assert len(set(mine)) == len(mine) >= 1
    assert set(mine) <= set(machine.cores)
    if index < replicas <= total:
        others = {core for other in range(replicas) if other != index
                  for core in replica_cores(spec, machine=machine, index=other)}  # fmt: skip
        assert not others & set(mine)


def test_more_cores_than_there_are_is_refused() -> None:
    """With the number that there is."""
    with pytest.raises(UsageError, match=r"local\.cores: 4 cores a replica, and there are 2"):
        replica_cores(_spec(replicas=1, cores=4), machine=_machine(), index=0)


def test_gpus_are_never_shared_within_the_maximum() -> None:
    """Two GPUs each of four: two replicas."""
    args = {"tensor_parallel_size": 2}
    machine = _machine(gpus=4)

    require_gpus(_spec(replicas=2), args, machine=machine)
    assert [replica_gpus(args, machine=machine, index=index) for index in range(2)] == [("0", "1"), ("2", "3")]


def test_more_replicas_than_gpus_is_refused() -> None:
    """With the numbers and the most that would do."""
    with pytest.raises(UsageError, match="3 replicas need 6 GPUs, and there are 4") as error:
        require_gpus(_spec(replicas=3), {"tensor_parallel_size": 2}, machine=_machine(gpus=4))

    assert error.value.fix == "set scaling.max to 2"


def test_a_number_that_only_vllm_reads_is_refused() -> None:
    """VLLM takes `1k` for 1000; flyball reckons with the flag and says so."""
    with pytest.raises(UsageError, match=r"engine\.tensor_parallel_size: '1k'"):
        replica_gpus({"tensor_parallel_size": "1k"}, machine=_machine(gpus=1), index=0)
