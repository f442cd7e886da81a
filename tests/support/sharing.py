"""How tests are shared among processes, with pytest-xdist: `pytest -n 7`.

One process waits for the machines of the rig, which all start at once. Each other file goes to one process, which
starts the file's servers once. Two marks change when a test runs (docs/decisions/0055):

- `alone(why, lane=None)`: it judges how long something takes or what it costs, so it has its turn alone. A test with a
  lane mostly waits: one of each other lane may run beside it. Tests without a lane run one after the other in one turn.
- `computing`: it judges no clock.

Machines, computing tests and the unit part run beside everything, nicer than others. The last two fill the processors
while tests run alone.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.rig.vm import PATIENT, be_nice
from tests.support.parts import may_have_unit

GUEST = "tests/rig/guest/"
LANES = ("sound", "links", "disks", "sessions")
ALONE = (*LANES, "alone")
FIRST = (GUEST, *ALONE)
MORE_PATIENT = PATIENT + 2
"""The niceness of computing tests: a machine has one processor at most, and if it has less, the others wait for it."""
ONE_AMONG_MANY = 7
"""The niceness of a session that has a fifth of what another one has: a process beside some others."""
_MARK = re.compile(r'pytest\.mark\.(computing|alone)\b(?:.*lane="(\w+)")?')


class Sharing(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for us
    """Hands out what runs alone, each lane and machines to one process each; then file by file."""

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        self._root = config.rootpath

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test."""
        file = nodeid.partition("::")[0]
        found = GUEST if file.startswith(GUEST) else place(self._root / file)
        return found if found in FIRST else file

    def _assign_work_unit(self, node: Any) -> None:
        """Give a process the next group: while tests run alone, a file that waits for nobody."""
        begun = (unit.items() for unit in self.assigned_work.values())
        is_alone = any(group in ALONE and not all(tests.values()) for units in begun for group, tests in units)
        files = ("computing", "unit", "starts") if is_alone else ("starts", "computing", "unit")
        order = (*FIRST, *files)
        places = {group: group if group in FIRST else place(self._root / group) for group in self.workqueue}
        self.workqueue.move_to_end(min(places, key=lambda group: order.index(places[group])), last=False)
        super()._assign_work_unit(node)


@cache
def place(file: Path) -> str:
    """Return the place of a file of tests in the order: that of its first mark, or whether it starts programs."""
    if found := _MARK.search(file.read_text()):
        return found[2] or found[1]
    return "unit" if may_have_unit(file) else "starts"


class Turns:
    """A plugin of one process among several: each test has its turn."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that all processes know."""
        self._folder = folder
        self._turn = contextlib.ExitStack()
        self._goes_on = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-timeout, which does not count the wait for others
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
        if not self._goes_on:
            self._turn.enter_context(turn_of(item, self._folder))
        try:
            return (yield)
        finally:
            self._goes_on = nextitem is not None and has_no_lane(item) and has_no_lane(nextitem)
            if not self._goes_on:
                self._turn.close()


def has_no_lane(item: pytest.Item) -> bool:
    """Return whether nothing may run beside a test."""
    alone = item.get_closest_marker("alone")
    return alone is not None and "lane" not in alone.kwargs


@contextlib.contextmanager
def turn_of(item: pytest.Item, folder: Path) -> Iterator[None]:
    """Let this test have its turn; `folder` is one that all processes know."""
    alone = item.get_closest_marker("alone")
    if item.nodeid.startswith(GUEST):
        yield
    elif item.get_closest_marker("computing") or item.get_closest_marker("unit"):
        with be_patient():
            yield
    elif alone:
        lane = alone.kwargs.get("lane")
        with turn(folder, fcntl.LOCK_EX, LANES if lane is None else (lane,)):
            yield
    else:
        with turn(folder, fcntl.LOCK_SH):
            yield


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
        be_nice(os.getpid(), ONE_AMONG_MANY)


@contextlib.contextmanager
def turn(folder: Path, how: int, lanes: Sequence[str] = LANES) -> Iterator[None]:
    """Hold these lanes, `how` as for flock: exclusively, or beside others that share them."""
    with contextlib.ExitStack() as held:
        for lane in lanes:  # all in the same order: nobody waits for somebody who waits for him
            queue, place = (held.enter_context((folder / f"{name}-{lane}").open("w")) for name in ("queue", "lane"))
            fcntl.flock(queue, fcntl.LOCK_EX)  # a test that waits to be alone is not overtaken by those that share
            fcntl.flock(place, how)
            fcntl.flock(queue, fcntl.LOCK_UN)
            held.callback(fcntl.flock, place, fcntl.LOCK_UN)  # what a test has forked may have it open still
        yield
