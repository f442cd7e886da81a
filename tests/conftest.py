"""What holds for every test: Liput's memory of this PC, and the place where its sessions are found, are its own.

And a recording, made once, for all that only need one.
"""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import schema
from config.settings.office import LOCAL, use_time_zone
from config.state import STATE_VARIABLE
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME
from tests.rig.sampling import IN_GUEST, IN_WORDS
from tests.support import reaper
from tests.support.parts import is_unit, may_have_unit
from tests.support.recorders import kill_recorders
from tests.support.waiting import wait_for

collect_ignore = ["extending"]
"""Examples of docs/extending.md: tests/test_extending.py puts them where they belong, and runs them there."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what tests/rig/guest/conftest.py asks for; only this file is read in time."""
    parser.addoption(
        "--rig-sample",
        metavar="SEED",
        help=f"of the tests in the rig's machines, run {IN_WORDS}, as SEED decides",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which sample it is, so that it can be run again."""
    seed = config.getoption("rig_sample")
    return f"--rig-sample {seed}: of the rig's tests {IN_WORDS}; ./run prove rig has all" if seed else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import no module for the unit part that has nothing of it."""
    is_unit_part = config.option.markexpr == "unit" and collection_path.suffix == ".py"
    return True if is_unit_part and not may_have_unit(collection_path) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the unit part."""
    if is_unit(item):
        item.add_marker("unit")


@pytest.hookimpl(optionalhook=True)  # there is no pytest-xdist in the rig's machines
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share tests among processes in our own way."""
    from tests.support.sharing import Sharing

    return Sharing(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Have Hypothesis be patient, and let each test of one process among several have its turn."""
    if not IN_GUEST:  # no test needs these there, and to load them would take five seconds
        reaper.start()
        from hypothesis import HealthCheck, settings

        # Shared machines are slow now and then, and its tables of letters are made in the first test of a new clone.
        settings.register_profile(
            "shared", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
        settings.load_profile("shared")
    if hasattr(config, "workerinput"):
        from tests.support.sharing import Turns

        config.pluginmanager.register(Turns(Path(config.option.basetemp).parent))


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and every process they start, away from the user's own state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(tmp_path_factory.mktemp("state")))
        patch.setenv(RUNTIME, str(tmp_path_factory.mktemp("runtime")))
        yield


@pytest.fixture(autouse=True)
def fresh_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test find what another has left, and no recorder outlive its test."""
    number = str(next(_NUMBERS))
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path_factory.getbasetemp() / "state" / number))
    runtime = tmp_path_factory.getbasetemp() / "runtime" / number
    monkeypatch.setenv(RUNTIME, str(runtime))
    yield
    kill_recorders(runtime)
    use_time_zone(LOCAL)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home folder of its own, in which nobody has settings."""
    for variable in ("LIPUT_CONFIG", "XDG_CONFIG_HOME", "XDG_VIDEOS_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(schema, "SYSTEM_FILE", tmp_path / "etc" / "liput.toml")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Wait, at the end of the test, for every thread that began in it."""
    before = set(threading.enumerate())
    yield
    wait_for(lambda: set(threading.enumerate()) <= before)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a recording to make packages of; nobody changes it."""
    from tests.support import archives  # which loads libav

    return archives.make_program(tmp_path_factory.mktemp("media") / "program.mp4")


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save the time: nothing is lost that the kernel has."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


_NUMBERS = iter(range(1 << 30))
