"""Counts the parameters of image encoders and of the projector into the text model's width."""

from flyball.errors import UsageError
from flyball.perf.architecture_keys import ConfigKeys


def vision_parameters(vision: ConfigKeys, *, hidden_size: int) -> int:
    """Parameters of the encoder of a `vision_config` and its projector; UsageError for a kind that is unknown."""
    kind = vision.text("model_type")
    if kind == "siglip_vision_model":
        return _siglip(vision) + vision.count("hidden_size") * (hidden_size + 1)
    if kind == "pixtral":
        return _pixtral(vision) + _mistral_projector(vision.count("hidden_size"), hidden_size)
    raise UsageError(
        f"{vision.name}: the image encoder {kind or '(no model_type)'} is not known here: its size is missing",
        fix="known: siglip_vision_model (Gemma 3) and pixtral (Mistral Small 3.1); a text-only checkpoint needs none",
    )


def _siglip(vision: ConfigKeys) -> int:
    """SigLIP without its pooling head, as Gemma 3 uses it (transformers `modeling_siglip.py`)."""
    width, inner, patch = (vision.count(key) for key in ("hidden_size", "intermediate_size", "patch_size"))
    attention = 4 * (width * width + width)
    mlp = 2 * width * inner + inner + width
    embeddings = (3 * patch * patch + 1) * width + (vision.count("image_size") // patch) ** 2 * width
    return vision.count("num_hidden_layers") * (attention + mlp + 4 * width) + embeddings + 2 * width


def _pixtral(vision: ConfigKeys) -> int:
    """Pixtral's encoder: gated MLP, RMS norms, no biases (transformers `modeling_pixtral.py`)."""
    width, inner, patch = (vision.count(key) for key in ("hidden_size", "intermediate_size", "patch_size"))
    layer = 4 * width * width + 3 * width * inner + 2 * width
    return vision.count("num_hidden_layers") * layer + 3 * patch * patch * width + width


def _mistral_projector(width: int, hidden_size: int) -> int:
    """Norm, 2 x 2 patch merger and two linear layers without biases (transformers `modeling_mistral3.py`)."""
    return width + 4 * width * width + width * hidden_size + hidden_size * hidden_size
