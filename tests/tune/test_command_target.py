"""A server that a shell command restarts: a real small one."""

import shlex
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from flyball.catalog import DEFAULT_RELEASE
from flyball.engine import StartFailure
from flyball.errors import UsageError
from flyball.processes import Nursery, free_port
from flyball.tune.command_target import CommandTarget, filled
from flyball.tune.target import Started
from flyball.tune.trial import Flags

SERVER = Path(__file__).with_name("restartable_server.py")
PYTHON = shlex.quote(sys.executable)


class Place:
    """Makes targets for commands, all on one port."""

    def __init__(self, folder: Path, nursery: Nursery, session: aiohttp.ClientSession) -> None:
        self.folder, self.nursery, self.session, self.port = folder, nursery, session, free_port()
        self.log = folder / "engine.log"

    def target(self, template: str, *, timeout_s: float = 15.0) -> CommandTarget:
        return CommandTarget(
            template, f"http://127.0.0.1:{self.port}", fixed={"block_size": 32}, version=DEFAULT_RELEASE,
            start_timeout_s=timeout_s, model="m", api_key=None, nursery=self.nursery, session=self.session,
        )  # fmt: skip

    @property
    def foreground(self) -> str:
        """The command is the server."""
        return f"exec {PYTHON} {SERVER} {self.port} {{flags}}"

    @property
    def service(self) -> str:
        """The command ends an old server, starts a new one in the background, and returns at once."""
        pid = shlex.quote(str(self.folder / "pid"))
        end = f"if [ -f {pid} ]; then kill $(cat {pid}); sleep 0.3; fi"
        start = f"{PYTHON} {SERVER} {self.port} {{max_num_seqs}} >/dev/null 2>&1 & echo $! > {pid}"
        return f"{end}; {start}"

    def arguments(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models") as reply:
            return str(reply.read().decode())


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with aiohttp.ClientSession() as session:
        with Nursery() as nursery:
            yield Place(tmp_path, nursery, session)


async def test_a_command_that_is_the_server(place: Place) -> None:
    """It is given all flags, counts as ready with its /health, tells its version, and ends with `stop`."""
    target = place.target(place.foreground)
    started = await target.start({"max_num_seqs": 8}, log=place.log)
    assert isinstance(started, Started)
    assert (started.model, started.vllm) == ("m", "0.33.0")
    assert "--max-num-seqs=8" in place.arguments()
    assert "--block-size=32" in place.arguments()
    await target.stop()
    again = await target.start({"max_num_seqs": 16}, log=place.log)
    assert isinstance(again, Started)
    assert "--max-num-seqs=16" in place.arguments()
    await target.stop()


async def test_a_service_that_is_restarted(place: Place) -> None:
    """The old server's /health does not pass for the new one's."""
    target = place.target(place.service)
    for sequences in (4, 8):
        started = await target.start({"max_num_seqs": sequences}, log=place.log)
        assert isinstance(started, Started)
        assert f'"{sequences}"' in place.arguments()
    await target.stop()


@pytest.mark.long
async def test_a_restart_that_does_nothing_is_told(place: Place) -> None:
    """The same process answers as before: measuring it would measure the old flags."""
    server = place.target(place.foreground)
    await server.start({"max_num_seqs": 4}, log=place.log)
    failure = await place.target("true {flags}", timeout_s=1.5).start({"max_num_seqs": 8}, log=place.log)
    assert isinstance(failure, StartFailure)
    assert "the same process answers" in failure.cause
    await server.stop()


async def test_a_command_that_fails_says_so_in_its_own_words(place: Place) -> None:
    """With the exit code and the last line that it printed."""
    target = place.target("echo loading {flags}; echo 'no such node pool' >&2; exit 7")
    failure = await target.start({"max_num_seqs": 8}, log=place.log)
    assert isinstance(failure, StartFailure)
    assert "exit code 7" in failure.cause
    assert "no such node pool" in failure.evidence


async def test_vllms_own_mistakes_are_recognised(place: Place) -> None:
    """What a local replica's log is diagnosed by holds here too."""
    target = place.target("echo 'api_server.py: error: unrecognized arguments: --max-num-seqz'; exit 2 # {flags}")
    failure = await target.start({"max_num_seqs": 8}, log=place.log)
    assert isinstance(failure, StartFailure)
    assert "does not know --max-num-seqz" in failure.cause


def test_values_are_quoted() -> None:
    """A flag's value is one word for the shell, whatever stands in it; the shell's own variables are left alone."""
    flags: Flags = {"kv_cache_dtype": "a b; rm -rf x", "max_num_seqs": 4}
    command = filled("run ${HOME} {kv_cache_dtype} {max_num_seqs}", flags, fixed={}, version=DEFAULT_RELEASE)
    assert shlex.split(command) == ["run", "${HOME}", "a b; rm -rf x", "4"]


@pytest.mark.parametrize(
    ("template", "said"),
    [("run {max_num_seq}", "is no flag that is set"), ("run --fast", "does not pass on max_num_batched_tokens")],
)
def test_mistakes_in_the_template_are_told(template: str, said: str) -> None:
    """Before anything is started."""
    flags = {"max_num_seqs": 4, "max_num_batched_tokens": 2048}
    with pytest.raises(UsageError, match=said):
        filled(template, flags, fixed={}, version=DEFAULT_RELEASE)
