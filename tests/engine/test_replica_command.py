"""The command line and environment of a replica."""

from pathlib import Path

import pytest

from flyball.catalog import release
from flyball.engine import Engine, Gpu, Machine, ReplicaCommand, ServedModel, replica_args, replica_max_num_seqs
from flyball.engine import replica_command as make_command
from flyball.engine.args import render_args
from flyball.errors import UsageError
from flyball.spec import FlagValue, ServingSpec, parse_model
from flyball.units import GIB

CPU = Engine(python=Path("/venv/bin/python"), version="0.32.0", device="cpu", cache=Path("/cache"))
CUDA = Engine(python=Path("/opt/vllm/bin/python"), version="0.33.0", device="cuda")
SMALL = ServedModel(source="/models/small", is_local=True, is_small=True)
FOLDER = ServedModel(source="/models/mine", is_local=True)
HUB = ServedModel(source="org/model", is_local=False)
MODERN = Machine(cores=(0, 1), has_bf16=True, memory_available_bytes=16 * GIB, gpus=())
OLD = Machine(cores=(0, 1), has_bf16=False, memory_available_bytes=16 * GIB, gpus=())
GPUS = Machine(
    cores=(0, 1),
    has_bf16=True,
    memory_available_bytes=64 * GIB,
    gpus=tuple(Gpu(id=str(index), name="NVIDIA H100 80GB HBM3", memory_bytes=80 * GIB) for index in range(3)),
)


def _spec(text: str = "") -> ServingSpec:
    return parse_model(ServingSpec, f"model: {{id: org/model}}\n{text}", source="spec")


def _command(
    spec: ServingSpec,
    *,
    engine: Engine = CPU,
    model: ServedModel = SMALL,
    machine: Machine = MODERN,
    index: int = 0,
    inherited: dict[str, str] | None = None,
) -> ReplicaCommand:
    return make_command(
        spec, engine=engine, model=model, machine=machine, index=index, port=8101, inherited=inherited or {}
    )


def test_command_line_of_the_small_model_on_a_cpu() -> None:
    """The whole of it, so that a change of any flag is a decision."""
    command = _command(_spec())

    assert command.argv == (
        "/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server",
        "--model=/models/small", "--served-model-name=org/model", "--host=127.0.0.1", "--shutdown-timeout=60",
        "--disable-access-log-for-endpoints=/health,/metrics", "--max-model-len=2048", "--enforce-eager",
        "--kv-cache-memory-bytes=268435456", "--dtype=float32", "--port=8101",
    )  # fmt: skip


@pytest.mark.parametrize(("engine", "machine"), [(CPU, OLD), (CUDA, GPUS)])
def test_every_flag_exists_in_the_release_it_is_given_to(engine: Engine, machine: Machine) -> None:
    """Against the flags read from vLLM's own parser."""
    args = _command(_spec("engine: {max_num_seqs: 8}"), engine=engine, machine=machine).args

    release(engine.version).check_args(args)


def test_a_replica_with_cores_of_its_own_is_bound_to_them() -> None:
    """Two replicas on two cores: the second has core 1."""
    env = _command(_spec("scaling: {max: 2}"), index=1).env

    assert (env["OMP_PLACES"], env["OMP_PROC_BIND"], env["OMP_NUM_THREADS"]) == ("{1}", "true", "1")


def test_replicas_that_share_cores_are_not_bound() -> None:
    """Three replicas on two cores: one thread each, where the kernel puts it."""
    env = _command(_spec("scaling: {max: 3}"), index=2).env

    assert env["OMP_NUM_THREADS"] == "1"
    assert not {"OMP_PLACES", "OMP_PROC_BIND"} & set(env)


@pytest.mark.parametrize(("replicas", "bind"), [(1, "0|1"), (2, "nobind")])
def test_several_workers_have_the_cores_divided_between_them(replicas: int, bind: str) -> None:
    """As vLLM writes it, `|` between workers, each of which is then a process of its own."""
    spec = _spec(f"local: {{cores: 2}}\nscaling: {{max: {replicas}}}\nengine: {{tensor_parallel_size: 2}}")
    env = _command(spec).env

    assert (env["VLLM_CPU_OMP_THREADS_BIND"], env["OMP_NUM_THREADS"]) == (bind, "1")
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in env


def test_a_gpu_replica_sees_its_own_gpu_only() -> None:
    """And none of the flags that a CPU needs."""
    command = _command(_spec("scaling: {max: 3}"), engine=CUDA, model=HUB, machine=GPUS, index=2)

    assert command.env["CUDA_VISIBLE_DEVICES"] == "2"
    assert not {"OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_CACHE_ROOT"} & set(command.env)
    assert not {"dtype", "enforce_eager", "kv_cache_memory_bytes", "max_model_len"} & set(command.args)


