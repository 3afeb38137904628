import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flyball.cli.main import run
from flyball.cli.model_source import load_architecture
from flyball.errors import OutsideError, UsageError
from recorded_boots import DATA

_LLAMA = "meta-llama/Llama-3.1-8B"
_LOG = (DATA / "boot-0.19-h100.log").read_bytes()
_CONFIG = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16",
}  # fmt: skip


def _json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert run(["memory", *arguments, "-o", "json"]) == code
    row: dict[str, Any] = json.loads(capsys.readouterr().out)
    return row


def test_json_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    """The figures that scripts read, in bytes and tokens, and the terms add up to what was asked for."""
    row = _json(
        capsys, _LLAMA, "--accelerator", "h200", "--vllm", "0.32.0", "--prompt-tokens", "480", "--output-tokens", "145"
    )

    terms = (
        "weights_bytes",
        "activation_bytes",
        "non_torch_bytes",
        "buffer_bytes",
        "cuda_graph_bytes",
        "kv_cache_bytes",
    )
    assert sum(row[term] for term in terms) == row["requested_bytes"]
    assert row["kv_bytes_per_token"] == 131_072
    assert row["kv_cache_tokens"] == row["kv_cache_bytes"] // (16 * 131_072) * 16
    assert row["max_concurrency_at_max_model_len"] == pytest.approx(row["kv_cache_tokens"] / 131_072, abs=0.01)
    assert row["concurrency_at_expected_lengths"] == pytest.approx(row["kv_cache_tokens"] / 640, rel=0.001)
    assert row["fits"] is True


def test_engine_flags_may_follow_one_another_or_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """`--engine a=1 b=2` and `--engine a=1 --engine b=2`, with dashes or underscores."""
    chip = ("--accelerator", "H200", "--vllm", "0.26.0")
    together = _json(capsys, _LLAMA, *chip, "--engine", "max_num_seqs=64", "max_model_len=8192")
    apart = _json(capsys, _LLAMA, *chip, "--engine", "max-num-seqs=64", "--engine", "max_model_len=8192")

    assert together == apart
    assert together["settings"]["max_num_seqs"] == 64


def test_a_model_that_does_not_fit_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, the numbers that decide it, and ways out; in JSON and as a table."""
    row = _json(capsys, "meta-llama/Llama-3-70B-Instruct", "--accelerator", "A100-80GB", code=1)

    assert row["fits"] is False
    assert row["weights_bytes"] / 1e9 == pytest.approx(141, abs=0.5)
    assert row["needed_bytes"] > row["requested_bytes"]
    assert any(way["flags"] == "tensor_parallel_size=2" for way in row["ways_out"])
    assert run(["memory", "meta-llama/Llama-3-70B-Instruct", "--accelerator", "A100-80GB"]) == 1
    shown = capsys.readouterr().out
    assert "does not fit" in shown
    assert "--engine tensor_parallel_size=2 would leave" in shown


def test_table_is_a_subtraction(capsys: pytest.CaptureFixture[str]) -> None:
    """Terms in GiB one under the other, and what the rest holds."""
    assert run(["memory", _LLAMA, "--accelerator", "H200", "--vllm", "0.26.0"]) == 0
    shown = capsys.readouterr().out

    assert "- weights" in shown
    assert "beside the KV cache" in shown
    assert "tokens of 128 KiB" in shown


def test_quantisation_by_its_own_option(capsys: pytest.CaptureFixture[str]) -> None:
    """`--quantization fp8` is the flag of that name."""
    row = _json(capsys, _LLAMA, "--accelerator", "H100", "--vllm", "0.19.0", "--quantization", "fp8")

    assert row["weights_bytes"] / 2**30 == pytest.approx(8.49, abs=0.01)


def test_boot_log_is_the_truth(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags, version and errors come from the log; the answer for its own flags is the log's."""
    log = str(DATA / "boot-0.19-h100.log")
    row = _json(capsys, "meta-llama/Llama-3.1-8B-Instruct", "--accelerator", "H100", "--boot-log", log)

    assert row["vllm"] == "0.19.0"
    assert row["kv_cache_tokens"] == 476_016 == row["boot_log"]["kv_cache_tokens"]
    assert abs(row["boot_log"]["error_before_correction"]) < 0.01


def test_boot_log_of_one_start_predicts_another(capsys: pytest.CaptureFixture[str]) -> None:
    """From the start in bfloat16 to the recorded one with fp8 weights: 529,248 tokens; and to another model's."""
    shared = ("--accelerator", "H100", "--boot-log", str(DATA / "boot-0.19-h100.log"))
    fp8 = _json(capsys, "meta-llama/Llama-3.1-8B-Instruct", *shared, "--engine", "quantization=fp8")
    other = _json(capsys, "microsoft/phi-4", *shared, "--engine", "gpu_memory_utilization=0.95", "max_model_len=8192")

    assert fp8["kv_cache_tokens"] == pytest.approx(529_248, rel=0.002)
    assert other["kv_cache_tokens"] == pytest.approx(241_568, rel=0.002)


