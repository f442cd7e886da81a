"""How tests are shared among processes, with pytest-xdist: `pytest -n 6`.

One process waits for the machines of the rig, which all start at once. Each other file goes to one process, which
starts the file's servers once. Two marks change when a test runs (docs/decisions/0055):

- `alone(why, lane=None)`: it judges how long something takes or what it costs, so it has its turn alone. A test with a
  lane mostly waits: one of each other lane may run beside it.
- `computing`: it judges no clock. One process does all such files from the beginning, nicer than others.

Machines and computing tests run beside everything.
"""

import contextlib
import fcntl
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.rig.vm import PATIENT, be_nice
from tests.support.parts import may_have_unit

GUEST = "tests/rig/guest/"
LANES = ("sound", "links", "disks")
MORE_PATIENT = PATIENT + 2
"""The niceness of computing tests: a machine has one processor at most, and if it has less, the others wait for it."""
ONE_AMONG_SIX = 7
"""The niceness of a session that has a fifth of what another one has: a process beside the five others."""
_MARK = re.compile(r'pytest\.mark\.(computing|alone)\b(?:.*lane="(\w+)")?')


class Sharing(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed for us
    """Hands out files: machines, computing, those of lanes by turns, alone, those that start programs, others.

    Of each the largest first.
    """

    def __init__(self, config: pytest.Config, log: object = None) -> None:
        super().__init__(config, log)
        self._root = config.rootpath
        self._given = Counter[str]()

    def _split_scope(self, nodeid: str) -> str:
        """Return the group of a test."""
        file = nodeid.partition("::")[0]
        return GUEST if file.startswith(GUEST) else "computing" if self._place(file) == "computing" else file

    def _assign_work_unit(self, node: Any) -> None:
        """Give a process the next group."""
        order = (GUEST, "computing", *LANES, "alone", "starts", "others")
        places = {group: self._place(group) for group in self.workqueue}
        by_turns = {lane: (order.index(LANES[0]), self._given[lane]) for lane in LANES}
        group = min(places, key=lambda group: by_turns.get(places[group], (order.index(places[group]), 0)))
        self._given[places[group]] += 1
        self.workqueue.move_to_end(group, last=False)
        super()._assign_work_unit(node)

    def _place(self, group: str) -> str:
        return group if group in (GUEST, "computing") else place(self._root / group)


@cache
def place(file: Path) -> str:
    """Return the place of a file of tests in the order: that of its first mark, or whether it starts programs."""
    if found := _MARK.search(file.read_text()):
        return found[2] or found[1]
    return "others" if may_have_unit(file) else "starts"


class Turns:
    """A plugin of one process among several: each test has its turn."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that all processes know."""
        self._folder = folder

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before pytest-timeout, which does not count the wait for others
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        with turn_of(item, self._folder):
            return (yield)


@contextlib.contextmanager
def turn_of(item: pytest.Item, folder: Path) -> Iterator[None]:
    """Let this test have its turn; `folder` is one that all processes know."""
    alone = item.get_closest_marker("alone")
    if item.nodeid.startswith(GUEST):
        yield
    elif item.get_closest_marker("computing"):
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
        be_nice(os.getpid(), ONE_AMONG_SIX)


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
