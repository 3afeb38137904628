"""Counts the parameters of image encoders and of the projector into the text model's width."""

from collections.abc import Mapping
from typing import Any

from flyball.errors import UsageError


def vision_parameters(vision: Mapping[str, Any], *, hidden_size: int, name: str) -> int:
    """Parameters of the encoder of a `vision_config` and its projector; UsageError for a kind that is unknown."""
    kind = str(vision.get("model_type"))
    if kind == "siglip_vision_model":
        return _siglip(vision) + int(vision["hidden_size"]) * (hidden_size + 1)
    if kind == "pixtral":
        return _pixtral(vision) + _mistral_projector(vision["hidden_size"], hidden_size)
    raise UsageError(
        f"{name}: the image encoder {kind} is not known here: its size is missing",
        fix="known: siglip_vision_model (Gemma 3) and pixtral (Mistral Small 3.1); a text-only checkpoint needs none",
    )


def _siglip(vision: Mapping[str, Any]) -> int:
    """SigLIP without its pooling head, as Gemma 3 uses it (transformers `modeling_siglip.py`)."""
    width, inner, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    attention = 4 * (width * width + width)
    mlp = 2 * width * inner + inner + width
    embeddings = (3 * patch * patch + 1) * width + (vision["image_size"] // patch) ** 2 * width
    return int(vision["num_hidden_layers"] * (attention + mlp + 4 * width) + embeddings + 2 * width)


def _pixtral(vision: Mapping[str, Any]) -> int:
    """Pixtral's encoder: gated MLP, RMS norms, no biases (transformers `modeling_pixtral.py`)."""
    width, inner, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    layer = 4 * width * width + 3 * width * inner + 2 * width
    return int(vision["num_hidden_layers"] * layer + 3 * patch * patch * width + width)


def _mistral_projector(width: int, hidden_size: int) -> int:
    """Norm, 2 x 2 patch merger and two linear layers without biases (transformers `modeling_mistral3.py`)."""
    return width + 4 * width * width + width * hidden_size + hidden_size * hidden_size