def test_a_compressed_boot_log_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As rotated logs are; a byte that is no text, as cut progress bars leave, does not stop it."""
    log = tmp_path / "vllm.log.gz"
    log.write_bytes(gzip.compress(b"\xe2\x96 loading\n" + _LOG))
    row = _json(capsys, "meta-llama/Llama-3.1-8B-Instruct", "--accelerator", "H100", "--boot-log", str(log))

    assert row["kv_cache_tokens"] == 476_016


_UNKNOWN = _LOG.replace(b"meta-llama/Llama-3.1-8B-Instruct", b"org/unknown")


@pytest.mark.parametrize(
    ("arguments", "content", "words"),
    [
        ((_LLAMA, "--accelerator", "H200"), _LOG, "is of a GPU with 79.19 GiB, H200 has 139.8"),
        (("microsoft/phi-4", "--accelerator", "H100"), _UNKNOWN, "name the model of the log"),
        ((_LLAMA, "--accelerator", "H100"), b"GPU KV cache size: 1,600 tokens", "begins after the start"),
        ((_LLAMA, "--accelerator", "H100"), gzip.compress(_LOG)[:200], "cannot be read"),
    ],
    ids=["another GPU", "another model", "no beginning", "half a file"],
)
def test_a_log_of_something_else_is_refused(
    arguments: tuple[str, ...], content: bytes, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One line says what is wrong with it, exit code 2."""
    file = tmp_path / "vllm.log"
    file.write_bytes(content)

    assert run(["memory", *arguments, "--boot-log", str(file)]) == 2
    assert words in capsys.readouterr().err


def test_own_accelerators_come_by_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A chip of the user's catalog counts as typical of its generation."""
    file = tmp_path / "mine.yaml"
    file.write_text("accelerators: [{name: H200, memory_gib: 100}]\n")
    row = _json(capsys, _LLAMA, "--accelerator", "H200", "--catalog", str(file))

    assert row["total_bytes"] == 100 * 2**30


def test_flags_that_are_not_followed_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Speculative decoding takes memory that is not counted here, and the answer says so."""
    row = _json(capsys, _LLAMA, "--accelerator", "H200", "--engine", "speculative_config={method: ngram}")

    assert row["not_modelled"] == ["speculative_config"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([_LLAMA, "--accelerator", "H2000"], 2, "did you mean"),
        ([_LLAMA, "--accelerator", "H200", "--engine", "max_num_seq=3"], 2, "did you mean max_num_seqs"),
        ([_LLAMA, "--accelerator", "H200", "--engine", "max_num_seqs"], 2, "write NAME=VALUE"),
        ([_LLAMA, "--accelerator", "H200", "--boot-log", "none.log"], 2, "no such file"),
        ([_LLAMA, "--accelerator", "H200", "--vllm", "newest"], 2, "is not a version"),
        (["llama", "--accelerator", "H200"], 2, "neither a path nor a Hugging Face id"),
        (["./nowhere", "--accelerator", "H200"], 2, "no such file"),
        (["some/model", "--accelerator", "H200"], 3, "give a path to a folder"),
    ],
)
def test_mistakes_have_a_line_and_a_way_out(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong usage is 2, a hub out of reach is 3."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    assert run(["memory", *arguments]) == code
    assert words in capsys.readouterr().err


@contextmanager
def _hub(status: int, body: str, seen: list[dict[str, str]]) -> Iterator[str]:
    """A server that answers every GET with `body`, and notes path and authorisation."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({"path": self.path, "authorization": self.headers.get("Authorization", "")})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Into nowhere."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_other_models_are_fetched_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The id, the revision and HF_TOKEN reach the hub; the answer is a shape."""
    seen: list[dict[str, str]] = []
    with _hub(200, json.dumps(_CONFIG), seen) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv("HF_TOKEN", "secret")
        found = load_architecture("some/model", "refs/pr/1")

    assert found.num_hidden_layers == 30
    assert seen == [{"path": "/some/model/resolve/refs%2Fpr%2F1/config.json", "authorization": "Bearer secret"}]


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(401, OutsideError, "set HF_TOKEN"), (404, UsageError, "no such model"), (503, OutsideError, "HTTP 503")],
)
def test_refusals_of_the_hub_say_what_to_do(
    status: int, kind: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gated, unknown, out of order."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with _hub(status, "", []) as endpoint:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        with pytest.raises(kind, match=words):
            load_architecture("some/model")


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_path_is_read_without_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, whole_folder: bool) -> None:
    """A folder with config.json, or the file itself."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    (tmp_path / "config.json").write_text(json.dumps(_CONFIG))

    found = load_architecture(str(tmp_path if whole_folder else tmp_path / "config.json"))
    assert found.vocab_size == 49152


@pytest.mark.parametrize("text", ["not json", "[1]"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """Neither prose nor a list is a model's configuration."""
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(UsageError, match=r"config\.json is not"):
        load_architecture(str(tmp_path))
