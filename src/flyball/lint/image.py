"""Container image references: repository, tag, digest, and whether it is a vLLM server."""

import re
from dataclasses import dataclass

_ENGINES = re.compile(r"vllm-(?:openai|cpu|gpu|rocm|tpu|xpu|hpu|neuron|dev)(?:-[\w.-]+)?|vllm")
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)(?:[.+-].*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    repository: str
    tag: str
    digest: str

    @property
    def is_engine(self) -> bool:
        """Whether its entrypoint is a vLLM server, by its name: `vllm/vllm-openai`, `vllm/vllm-cpu`, `rocm/vllm`."""
        return _ENGINES.fullmatch(self.repository.rpartition("/")[2]) is not None

    @property
    def is_cpu(self) -> bool:
        return "cpu" in self.repository.rpartition("/")[2] or "cpu" in self.tag

    @property
    def version(self) -> str | None:
        """`0.33.0` of the tag `v0.33.0-cu130`; None if the tag names no version."""
        match = _VERSION.fullmatch(self.tag)
        return match[1] if match else None


def parse_image(reference: str) -> Image:
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return Image(repository=f"{head}{slash}{last}", tag=tag, digest=digest)
