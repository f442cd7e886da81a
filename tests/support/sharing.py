"""How tests are shared among processes, with pytest-xdist: `pytest -n 6`.

One process waits for the machines of the rig, which all start at once. Each other file goes to one process, which
starts the file's servers once. What judges how long something takes, or what it costs, comes first and has its turn
alone: only the machines, which are nicer, run beside it, as they do where nothing is shared, and take what it leaves
of the processors; once they are done, the others have both. What mostly waits has half of the computer: one of the
other half may run beside it. With `--reruns 1` what failed beside others is alone, too (docs/decisions/0054).
"""

import contextlib
import fcntl
from collections.abc import Callable, Generator, Iterator, Sequence
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
    "tests/proofs/test_simulated_samples.py",
    "tests/recorder/archive/test_killed",
    "tests/recorder/copies/",
    "tests/recorder/recovery/",
    "tests/recorder/streaming/test_session_streams.py",
)
"""Few tests, of which each runs a daemon, a browser, sessions: begun last, one file would be waited for at the end."""
ALONE = (
    "tests/proofs/test_samples.py",
    "tests/net/",
    "tests/agent/checks/test_keys.py",
    "tests/agent/test_conference.py",
    "tests/agent/test_demo.py",
    "tests/devices/test_others_load.py",
    "tests/recorder/test_session_armed.py",
)
"""What a computer that does too much else fails: recordings that miss nothing, figures."""
HALVES = (
    (
        "tests/capture/sound/",
        "tests/net/test_srt.py",
        "tests/net/test_uplink_faults.py",
        "tests/devices/uplink/test_librespeed.py",
    ),
    (
        "tests/proofs/test_waiting_samples.py",
        "tests/recorder/live/test_srt.py",
        "tests/recorder/storing/test_session_storage.py",
    ),
)
"""The same, but it mostly waits: sound and links; disks, and what goes wrong. One of each half may run at a time."""
BOTH = range(len(HALVES))


class Sharing(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for us
    """Hands out groups of tests: machines, what has a half, what runs alone, what is long, other files.

    Of each the largest first.
    """

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
    for place, groups in enumerate((sum(HALVES, ()), ALONE, LONG), start=1):
        if group.startswith(groups):
            return place
    return 4


class Turns:
    """A plugin of one process among several: each test has its turn, and what is tried again has it alone."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that all processes know."""
        self._folder = folder
        self._be_alone: Callable[[], None] = _nothing

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-timeout, which does not count the wait for others
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        with turn_of(item.nodeid, self._folder) as self._be_alone:
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome  # pytest-rerunfailures has one more than pytest
        if outcome == "rerun":
            self._be_alone()


def turn_of(nodeid: str, folder: Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Let this test have its turn; `folder` is one that all processes know. As `turn`."""
    if nodeid.startswith(GUEST):
        return contextlib.nullcontext(_nothing)
    for half, groups in enumerate(HALVES):
        if nodeid.startswith(groups):
            return turn(folder, alone=True, halves=(half,))
    return turn(folder, alone=nodeid.startswith(ALONE))


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool, halves: Sequence[int] = BOTH) -> Iterator[Callable[[], None]]:
    """Wait for those that are alone, or to be alone in these halves; what is yielded waits to be quite alone."""
    with contextlib.ExitStack() as opened:
        queues, places = (
            [opened.enter_context((folder / f"{name}-{half}").open("w")) for half in BOTH] for name in ("queue", "half")
        )

        def take(how: int, halves: Sequence[int]) -> None:
            for half in BOTH:
                fcntl.flock(places[half], fcntl.LOCK_UN)
            for half in halves:  # all in the same order: nobody waits for somebody who waits for him
                fcntl.flock(queues[half], fcntl.LOCK_EX)  # who wants to be alone is not overtaken by those who share
                fcntl.flock(places[half], how)
                fcntl.flock(queues[half], fcntl.LOCK_UN)

        take(fcntl.LOCK_EX if alone else fcntl.LOCK_SH, halves)
        try:
            yield partial(take, fcntl.LOCK_EX, BOTH)
        finally:
            for place in places:
                fcntl.flock(place, fcntl.LOCK_UN)  # what a test has forked may have it open still


def _nothing() -> None:
    """Wait for nobody."""
