"""Which weights are served and what they take of memory."""

import json
from pathlib import Path

import pytest

from flyball.engine import SMALL_MODEL_ID, Engine, replica_memory, resolve_model
from flyball.engine.memory import PROCESSES_BYTES
from flyball.errors import OutsideError, UsageError
from flyball.units import MIB

CPU = Engine(python=Path("/venv/bin/python"), version="0.32.0", device="cpu")
CUDA = Engine(python=Path("/venv/bin/python"), version="0.33.0", device="cuda")


def _folder(path: Path, *, dtype: str = "bfloat16") -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"dtype": dtype}))
    (path / "a.safetensors").write_bytes(bytes(3 * MIB))
    (path / "b.safetensors").write_bytes(bytes(MIB))
    (path / "b.bin").write_bytes(bytes(MIB))
    return path


def test_the_small_model_is_found_by_its_id(tmp_path: Path) -> None:
    """In any spelling of capitals; it is served from its folder."""
    engine = Engine(python=CPU.python, version="0.32.0", device="cpu", small_model=_folder(tmp_path / "small"))
    model = resolve_model(SMALL_MODEL_ID.upper(), engine)

    assert (model.source, model.is_local, model.is_small) == (str(tmp_path / "small"), True, True)


def test_the_small_model_is_part_of_the_installation() -> None:
    """Without it, the way out is to install."""
    with pytest.raises(OutsideError, match="is not installed") as error:
        resolve_model(SMALL_MODEL_ID, CPU)

    assert "flyball engine install" in error.value.fix
    assert not resolve_model(SMALL_MODEL_ID, CUDA).is_local


def test_a_folder_is_taken_with_its_weights(tmp_path: Path) -> None:
    """Their size is that of the safetensors; other formats beside them are not loaded."""
    model = resolve_model(str(_folder(tmp_path / "mine")), CPU)

    assert (model.weights_bytes, model.stored_in, model.is_small) == (4 * MIB, "bfloat16", False)


def test_any_other_id_is_left_to_vllm() -> None:
    """Nothing is known of its size."""
    model = resolve_model("org/model", CPU)

    assert (model.source, model.is_local, model.weights_bytes) == ("org/model", False, 0)


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    """By its name, with what a model folder holds."""
    with pytest.raises(UsageError, match=r"model\.id: .* has no config\.json"):
        resolve_model(str(tmp_path), CPU)
    with pytest.raises(UsageError, match=r"model\.id: there is no folder"):
        resolve_model(str(tmp_path / "nothing"), CPU)


@pytest.mark.parametrize("text", ["{", '"text"', "[1]"])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    """What is not a JSON object is named, not traced back."""
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(UsageError, match=r"config\.json"):
        resolve_model(str(tmp_path), CPU)


def test_memory_counts_weights_as_they_are_served(tmp_path: Path) -> None:
    """bfloat16 on disk is twice as large in float32."""
    model = resolve_model(str(_folder(tmp_path / "mine")), CPU)
    wide = replica_memory({"dtype": "float32", "kv_cache_memory_bytes": 64 * MIB}, engine=CPU, model=model)
    narrow = replica_memory({"kv_cache_memory_bytes": 64 * MIB}, engine=CPU, model=model)

    assert (wide.weights_bytes, narrow.weights_bytes) == (8 * MIB, 4 * MIB)
    assert wide.total_bytes == PROCESSES_BYTES + 72 * MIB
    assert wide.fits(2 * wide.total_bytes) == 2
    assert wide.fits(2 * wide.total_bytes - 1) == 1


def test_on_a_gpu_only_the_processes_are_in_the_hosts_memory(tmp_path: Path) -> None:
    """Weights and cache are in the GPU's."""
    model = resolve_model(str(_folder(tmp_path / "mine")), CUDA)

    assert replica_memory({}, engine=CUDA, model=model).total_bytes == PROCESSES_BYTES
