"""Regenerate src/flyball/catalog/data/vllm-releases.json from unpacked vLLM sdists.

    python scripts/vllm_releases.py --python VENV/bin/python vllm-0.26.0/ vllm-0.27.0/ ... > vllm-releases.json

VENV is any environment with vLLM's Python dependencies (an install of vLLM has them); each folder is one unpacked sdist
of PyPI's `vllm`. `vllm_introspect.py`, run in VENV once per folder, asks that vLLM's own code. The document holds the
oldest release in full and for each later one only what it added, removed or changed, so that it reads as a changelog.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SECTIONS = ("flags", "metrics")
INTROSPECT = Path(__file__).with_name("vllm_introspect.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("folders", nargs="+", type=Path)
    given = parser.parse_args()
    found = sorted((introspect(given.python, folder) for folder in given.folders), key=release_order)
    sys.stdout.write(render(changelog(found)) + "\n")


def introspect(python: str, folder: Path) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(folder.resolve()), "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [python, "-P", str(INTROSPECT)], env=environment, cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def release_order(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in found["version"].split("."))


def changelog(found: list[dict[str, Any]]) -> dict[str, Any]:
    first, *later = found
    releases = {first["version"]: {key: first[key] for key in ("defaults", *SECTIONS)}}
    for before, after in zip(found, later, strict=False):
        changes: dict[str, Any] = {}
        if after["defaults"] != before["defaults"]:
            changes["defaults"] = after["defaults"]
        for section in SECTIONS:
            changes[section] = difference(before[section], after[section])
        releases[after["version"]] = changes
    return {"source": "PyPI sdists of vllm, read by scripts/vllm_introspect.py", "releases": releases}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {
        "removed": sorted(set(before) - set(after)),
        "added": {name: row for name, row in after.items() if name not in before},
        "changed": {name: row for name, row in after.items() if name in before and before[name] != row},
    }


def render(value: Any, indent: str = "") -> str:
    """JSON with one flag or metric per line, so that a diff of two regenerations can be read."""
    is_row = not isinstance(value, dict) or "kind" in value or "type" in value or not value
    if is_row or not any(isinstance(item, dict | list) for item in value.values()):
        return json.dumps(value)
    inner = indent + " "
    lines = (f"{inner}{json.dumps(key)}: {render(item, inner)}" for key, item in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


if __name__ == "__main__":
    main()
