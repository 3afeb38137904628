"""The rules of the source itself: small modules, telling names, nothing of one machine."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LINES, TEST_LINES, FUNCTION_LINES = 400, 600, 60
VAGUE = re.compile(r"^_?(utils?|helpers?|common|misc|manager|core)$")


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_module_is_small_and_well_named(path: Path) -> None:
    """A module has at most 400 lines, a function at most 60, and a name that says what is inside."""
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES]

    assert len(text.splitlines()) <= MODULE_LINES
    assert long == []
    assert not VAGUE.match(path.stem)


@pytest.mark.parametrize("path", TESTS, ids=_relative)
def test_test_module_is_small_and_states_its_claims(path: Path) -> None:
    """A test module has at most 600 lines, and each of its tests a docstring."""
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    silent = [node.name for node in functions if node.name.startswith("test_") and not ast.get_docstring(node)]

    assert len(text.splitlines()) <= TEST_LINES
    assert silent == []


def test_every_package_states_its_contract() -> None:
    """Each package and each module opens with a docstring."""
    silent = [
        _relative(path) for path in SOURCES if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_no_machine_shows() -> None:
    """No path of one machine stands in the source, the tests or the documents."""
    machine = re.compile(r"/work/|/opt/wheels|/home/(?!vllm/)[a-z]+/|\.\./shared")
    files = [*SOURCES, *TESTS, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.yaml")]
    named = [_relative(path) for path in files if path != Path(__file__) and machine.search(path.read_text())]

    assert named == []
