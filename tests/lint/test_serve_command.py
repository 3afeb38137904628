"""How `vllm serve` is found in a container, and how its flags are read."""

from collections.abc import Mapping

import pytest

from flyball.catalog import release
from flyball.lint.command import ServeCommand, human_number, serve_command
from flyball.lint.image import parse_image
from flyball.lint.parsing import parse_document


def serving(
    container: str, environment: Mapping[str, str] | None = None, *, has_engine_image: bool = True
) -> ServeCommand | None:
    root = parse_document(container).root
    assert root is not None
    known = release("0.33.0")
    return serve_command(root, has_engine_image=has_engine_image, environment=environment or {}, release=known)


def flags_of(container: str) -> dict[str, str]:
    command = serving(container)
    assert command is not None
    return {name: flag.text for name, flag in command.flags.items()}


SCRIPT = r"""
command: [/bin/bash, -c]
args:
  - |
    set -e
    # vllm serve a comment
    export PORT=9000; exec vllm serve "$MODEL" --max-num-seqs=$(SEQS) \
      -tp 2 --served-model-name a b \
      --enable-prefix-caching --max-model-len '32k' \
      --foo ${UNSET} 2>&1 | tee /var/log/vllm --max-num-seqs 1
"""


def test_flags_in_a_script() -> None:
    """A shell script is read up to the end of its command, with the variables that are known, and its lines."""
    command = serving(SCRIPT, {"MODEL": "org/model", "SEQS": "64"})

    assert command is not None
    assert command.model is not None
    assert command.model.text == "org/model"
    assert {name: flag.text for name, flag in command.flags.items()} == {
        "max_num_seqs": "64",
        "tensor_parallel_size": "2",
        "served_model_name": "a b",
        "enable_prefix_caching": "",
        "max_model_len": "32k",
        "foo": "${UNSET}",
    }
    lines = SCRIPT.split("\n")
    assert all(flag.option in lines[flag.node.line - 1] and command.node.line == 7 for flag in command.flags.values())


@pytest.mark.parametrize(
    ("container", "model"),
    [
        ("args: [org/m]", "org/m"),
        ("args: [--model, org/m]", "org/m"),
        ("args: [--model=org/m]", "org/m"),
        ("command: [vllm, serve, org/m]", "org/m"),
        ("command: [/opt/venv/bin/vllm, serve]\nargs: [org/m]", "org/m"),
        ("command: [python3, -m, vllm.entrypoints.openai.api_server]\nargs: [--model, org/m]", "org/m"),
        ("command: [sh, -c, 'python -m vllm.entrypoints.openai.api_server --model org/m']", "org/m"),
        ("command: [bash, -lc]\nargs: ['vllm serve org/m && echo done']", "org/m"),
    ],
)
def test_every_way_to_start_it(container: str, model: str) -> None:
    """The server is found with the image's entrypoint, as a command, as a module and in scripts."""
    command = serving(container)

    assert command is not None
    given = command.model.text if command.model else command.flags["model"].text
    assert given == model


@pytest.mark.parametrize(
    "container",
    [
        "command: [vllm, bench, serve]",
        "command: [hf, download, org/m]",
        "command: [sh, -c, 'sleep 10']",
        "command: [sh, -c, 'curl http://vllm/serve']",
        "command: [sh]",
        "command: [python3, -m, http.server]",
    ],
)
def test_other_commands_are_no_server(container: str) -> None:
    """VLLM's image with another command serves nothing."""
    assert serving(container) is None


def test_another_image_needs_the_command() -> None:
    """Arguments alone make no server of an image that is not vLLM's."""
    assert serving("args: [org/m]", has_engine_image=False) is None
    assert serving("command: [vllm, serve, org/m]", has_engine_image=False) is not None


def test_switches_take_no_value() -> None:
    """A boolean leaves the next word alone, its negation says so, and a negative number is a value."""
    command = serving(
        "args: [--enforce-eager, org/m, --no-enable-prefix-caching, --max-model-len, '-1', -O3, --seed, '7']"
    )

    assert command is not None
    assert command.model is not None
    assert command.model.text == "org/m"
    assert not command.flags["enable_prefix_caching"].is_on
    assert command.flags["max_model_len"].number == -1
    assert command.flags["seed"].number == 7


def test_the_last_of_a_repeated_flag_counts() -> None:
    """As in argparse."""
    assert flags_of("args: [m, --seed=1, --seed=2]")["seed"] == "2"


@pytest.mark.parametrize(
    ("text", "number"),
    [("32k", 32000), ("32K", 32768), ("0.9", 0.9), ("-1", -1), ("2M", 2 << 20), ("7", 7), ("x", None), ("1e3", None)],
)
def test_human_numbers(text: str, number: float | None) -> None:
    """Small suffixes are powers of 1000, capitals of 1024."""
    assert human_number(text) == number


@pytest.mark.parametrize(
    ("reference", "is_engine", "version"),
    [
        ("vllm/vllm-openai:v0.33.0", True, "0.33.0"),
        ("vllm/vllm-openai", True, None),
        ("registry:5000/vllm/vllm-openai:v0.32.0-cu130@sha256:0", True, "0.32.0"),
        ("vllm/vllm-cpu:latest", True, None),
        ("rocm/vllm:rocm7", True, None),
        ("vllm/vllm-router:v0.1.0", False, "0.1.0"),
        ("ghcr.io/llm-d/llm-d-inference-sim:v0.5.0", False, "0.5.0"),
        ("nginx", False, None),
        ("", False, None),
    ],
)
def test_images(reference: str, is_engine: bool, version: str | None) -> None:
    """A server is known by the last part of its image's name, its version by the tag."""
    image = parse_image(reference)

    assert (image.is_engine, image.version) == (is_engine, version)
