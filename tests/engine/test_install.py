"""An installation: in order, once, resumable, alone, explained when it fails. The steps here are small processes."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flyball.engine import RECIPE, Home, Step, StepReport, install, remove
from flyball.engine.install_failure import explain
from flyball.engine.journal import forget_broken_packages, read_journal
from flyball.errors import OutsideError

NOTE = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + ' ')"
SLOW = f"{NOTE}; import time; time.sleep(60)"


class Works:
    """Three steps that note their names; each can be made to fail or to take long."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(root=folder / "home")
        self.notes = folder / "notes"
        self.programs = dict.fromkeys(("one", "two", "three"), NOTE)
        self.size_bytes = 0

    @property
    def recipe(self) -> tuple[Step, ...]:
        return tuple(self._step(name) for name in self.programs)

    def _step(self, name: str) -> Step:
        command = [sys.executable, "-c", self.programs[name], str(self.notes), name]
        return Step(name=name, doing=f"do {name}", attempts=lambda _: [command], seconds=1, size_bytes=self.size_bytes)

    async def install(self) -> list[tuple[str, str]]:
        """Install; returns (step, state) of what ended."""
        reports: list[StepReport] = []
        await install(self.home, on_report=reports.append, recipe=self.recipe)
        return [(report.step.name, report.state) for report in reports if report.state != "running"]

    @property
    def noted(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    @property
    def done(self) -> tuple[str, ...]:
        return read_journal(self.home, self.recipe).done


@pytest.fixture
def works(tmp_path: Path) -> Works:
    return Works(tmp_path)


async def test_steps_run_in_order_and_once(works: Works) -> None:
    """What is done is kept the next time."""
    assert await works.install() == [("one", "done"), ("two", "done"), ("three", "done")]
    assert await works.install() == [("one", "kept"), ("two", "kept"), ("three", "kept")]
    assert works.noted == ["one", "two", "three"]
    assert not works.home.downloads.exists()
    assert not works.home.scratch.exists()


async def test_a_failed_step_is_named_and_resumed(works: Works) -> None:
    """The steps before it are not repeated, those after it not begun."""
    works.programs["two"] = "print('first'); raise SystemExit('No space left on device')"
    with pytest.raises(OutsideError, match=r"cannot do two \(step two\): the disk is full") as error:
        await works.install()

    assert error.value.fix.endswith("first\n  No space left on device")
    assert (works.noted, works.done) == (["one"], ("one",))

    works.programs["two"] = NOTE
    assert await works.install() == [("one", "kept"), ("two", "done"), ("three", "done")]
    assert works.noted == ["one", "two", "three"]


async def test_attempts_are_tried_in_turn(works: Works) -> None:
    """The first that succeeds ends the step; its predecessors' failures are not errors."""
    good = [sys.executable, "-c", NOTE, str(works.notes), "second"]
    commands = [[sys.executable, "-c", "raise SystemExit(1)"], good, [*good[:-1], "third"]]
    step = Step(name="step", doing="do", attempts=lambda _: commands, seconds=1, size_bytes=0)

    await install(works.home, on_report=lambda _: None, recipe=[step])
    assert works.noted == ["second"]


@pytest.mark.long
def test_killed_in_the_middle_it_is_incomplete_and_goes_on(works: Works, tmp_path: Path) -> None:
    """SIGKILL at a step: its process dies too, the step counts as not done, and the next run does it again."""
    works.programs["two"] = SLOW
    script = (
        "import asyncio, sys\nsys.path.insert(0, sys.argv[1])\nfrom pathlib import Path\n"
        "from test_install import SLOW, Works\n"
        "works = Works(Path(sys.argv[2]))\nworks.programs['two'] = SLOW\nasyncio.run(works.install())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)]) as installer:
        _await(lambda: works.noted == ["one", "two"])
        family = psutil.Process(installer.pid).children(recursive=True)
        installer.send_signal(signal.SIGKILL)
        installer.wait()
    _, alive = psutil.wait_procs(family, timeout=10)

    assert alive == []
    assert works.done == ("one",)

    works.programs["two"] = NOTE
    again = subprocess.run(
        [sys.executable, "-c", script.replace("= SLOW\n", f"= {NOTE!r}\n"), str(Path(__file__).parent), str(tmp_path)],
        check=False,
    )
    assert again.returncode == 0
    assert works.noted == ["one", "two", "two", "three"]


async def test_two_installations_do_not_run_at_once(works: Works) -> None:
    """The second is told so; the first, interrupted by Ctrl-C, takes its step's process with it and is resumable."""
    works.programs["two"] = SLOW
    first = asyncio.create_task(works.install())
    while works.noted != ["one", "two"]:
        await asyncio.sleep(0.02)
    with pytest.raises(OutsideError, match="another `flyball engine` command is at work"):
        await works.install()
    family = psutil.Process().children(recursive=True)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert works.done == ("one",)
    works.programs["two"] = NOTE
    assert await works.install() == [("one", "kept"), ("two", "done"), ("three", "done")]


async def test_too_small_a_disk_is_refused_before_anything(works: Works) -> None:
    """With both numbers and the way to another disk."""
    works.size_bytes = 10**17
    with pytest.raises(OutsideError, match=r"has .*iB free and the engine needs 2[67]\d,?\d* TiB") as error:
        await works.install()

    assert "FLYBALL_HOME" in error.value.fix
    assert works.noted == []


async def test_space_is_needed_for_what_is_missing_only(works: Works) -> None:
    """A finished installation needs none."""
    await works.install()
    works.size_bytes = 10**17

    assert [state for _, state in await works.install()] == ["kept"] * 3


@pytest.mark.parametrize("damage", ["{", "[]", '{"done": 3}', '{"done": ["one"]}'])
async def test_a_damaged_journal_counts_for_nothing(works: Works, damage: str) -> None:
    """The engine is then made anew rather than trusted."""
    await works.install()
    works.home.journal.write_text(damage)

    assert works.done == ()
    await works.install()
    assert works.noted == ["one", "two", "three"] * 2


async def test_a_moved_home_counts_for_nothing(works: Works, tmp_path: Path) -> None:
    """Virtual environments hold the paths that they were made in."""
    await works.install()
    shutil.move(works.home.root, tmp_path / "moved")
    works.home = Home(root=tmp_path / "moved")

    assert works.done == ()


async def test_an_older_recipe_counts_for_nothing(works: Works) -> None:
    """What an older flyball installed is replaced where the recipe says that it no longer does."""
    await works.install()
    journal = json.loads(works.home.journal.read_text())
    works.home.journal.write_text(json.dumps({**journal, "recipe": journal["recipe"] - 1}))

    assert works.done == ()


async def test_a_result_that_is_gone_counts_for_nothing(works: Works) -> None:
    """Someone deleted the model by hand: the installation is no longer complete."""
    await works.install()
    step = Step(
        name="one", doing="do", attempts=lambda _: [], seconds=1, size_bytes=0, result=lambda home: home.small_model
    )

    assert read_journal(works.home, [step]).done == ()
    works.home.small_model.mkdir(parents=True)
    assert read_journal(works.home, [step]).done == ("one", "two", "three")


async def test_steps_do_not_see_redirections(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages go where they should, temporary files to the disk that was looked at; other settings of pip pass."""
    for name in ("PIP_TARGET", "PIP_USER", "PYTHONPATH"):
        monkeypatch.setenv(name, "/elsewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    works.programs["one"] = (
        "import os, sys; open(sys.argv[1], 'w').write(' '.join(os.environ.get(name, '-') for name in "
        "('PIP_TARGET', 'PIP_USER', 'PYTHONPATH', 'PIP_FIND_LINKS', 'TMPDIR')) + ' ')"
    )
    await works.install()

    assert works.noted[:5] == ["-", "-", "-", "/wheels", str(works.home.scratch)]


async def test_no_network_is_said_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip, with an index that refuses the connection."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    command = [
        sys.executable, "-m", "pip", "download", "--dest", str(tmp_path), "--retries", "1",
        "--index-url", "http://127.0.0.1:9/simple", "no-such-package-at-all",
    ]  # fmt: skip
    step = Step(name="wheels", doing="download vLLM", attempts=lambda _: [command], seconds=1, size_bytes=0)

    with pytest.raises(
        OutsideError, match=r"cannot download vLLM \(step wheels\): a package index does not answer"
    ) as error:
        await install(Home(root=tmp_path / "home"), on_report=lambda _: None, recipe=[step])
    assert "PIP_INDEX_URL" in error.value.fix
    assert "No matching distribution found" in error.value.fix


async def test_a_home_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """One line, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError, match="cannot write to"):
        await install(Home(root=tmp_path / "file" / "home"), on_report=lambda _: None, recipe=[])


async def test_remove_takes_the_engine_and_leaves_the_rest(works: Works) -> None:
    """Other things of flyball's in the folder stay."""
    await works.install()
    works.home.small_model.mkdir(parents=True)
    (works.home.root / "fleets").mkdir()

    remove(works.home)
    remove(works.home)
    assert not works.home.engine.exists()
    assert not works.home.small_model.exists()
    assert (works.home.root / "fleets").exists()


def test_packages_that_pip_was_interrupted_in_are_forgotten(tmp_path: Path) -> None:
    """Metadata without its RECORD, or with files missing or cut short, would pass for installed."""
    for name, record, body in [
        ("whole", "whole.py,sha256=x,4\nwhole-1.dist-info/RECORD,,\n__pycache__/whole.pyc,sha256=x,9\n", "body"),
        ("cut", "cut.py,sha256=x,4\n", "bo"),
        ("lost", "lost.py,sha256=x,4\n", None),
        ("bare", None, "body"),
    ]:
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        if record is not None:
            (info / "RECORD").write_text(record)
        if body is not None:
            (tmp_path / f"{name}.py").write_text(body)
    (tmp_path / "~ld").mkdir()

    assert forget_broken_packages(tmp_path) == ["bare-1", "cut-1", "lost-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.py", "cut.py", "whole-1.dist-info", "whole.py"]


async def test_a_failed_step_that_installs_nothing_leaves_the_packages_alone(works: Works) -> None:
    """Only a step that brings packages can have been interrupted in one; after any other they are not touched."""
    works.programs["three"] = "raise SystemExit(1)"
    with pytest.raises(OutsideError):
        await works.install()
    odd = works.home.venv / "lib" / "python3.11" / "site-packages" / "odd-1.dist-info"
    odd.mkdir(parents=True)

    with pytest.raises(OutsideError):
        await works.install()
    assert odd.exists()


@pytest.mark.parametrize(
    ("returncode", "cause"),
    [(1, "ended with an error"), (-4, "this processor lacks"), (-9, "killed"), (-11, "ended by signal 11")],
)
def test_a_step_that_a_signal_ended_says_so(tmp_path: Path, returncode: int, cause: str) -> None:
    """A process that a signal ended wrote no reason; the signal is one."""
    (step,) = [step for step in RECIPE if step.name == "check"]

    assert cause in explain(step, "", returncode=returncode, log=tmp_path / "install.log").what


def _await(condition: object, timeout_s: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
