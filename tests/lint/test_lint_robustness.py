"""Whatever stands in a manifest, linting it ends with findings and not with an exception."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.lint import SourceDocument, lint

DATA = Path(__file__).parent / "data"
FILES = [*sorted(DATA.glob("good*/*.yaml")), DATA / "guide" / "pipeline.yaml", *sorted(DATA.glob("flawed/*.yaml"))]
JUNK = [
    None, "", "x", -1, 0, True, 1.5, "1e999", 10**400, "nan", "$(X)", [], {}, [None], {"a": None}, [[1]], "a: [",
    "9" * 400,
]  # fmt: skip
KeyPath = tuple[str | int, ...]


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The key paths of everything inside."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        yield (*path, key)
        yield from paths(child, (*path, key))


DOCUMENTS = {file.name: list(yaml.safe_load_all(file.read_text())) for file in FILES}
PLACES = [(name, path) for name, documents in DOCUMENTS.items() for path in paths(documents)]


def replaced(value: Any, path: KeyPath, junk: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = junk
    return changed


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), st.sampled_from(JUNK))
@pytest.mark.long
def test_any_value_anywhere(place: tuple[str, KeyPath], junk: Any) -> None:
    """A value of the wrong kind or of an absurd size in any place of a manifest is no defect of ours."""
    name, path = place

    lint([SourceDocument(name=name, text=yaml.safe_dump_all(replaced(DOCUMENTS[name], path, junk)))])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FILES), st.integers(0, 6000), st.integers(0, 40), st.sampled_from(["", "\t", ":", "{", "&a ", "\0"])
)
def test_any_damage_to_the_text(file: Path, start: int, length: int, put: str) -> None:
    """A manifest with a piece torn out is linted as far as it can be read."""
    text = file.read_text()

    lint([SourceDocument(name=file.name, text=text[:start] + put + text[start + length :])])


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " * 5_000, "- " * 50_000, "{" * 3_000 + "}" * 3_000])
def test_depth(text: str) -> None:
    """Endless nesting is a broken document."""
    assert {finding.rule for finding in lint([SourceDocument(name="deep.yaml", text=text)])} == {"broken-yaml"}
