"""How tests are shared among processes, with pytest-xdist: `pytest -n 4`.

One process waits for the machines of the rig, which all start at once. Each other file goes to one process, which
starts the file's servers once. What judges how long something takes, or what it costs, comes first and has its turn
alone: only the machines, which are nicer, run beside it, as they do where nothing is shared, and take what it leaves
of the processors; once they are done, the others have both. With `--reruns 1` so has
what failed beside others (docs/decisions/0054).
"""

import contextlib
import fcntl
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

GUEST = "tests/rig/guest/"
LONG = (
    "tests/agent/commands/",
    "tests/agent/test_",
    "tests/agent/web/",
    "tests/bench/",
    "tests/recorder/archive/test_killed",
    "tests/recorder/copies/",
    "tests/recorder/recovery/",
    "tests/recorder/streaming/test_session_streams.py",
)
"""Few tests, of which each runs a daemon, a browser, sessions: begun last, one file would be waited for at the end."""
ALONE = (
    "tests/proofs/",
    "tests/net/",
    "tests/agent/checks/test_keys.py",
    "tests/agent/test_conference.py",
    "tests/agent/test_demo.py",
    "tests/capture/sound/",
    "tests/devices/test_others_load.py",
    "tests/recorder/live/test_srt.py",
    "tests/recorder/storing/test_session_storage.py",
    "tests/recorder/test_session_armed.py",
)
"""What a computer that does too much else fails: recordings that miss nothing, sound without a gap, figures."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for us
    """Hands out groups of tests: machines, what runs alone, what is long, other files; of each the largest first."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test."""
        return GUEST if nodeid.startswith(GUEST) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        """Give a process the next group."""
        self.workqueue.move_to_end(min(self.workqueue, key=_place), last=False)
        super()._assign_work_unit(node)


def _place(group: str) -> int:
    """Return the place of a group in the order in which they are handed out."""
    if group == GUEST:
        return 0
    if group.startswith(ALONE):
        return 1
    return 2 if group.startswith(LONG) else 3


class Turns:
    """A plugin of one process among several: each test has its turn, and what is tried again has it alone."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that all processes know."""
        self._folder = folder
        self._be_alone: Callable[[], None] = _nothing
        self._restart_timer: Callable[[], None] = _nothing

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-timeout, which does not count the wait for others
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self._restart_timer = _nothing
        with turn_of(item.nodeid, self._folder) as self._be_alone:
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> None:
        """Learn how long this test may take; pytest-timeout sets the timer."""
        hook = item.config.hook

        def restart() -> None:
            hook.pytest_timeout_cancel_timer(item=item)
            hook.pytest_timeout_set_timer(item=item, settings=settings)

        self._restart_timer = restart

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome  # pytest-rerunfailures has one more than pytest
        if outcome == "rerun":
            self._be_alone()
            self._restart_timer()


def turn_of(nodeid: str, folder: Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Let this test have its turn; `folder` is one that all processes know. As `turn`."""
    return (
        contextlib.nullcontext(_nothing) if nodeid.startswith(GUEST) else turn(folder, alone=nodeid.startswith(ALONE))
    )


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[Callable[[], None]]:
    """Wait for those that are alone, or to be alone oneself; what is yielded waits to be alone from then on."""
    with (folder / "queue").open("w") as queue, (folder / "turn").open("w") as place:

        def take(how: int) -> None:
            fcntl.flock(place, fcntl.LOCK_UN)
            fcntl.flock(queue, fcntl.LOCK_EX)  # who wants to be alone is not overtaken for ever by those who share
            fcntl.flock(place, how)
            fcntl.flock(queue, fcntl.LOCK_UN)

        take(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield partial(take, fcntl.LOCK_EX)
        finally:
            fcntl.flock(place, fcntl.LOCK_UN)  # what a test has forked may have it open still


def _nothing() -> None:
    """Wait for nobody."""
