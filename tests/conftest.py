"""What several packages' tests share: the real engine."""

import os
import signal

import pytest

from flyball.engine import Engine, Home, engine_status


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew (or UPDATE_GOLDEN=1)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden"):
        os.environ["UPDATE_GOLDEN"] = "1"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell's job in the background has it: what tests start would ignore their Ctrl-C too.
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def installed_engine() -> Engine:
    """The vLLM on this machine; skips the test, saying so, where there is none."""
    engine = engine_status(Home.of_user()).engine
    if engine is None:
        pytest.skip("the local engine is not installed: run `flyball engine install`")
    return engine
