"""What metrics are made of: asked of recorders, disks, and what Liput remembers, all at once and with a deadline."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from agent.checks.result import Measured
from config.errors import LiputError
from config.schema import Settings
from devices.host.clock import SystemClock
from devices.host.deadline import DeadlineTasks
from recorder.control import directory
from recorder.control.client import ask
from recorder.control.directory import RecorderFolder, RecorderInfo
from recorder.control.protocol import Status
from recorder.model.status import SessionStatus

type Task = Callable[[], object]


class Gathering:
    """Finds things out; what still hangs from before is not asked again. For any thread."""

    def __init__(self) -> None:
        self._tasks: DeadlineTasks[str, object] = DeadlineTasks("metrics")
        self._kept: dict[str, tuple[float, object]] = {}

    def gather(self, tasks: Mapping[str, Task], deadline_s: float, keep_s: float = 0.0) -> dict[str, object]:
        """Return what was found within `deadline_s` by the name of its task; what failed or is late is not there.

        What was found less than `keep_s` ago is taken as it was, also where it came too late then.
        """
        now_s = time.monotonic()
        kept = {
            name: found
            for name, (at_s, found) in list(self._kept.items())
            if keep_s and name in tasks and now_s - at_s < keep_s
        }
        asked = {
            name: partial(self._keep, name, task) if keep_s else task
            for name, task in tasks.items()
            if name not in kept
        }
        answers = self._tasks.ask(asked, deadline_s)
        return kept | {name: found for name, found in answers.items() if not isinstance(found, Exception)}

    def _keep(self, name: str, task: Task) -> object:
        found = task()
        self._kept[name] = time.monotonic(), found
        return found


KEEP_S = 60.0
"""How old what changes slowly may be: counting an archive at every scrape would be reading for nothing."""
_SESSION, _DISK, _ARCHIVE, _COPIES, _CHECK = "session ", "disk ", "archive ", "copies", "check"


@dataclass(frozen=True)
class Space:
    """A disk, in bytes."""

    free: int
    size: int


@dataclass(frozen=True)
class CopiesOf:
    """What waits to be copied to one place, and what keeps all of it from there."""

    waiting: int
    blocked: str | None


@dataclass(frozen=True)
class LastCheck:
    """When the room was checked last, and whether it was ready; when its uplink was measured, and what came of it."""

    at: datetime
    ready: bool
    uplink_at: datetime | None
    uplink: Measured


@dataclass
class Readings:
    """All that was found out in time; `missing` is what was not."""

    sessions: list[tuple[RecorderInfo, SessionStatus | None]] = field(default_factory=list)
    disks: dict[str, Space] = field(default_factory=dict)
    packages: dict[str, int] = field(default_factory=dict)
    copies: dict[str, CopiesOf] = field(default_factory=dict)
    check: LastCheck | None = None
    missing: list[str] = field(default_factory=list)
    seconds: float = 0.0


def read(settings: Settings, roots: Sequence[Path], gathering: Gathering, deadline_s: float) -> Readings:
    """Find out all that can be within `deadline_s`."""
    began_s = time.monotonic()
    alive = _alive()
    quick: dict[str, Task] = {
        f"{_SESSION}{info.id}": partial(_status, folder, deadline_s) for folder, info in alive
    } | {f"{_DISK}{root}": partial(_space, root) for root in roots}
    slow: dict[str, Task] = {f"{_ARCHIVE}{root}": partial(_packages, root) for root in roots}
    slow |= {_CHECK: _last_check} | ({_COPIES: partial(_copies, settings, roots)} if settings.copies else {})
    found = gathering.gather(quick, deadline_s)
    left_s = max(0.0, began_s + deadline_s - time.monotonic())
    found |= gathering.gather(slow, left_s, KEEP_S)
    readings = Readings(missing=[name for name in (*quick, *slow) if name not in found])
    for _, info in alive:
        status = found.get(f"{_SESSION}{info.id}")
        readings.sessions.append((info, status if isinstance(status, SessionStatus) else None))
    for root in roots:
        if isinstance(space := found.get(f"{_DISK}{root}"), Space):
            readings.disks[str(root)] = space
        if isinstance(count := found.get(f"{_ARCHIVE}{root}"), int):
            readings.packages[str(root)] = count
    readings.copies = copies if isinstance(copies := found.get(_COPIES), dict) else {}
    readings.check = check if isinstance(check := found.get(_CHECK), LastCheck) else None
    readings.seconds = time.monotonic() - began_s
    return readings


def _alive() -> list[tuple[RecorderFolder, RecorderInfo]]:
    with suppress(LiputError, OSError):
        return list(directory.alive())
    return []


def _status(folder: RecorderFolder, deadline_s: float) -> SessionStatus | None:
    return ask(folder, Status(), deadline_s).status


def _space(root: Path) -> Space:
    """Return the space of the disk that `root` is on, or will be: it is made with the first session."""
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    found = os.statvfs(there)
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def _packages(root: Path) -> int:
    from recorder.archive import catalog

    return len(catalog.folders_of_packages(root))


def _copies(settings: Settings, roots: Sequence[Path]) -> dict[str, CopiesOf]:
    from recorder.copies.queue import CopyQueue, name_of, open_target

    queue = CopyQueue(roots, settings.copies, partial(open_target, settings), SystemClock())
    rows, every, troubles = queue.rows(), queue.every(), queue.ledger.troubles()
    found = {}
    for name, target in settings.copies.items():
        known = [rows.get((name_of(folder), name)) for folder in every]
        waiting = sum(target.automatic if row is None else row.state == "waiting" for row in known)
        found[name] = CopiesOf(waiting, troubles[name].reason if name in troubles else None)
    return found


def _last_check() -> LastCheck | None:
    from agent.checks.history import kept

    runs = kept()
    if not runs:
        return None
    measured = (
        (run.at, result.measured)
        for run in reversed(runs)
        for result in run.results
        if result.name == "uplink" and result.measured.get("up_bps") is not None
    )
    at, uplink = next(measured, (None, {}))
    return LastCheck(runs[-1].at, runs[-1].ready, at, uplink)
