"""Reading the archive again, a part of it in each round, the part that was not looked at for the longest time first.

It is for nights, beside nothing: it reads with the lowest priority, keeps nothing in the system's memory, and ends when
a session wants the disk. What was read is noted package by package, so that a kill costs one package's time.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from config.errors import PackageBusy, PackageNotFound, SessionError, StorageError
from config.quantities import brief_size
from devices.health.line import PC, Kind, Level, Record, nowhere
from devices.host.clock import NANOSECONDS, Clock
from recorder.archive import catalog, fixity
from recorder.archive.fixity import Progress
from recorder.archive.fixity_log import Entry, FixityLog, Outcome
from recorder.archive.locking import locked
from recorder.archive.model import Problem, ProblemKind
from recorder.archive.verification import verify

LOOK_S = 1.0
"""How often it is asked whether a session runs."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Round(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="round"):
    """What a round has read: packages, bytes, the damaged ones; `left` how many it came not to, and why it ended.

    `ended` is "done" (all were read), "budget" or "session".
    """

    packages: int
    bytes: int
    damaged: tuple[str, ...]
    left: int
    ended: str

    def __str__(self) -> str:
        """Return it as people read it."""
        damaged = f"{len(self.damaged)} damaged" if self.damaged else "none damaged"
        count = f"{self.packages} package{'s' * (self.packages != 1)}"
        return f"{count}, {brief_size(self.bytes)}, {damaged}; {self.left} left"


@dataclass
class FixityRound:
    """One round over the archives at `roots`. `is_busy` says whether a session runs.

    `max_rate` bits a second are read at most; None: as fast as it goes.
    """

    roots: Sequence[Path]
    clock: Clock
    is_busy: Callable[[], bool]
    log: FixityLog = field(default_factory=FixityLog)
    record: Record = nowhere
    told: Callable[[Entry], None] = lambda _: None
    progress: Progress | None = None
    max_rate: int | None = None
    _began_ns: int = 0
    _looked_s: float = -LOOK_S
    _done: int = 0

    def run(self, budget: int) -> Round:
        """Read packages until the next would go beyond `budget` bytes; the first is read however large it is."""
        waiting = self._oldest_first()
        self._began_ns = self.clock.now_ns()
        total = min(budget, sum(size for _, size in waiting))
        damaged: list[str] = []
        self._done, count, ended = 0, 0, "done"
        for folder, size in waiting:
            if count and self._done + size > budget:
                ended = "budget"
                break
            try:
                whole = self._read(folder, total)
            except SessionError:
                ended = "session"
                break
            if whole is None:
                continue  # it is being corrected: the next round reads it
            count += 1
            self._done += size
            if not whole:
                damaged.append(folder.name)
        return Round(packages=count, bytes=self._done, damaged=tuple(damaged), left=len(waiting) - count, ended=ended)

    def _oldest_first(self) -> list[tuple[Path, int]]:
        """Return the packages with their bytes; those that were never read come first, by name."""
        last = self.log.last_read(self.clock.now())
        folders = [folder for root in self.roots for folder in catalog.folders_of_packages(root)]
        folders.sort(key=lambda folder: (last.get(folder.name, _LONG_AGO), folder.name))
        return [(folder, _bytes(folder)) for folder in folders]

    def _read(self, folder: Path, total: int) -> bool | None:
        """Read one package, note what was found, return whether it is whole; None where it could not be read now."""
        self._looked_s = -LOOK_S

        def told(done: int, _of: int) -> None:
            self._look()
            self._keep_to_rate(self._done + done)
            if self.progress is not None:
                self.progress(self._done + done, max(total, self._done + done))

        self._look()
        try:
            with locked(folder, alone=False):
                problems = verify(folder, progress=told, uncached=True)
        except (PackageBusy, PackageNotFound):
            return None
        except StorageError as error:
            if error.why == "vanished":
                raise
            # The others of its disk are read all the same.
            problems = [Problem(".", f"cannot be opened: {error.message}", ProblemKind.UNREADABLE)]
        entry = Entry(
            at=self.clock.now(), package=folder.name, bytes=_bytes(folder), found=len(problems),
            outcome=Outcome.DAMAGED if problems else Outcome.WHOLE, problems=tuple(problems),
        )  # fmt: skip
        self.log.add(entry)
        if problems:
            tell_damaged(self.record, folder.name, problems)
        self.told(entry)
        return not problems

    def _keep_to_rate(self, done: int) -> None:
        """Wait while more has been read since the round began than may be."""
        if self.max_rate is not None:
            early_s = done * 8 / self.max_rate - (self.clock.now_ns() - self._began_ns) / NANOSECONDS
            if early_s > 0:
                self.clock.wait(threading.Event(), min(early_s, LOOK_S))

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            if self.is_busy():
                raise SessionError("a session wants the disk")


def tell_damaged(record: Record, package: str, problems: Sequence[Problem]) -> None:
    """Put a damaged package into the health log."""
    first = problems[0]
    others = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    record(
        PC, Kind.PACKAGE_DAMAGED, f"{package}: {first.file} {first.problem}{others}", level=Level.ERROR,
        package=package, problems=len(problems), advice=f"liput archive repair {package}",
    )  # fmt: skip


def go_last() -> None:
    """Let everything else of this PC have the processor and the disk before this process."""
    with contextlib.suppress(OSError, psutil.Error, ValueError):
        process = psutil.Process()
        process.nice(max(process.nice(), 10))
        process.ionice(psutil.IOPRIO_CLASS_IDLE)


def _bytes(folder: Path) -> int:
    try:
        return sum(fixity.walk(folder)[0].values())
    except OSError:
        return 0