def test_nothing_of_the_callers_environment_leads_the_engine_astray() -> None:
    """Flyball's own packages, a shared vLLM port and a cache size that overrides ours stay behind; the rest passes."""
    inherited = {
        "PYTHONPATH": "/mine", "VIRTUAL_ENV": "/mine", "VLLM_PORT": "tcp://10.0.0.1:80", "VLLM_API_KEY": "secret",
        "VLLM_CPU_KVCACHE_SPACE": "40", "VLLM_SERVER_DEV_MODE": "1", "HF_TOKEN": "token", "PATH": "/usr/bin",
        "VLLM_LOGGING_LEVEL": "DEBUG",
    }  # fmt: skip
    env = _command(_spec(), inherited=inherited).env

    assert env == {
        "HF_TOKEN": "token", "PATH": "/venv/bin:/usr/bin", "VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_CACHE_ROOT": "/cache", "OMP_NUM_THREADS": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }  # fmt: skip


def test_a_model_from_the_hub_may_use_the_hub() -> None:
    """And is pinned to the revision that the spec names."""
    spec = _spec().model_copy(update={"model": _spec().model.model_copy(update={"revision": "abc"})})
    command = _command(spec, model=HUB)

    assert "HF_HUB_OFFLINE" not in command.env
    assert command.args["revision"] == "abc"
    assert "revision" not in _command(spec, model=FOLDER).args


@pytest.mark.parametrize(
    ("model", "machine", "dtype"), [(SMALL, MODERN, "float32"), (FOLDER, MODERN, None), (FOLDER, OLD, "float32")]
)
def test_dtype_follows_the_processor(model: ServedModel, machine: Machine, dtype: str | None) -> None:
    """float32 where bfloat16 would be emulated, and for the small model, whose answers hang on the rounding."""
    assert replica_args(_spec(), engine=CPU, model=model, machine=machine).get("dtype") == dtype


def test_the_spec_overrides_what_is_derived() -> None:
    """VLLM's own names, last word to the user."""
    spec = _spec("engine: {dtype: bfloat16, max_model_len: 512, enforce_eager: false}")
    command = _command(spec)

    assert {"--dtype=bfloat16", "--max-model-len=512", "--no-enforce-eager"} < set(command.argv)


@pytest.mark.parametrize(
    ("flag", "way_out"),
    [("port", "gateway.port"), ("model", "model.id"), ("shutdown_timeout", "local.drain_timeout"),
     ("disable_log_stats", "scaling reads the metrics"), ("api_key", "gateway.api_key_env")],
)  # fmt: skip
def test_flags_that_flyball_sets_are_refused(flag: str, way_out: str) -> None:
    """With the key that sets them."""
    with pytest.raises(UsageError, match=f"engine.{flag}") as error:
        _command(_spec(f"engine: {{{flag}: 1}}"))

    assert way_out in error.value.fix


def test_a_flag_that_this_vllm_lacks_is_refused() -> None:
    """Before anything starts, with the name that was probably meant."""
    with pytest.raises(UsageError, match=r"engine\.max_num_seq: vLLM 0\.32\.0 has no flag") as error:
        _command(_spec("engine: {max_num_seq: 4}"))

    assert "max_num_seqs" in error.value.fix


def test_a_vllm_without_data_is_not_refused() -> None:
    """A user's own newer vLLM may have flags that flyball does not know."""
    newer = Engine(python=Path("/p"), version="9.9.9", device="cpu")

    assert replica_args(_spec("engine: {new_flag: 1}"), engine=newer, model=FOLDER, machine=MODERN)["new_flag"] == 1


def test_values_are_rendered_so_that_no_parser_mistakes_them() -> None:
    """A leading dash, false, and a switch that has no off position."""
    args: dict[str, FlagValue] = {
        "max_model_len": -1,
        "enable_prefix_caching": False,
        "enable_lora": True,
        "load_format": "auto",
    }

    assert render_args(args, version="0.32.0") == [
        "--max-model-len=-1", "--no-enable-prefix-caching", "--enable-lora", "--load-format=auto",
    ]  # fmt: skip
    assert render_args({"disable_log_requests_not_known": False}, version="0.32.0") == [
        "--no-disable-log-requests-not-known"
    ]


@pytest.mark.parametrize(
    ("text", "engine", "machine", "expected"),
    [("engine: {max_num_seqs: 8}", CPU, MODERN, 8), ("", CPU, MODERN, 128), ("", CUDA, GPUS, 1024)],
)
def test_concurrency_is_the_specs_or_vllms_default(text: str, engine: Engine, machine: Machine, expected: int) -> None:
    """128 for a CPU server, 1024 on an 80 GiB GPU: `EngineArgs.get_batch_defaults` of vLLM 0.32 and 0.33."""
    args = replica_args(_spec(text), engine=engine, model=FOLDER, machine=machine)

    assert replica_max_num_seqs(args, engine=engine, machine=machine) == expected
