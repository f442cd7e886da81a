"""What holds for every test: Liput's memory of this PC, and the place where its sessions are found, are its own."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from config.state import VARIABLE
from recorder.control.directory import VARIABLE as RUNTIME
from tests.support.recorders import kill_recorders

# Shared machines are slow now and then, and Hypothesis makes its tables of letters in the first test of a new clone.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and every process they start, away from the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("state")))
        patch.setenv(RUNTIME, str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(autouse=True)
def fresh_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test find what another has left, and no recorder outlive its test."""
    number = str(next(_NUMBERS))
    monkeypatch.setenv(VARIABLE, str(tmp_path_factory.getbasetemp() / "state" / number))
    runtime = tmp_path_factory.getbasetemp() / "runtime" / number
    monkeypatch.setenv(RUNTIME, str(runtime))
    yield
    kill_recorders(runtime)


_NUMBERS = iter(range(1 << 30))
