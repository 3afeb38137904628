"""Where a model's `config.json` comes from: a folder, the built-in table, or the Hugging Face hub."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyball.cli.spec_file import read_text
from flyball.errors import OutsideError, UsageError
from flyball.perf import ModelArchitecture, architecture_from_config, builtin_architecture

HUB = "https://huggingface.co"
_TIMEOUT_S = 10.0
_LARGEST_CONFIG_BYTES = 2**20
_MODEL_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load_architecture(model: str, revision: str | None = None) -> ModelArchitecture:
    """The architecture of a path to a folder or `config.json`, or of a Hugging Face id.

    An id of the built-in table needs no network; any other is fetched, with `HF_TOKEN` if it is set. UsageError for a
    path or id that names nothing and for an architecture that is unknown; OutsideError if the hub cannot be asked.
    """
    path = Path(model).expanduser()
    if path.exists() or model.startswith((".", "/", "~")) or model.endswith(".json"):
        file = path / "config.json" if path.is_dir() else path
        if not file.exists():
            what = f"{model}: no config.json in this folder" if path.is_dir() else f"{model}: no such file or folder"
            raise UsageError(what, fix="give a model's folder, its config.json, or a Hugging Face id")
        return architecture_from_config(_parsed(read_text(file), source=str(file)), name=model)
    builtin = builtin_architecture(model)
    if builtin is not None:
        return builtin
    if not _MODEL_ID.fullmatch(model):
        raise UsageError(
            f"{model!r} is neither a path nor a Hugging Face id",
            fix="an id looks like meta-llama/Llama-3.1-8B-Instruct; a path begins with ./ or /",
        )
    return architecture_from_config(fetch_config(model, revision or "main"), name=model)


def fetch_config(model: str, revision: str) -> Mapping[str, Any]:
    """`config.json` of a model on the hub."""
    import urllib.error  # most models are in the table: their plans need not wait for these
    import urllib.parse
    import urllib.request

    endpoint = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    url = f"{endpoint}/{model}/resolve/{urllib.parse.quote(revision, safe='')}/config.json"
    request = urllib.request.Request(url, headers={"User-Agent": "flyball"})
    token = os.environ.get("HF_TOKEN")
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
            text = reply.read(_LARGEST_CONFIG_BYTES).decode("utf-8", errors="replace")
    except urllib.error.HTTPError as error:
        raise _refused(model, error.code, has_token=bool(token)) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise OutsideError(
            f"{model} is not in the built-in table, and {endpoint} could not be reached: {reason}",
            fix="give a path to a folder with the model's config.json instead of the id",
        ) from error
    return _parsed(text, source=url)


def _refused(model: str, status: int, *, has_token: bool) -> UsageError | OutsideError:
    if status in (401, 403):
        fix = "accept its licence on the hub with the account of HF_TOKEN" if has_token else "set HF_TOKEN"
        return OutsideError(f"{model}: the hub wants to know who asks (HTTP {status})", fix=fix)
    if status == 404:
        return UsageError(
            f"{model}: the hub knows no such model with a config.json, or not this revision (HTTP 404)",
            fix="check the id, or give a path to a folder with config.json",
        )
    return OutsideError(f"{model}: the hub answered HTTP {status}", fix="try again, or give a path to a folder")


def _parsed(text: str, *, source: str) -> Mapping[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}", fix="it has to be a model's config.json") from error
    if not isinstance(config, dict):
        raise UsageError(f"{source} is not a model's config.json", fix="it has to be a JSON object")
    return config
