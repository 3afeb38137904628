"""What an installation has done so far, on disk: the difference between a usable engine and a half-made one."""

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flyball.engine.home import ENGINE_VERSION, Home
from flyball.engine.recipe import RECIPE_REVISION, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The steps that are done, of which engine and where. One of another version or place counts for nothing."""

    engine: str
    recipe: int
    venv: str
    done: tuple[str, ...] = ()


def read_journal(home: Home, recipe: Iterable[Step]) -> Journal:
    """The journal in `home`; an empty one if there is none that counts, or if a result of its steps is gone."""
    empty = Journal(engine=ENGINE_VERSION, recipe=RECIPE_REVISION, venv=str(home.venv))
    try:
        found = json.loads(home.journal.read_text(encoding="utf-8"))
        journal = replace(empty, done=tuple(map(str, found["done"])))
    except (OSError, ValueError, TypeError, KeyError):
        return empty
    if {**found, "done": ()} != asdict(empty):
        return empty
    results = (step.result(home) for step in recipe if step.result and step.name in journal.done)
    return journal if all(result.exists() for result in results) else empty


def write_journal(home: Home, journal: Journal) -> None:
    """Replace the journal; a reader sees the old one or the new one, never a part."""
    home.engine.mkdir(parents=True, exist_ok=True)
    scratch = home.journal.with_suffix(".new")
    scratch.write_text(json.dumps(asdict(journal), indent=2) + "\n", encoding="utf-8")
    scratch.replace(home.journal)


def forget_broken_packages(site_packages: Path) -> Sequence[str]:
    """Remove the metadata of packages that pip was interrupted in, so that it installs them again. Returns their names.

    pip takes a package for installed once its metadata is there, and writes that before the last files.
    """
    broken = [info for info in site_packages.glob("*.dist-info") if not _is_whole(info)]
    for info in [*broken, *site_packages.glob("~*")]:  # ~: what pip moved aside while it replaced a package
        shutil.rmtree(info)
    return sorted(info.name.removesuffix(".dist-info") for info in broken)


def _is_whole(info: Path) -> bool:
    try:
        with (info / "RECORD").open(newline="", encoding="utf-8") as file:
            return all(
                _is_there(info.parent / name, size)
                for name, _, size in csv.reader(file)
                if not name.endswith(".pyc")  # some wheels bring bytecode, which compiling replaces
            )
    except (OSError, ValueError):
        return False


def _is_there(path: Path, size: str) -> bool:
    return path.stat().st_size == int(size) if size else path.exists()
