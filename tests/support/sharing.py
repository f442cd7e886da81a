"""How tests are shared among processes, with pytest-xdist: `pytest -n 6`.

One process waits for the machines of the rig, which all start at once. Each other file goes to one process, which
starts the file's servers once. What judges how long something takes, or what it costs, comes first and has its turn
alone: only the machines and what merely computes, which are nicer, run beside it and take what it leaves of the
processors; once they are done, the others have both. What mostly waits has a lane: one of each other lane may
run beside it. With `--reruns 1` what failed beside others is alone, too (docs/decisions/0054).
"""

import contextlib
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.rig.vm import PATIENT, be_nice

GUEST = "tests/rig/guest/"
COMPUTING = (
    "tests/proofs/test_simulated_samples.py",
    "tests/recorder/archive/test_derived_files.py",
    "tests/recorder/features/dossier/test_packing.py",
    "tests/recorder/mp4/test_finalize",
    "tests/recorder/package/test_keyframes.py",
    "tests/recorder/recovery/test_killed.py",
    "tests/recorder/features/report/",
    "tests/recorder/features/slides/",
)
"""What merely computes, and judges no clock: one process does it from the beginning, beside whatever runs."""
LONG = (
    "tests/agent/commands/",
    "tests/agent/test_",
    "tests/agent/web/",
    "tests/bench/",
    "tests/recorder/features/copies/",
    "tests/recorder/recovery/",
    "tests/recorder/live_encode/test_session_streams",
)
"""Few tests, of which each runs a daemon, a browser, sessions: begun last, one file would be waited for at the end."""
ALONE = (
    "tests/proofs/test_samples.py",
    "tests/agent/checks/kinds/test_stream_keys.py",
    "tests/agent/test_demo.py",
    "tests/devices/health/test_others_load.py",
    "tests/recorder/session/test_session_armed.py",
)
"""What a computer that does too much else fails: recordings that miss nothing, figures."""
LANES = (
    ("tests/capture/sound/", "tests/agent/test_conference.py"),
    ("tests/net/", "tests/devices/uplink/test_librespeed.py"),
    (
        "tests/proofs/test_waiting_samples.py",
        "tests/recorder/live/transports/test_srt_publish.py",
        "tests/recorder/recording/test_session_storage.py",
    ),
)
"""The same, but it mostly waits: for sound; for links; for disks, and for what goes wrong. One of each lane may run."""
ALL_LANES = range(len(LANES))
MORE_PATIENT = PATIENT + 2
"""The niceness of what computes: a machine has one processor at most, and if it has less, the others wait for it."""
ONE_AMONG_SIX = 7
"""The niceness of a session that has a fifth of what another one has: a process beside the five others."""


class Sharing(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for us
    """Hands out groups of tests: machines, what computes, what has a lane, what runs alone, what is long, other files.

    Of each the largest first; of those with a lane by turns, so that each has somebody.
    """

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        self._given = Counter[int | None]()

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test."""
        if nodeid.startswith(GUEST):
            return GUEST
        return COMPUTING[0] if nodeid.startswith(COMPUTING) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        """Give a process the next group."""
        group = min(self.workqueue, key=lambda group: (_place(group), self._given[_lane(group)]))
        self._given[_lane(group)] += 1
        self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)


def _place(group: str) -> int:
    """Return the place of a group in the order in which they are handed out."""
    places: Sequence[tuple[str, ...]] = ((GUEST,), COMPUTING, sum(LANES, ()), ALONE, LONG)
    return next((place for place, groups in enumerate(places) if group.startswith(groups)), len(places))


def _lane(name: str) -> int | None:
    """Return the lane of a group or of a test; None where it has none."""
    return next((lane for lane, groups in enumerate(LANES) if name.startswith(groups)), None)


class Turns:
    """A plugin of one process among several: each test has its turn, and what is tried again has it alone."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that all processes know."""
        self._folder = folder
        self._be_alone: Callable[[], None] = _nothing

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-timeout, which does not count the wait for others
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        patient = be_patient() if item.nodeid.startswith(COMPUTING) else contextlib.nullcontext()
        with patient, turn_of(item.nodeid, self._folder) as self._be_alone:
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome: str = report.outcome  # pytest-rerunfailures has one more than pytest
        if outcome == "rerun":
            self._be_alone()


def turn_of(nodeid: str, folder: Path) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Let this test have its turn; `folder` is one that all processes know. As `turn`."""
    if nodeid.startswith(GUEST):
        return contextlib.nullcontext(_nothing)
    if nodeid.startswith(COMPUTING):
        return turn(folder, alone=True, lanes=())
    if (lane := _lane(nodeid)) is not None:
        return turn(folder, alone=True, lanes=(lane,))
    return turn(folder, alone=nodeid.startswith(ALONE))


@contextlib.contextmanager
def be_patient() -> Iterator[None]:
    """Be nicer than the rig's machines; whoever is not root could not come back from that, and stays as it is.

    That asks for a session of its own, where Linux shares processors among sessions first. It is for good, so
    afterwards that has the share of one process among the others, which are one session.
    """
    if os.geteuid():
        yield
        return
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):  # it has its own
        os.setsid()
    be_nice(os.getpid(), MORE_PATIENT)
    os.setpriority(os.PRIO_PROCESS, 0, MORE_PATIENT)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
        be_nice(os.getpid(), ONE_AMONG_SIX)


@contextlib.contextmanager
def turn(folder: Path, *, alone: bool, lanes: Sequence[int] = ALL_LANES) -> Iterator[Callable[[], None]]:
    """Wait for those that are alone, or to be alone in these lanes; what is yielded waits to be quite alone."""
    with contextlib.ExitStack() as opened:
        queues, places = (
            [opened.enter_context((folder / f"{name}-{lane}").open("w")) for lane in ALL_LANES]
            for name in ("queue", "lane")
        )

        def take(how: int, lanes: Sequence[int]) -> None:
            for lane in ALL_LANES:
                fcntl.flock(places[lane], fcntl.LOCK_UN)
            for lane in lanes:  # all in the same order: nobody waits for somebody who waits for him
                fcntl.flock(queues[lane], fcntl.LOCK_EX)  # who wants to be alone is not overtaken by those who share
                fcntl.flock(places[lane], how)
                fcntl.flock(queues[lane], fcntl.LOCK_UN)

        take(fcntl.LOCK_EX if alone else fcntl.LOCK_SH, lanes)
        try:
            yield partial(take, fcntl.LOCK_EX, ALL_LANES)
        finally:
            for place in places:
                fcntl.flock(place, fcntl.LOCK_UN)  # what a test has forked may have it open still


def _nothing() -> None:
    """Wait for nobody."""
