"""Where the local engine lives on disk."""

from dataclasses import dataclass
from pathlib import Path

from flyball.data_folder import data_folder

ENGINE_VERSION = "0.32.0"
"""The vLLM that `flyball engine install` makes an environment for."""
SMALL_MODEL_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model that is installed with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """flyball's folder on this machine. Virtual environments hold absolute paths, so it must not be moved."""

    root: Path

    @classmethod
    def of_user(cls) -> "Home":
        return cls(root=data_folder())

    @property
    def engine(self) -> Path:
        return self.root / f"engine-{ENGINE_VERSION}"

    @property
    def venv(self) -> Path:
        return self.engine / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def downloads(self) -> Path:
        return self.engine / "downloads"

    @property
    def scratch(self) -> Path:
        """Temporary files of the installation: on the disk whose free space was looked at."""
        return self.engine / "tmp"

    @property
    def log(self) -> Path:
        """What the steps of the installation wrote."""
        return self.engine / "install.log"

    @property
    def journal(self) -> Path:
        """Which steps of the installation are done; the engine is usable once all are."""
        return self.engine / "installed.json"

    @property
    def lock(self) -> Path:
        return self.root / "install.lock"

    @property
    def small_model(self) -> Path:
        return self.root / "models" / SMALL_MODEL_ID.rpartition("/")[2]

    @property
    def cache(self) -> Path:
        """The VLLM_CACHE_ROOT of every replica: keeping it saves about 5 s of every start."""
        return self.root / "cache" / f"vllm-{ENGINE_VERSION}"
