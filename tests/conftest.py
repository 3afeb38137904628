"""What several packages' tests share: the real engine."""

import pytest

from flyball.engine import Engine, Home, engine_status


@pytest.fixture(scope="session")
def installed_engine() -> Engine:
    """The vLLM on this machine; skips the test, saying so, where there is none."""
    engine = engine_status(Home.of_user()).engine
    if engine is None:
        pytest.skip("the local engine is not installed: run `flyball engine install`")
    return engine
