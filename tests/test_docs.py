"""The documents' examples, run: every `$ flyball ...` in a console block gives the output that stands below it.

A line `...` in the expected output stands for any lines. A block under an HTML comment `not run: WHY` is left out.
"""

import contextlib
import difflib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from flyball.cli.main import app, run

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?P<note><!-- not run: .*? -->\n)?```console\n(?P<text>.*?)```", re.DOTALL)


class Example(NamedTuple):
    page: str
    command: str
    expected: str


def _examples() -> Iterator[Example]:
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text()):
            if block["note"]:
                continue
            for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                command, _, expected = part.partition("\n")
                yield Example(page.name, command, expected)


EXAMPLES = list(_examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.page}: {example.command}"[:80])
def test_example(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints what the page shows."""
    words = shlex.split(example.command)
    assert words[0] == "flyball"
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        run(words[1:])

    pieces = [re.escape(piece) for piece in re.split(r"^\.\.\.\n", example.expected, flags=re.MULTILINE)]
    if not re.fullmatch("(?:.*\n)*?".join(pieces), printed.getvalue()):
        pytest.fail("\n".join(difflib.ndiff(example.expected.splitlines(), printed.getvalue().splitlines())))


def test_pages_hold_examples() -> None:
    """There is something to run: the pattern still matches the pages."""
    assert len(EXAMPLES) >= 3


def test_every_verb_is_in_the_readme() -> None:
    """The README's table of verbs is complete."""
    text = (ROOT / "README.md").read_text()

    assert [verb for verb in app if not verb.startswith("-") and f"`flyball {verb}" not in text] == []
