"""Fixity rounds: read part of the archive again, the packages first that were read longest ago.

A round has the lowest priority, leaves nothing in the page cache, and ends when a session needs the disk. Results go
into a database in the state folder, outside of packages. A kill costs one package's reading.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import psutil

from config.errors import PackageBusy, PackageNotFound, SessionError, StorageError
from config.files import file_stamp
from config.settings.quantities import brief_size
from config.state import state_folder, transaction
from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel, discard_line
from devices.host.clock import Clock
from devices.host.priority import ensure_niceness
from recorder.archive.archive import package_folders
from recorder.disk.package_locks import package_lock
from recorder.package import fixity
from recorder.package.fixity import Progress, TransferThrottle
from recorder.package.metadata import Problem, ProblemKind
from recorder.package.verification import verify_package

FILE = "fixity.sqlite3"
MOST_PROBLEMS = 100  # kept for one package; the count includes all
_HINT = "Free space on its disk; if it is damaged move it away: packages are then read anew."
_TABLE = """
CREATE TABLE IF NOT EXISTS checks (
    at TEXT, package TEXT, bytes INTEGER, outcome TEXT, found INTEGER, problems TEXT, note TEXT);
CREATE INDEX IF NOT EXISTS by_package ON checks (package, at);
"""

type FixityOutcome = Literal["whole", "damaged", "repair-begun", "repaired", "copy-whole", "copy-damaged", "pruned"]
"""Results of reading or repairing a package."""


class FixityEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fixity"):
    """One line of the log. `found` counts all problems; `problems` has the first MOST_PROBLEMS."""

    at: datetime
    package: str
    bytes: int
    outcome: FixityOutcome
    found: int = 0
    problems: tuple[Problem, ...] = ()
    note: str = ""


class FixityLog:
    """The database of results. Methods raise StateError if it cannot be read or written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_folder() / FILE

    def add(self, entry: FixityEntry) -> None:
        """Add a line durably."""
        problems = msgspec.json.encode(entry.problems[:MOST_PROBLEMS]).decode()
        values = (entry.at.isoformat(), entry.package, entry.bytes, entry.outcome, entry.found, problems, entry.note)
        with self._open() as connection:
            connection.execute("INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def last_read(self, now: datetime) -> dict[str, datetime]:
        """Return the last reading of each package up to `now`: a wrong clock may have noted later ones."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT package, max(julianday(at)), at FROM checks "
                "WHERE outcome IN ('whole', 'damaged') AND julianday(at) <= julianday(?) GROUP BY package",
                (now.isoformat(),),
            ).fetchall()
        return {package: datetime.fromisoformat(at) for package, _, at in found}

    def stamp(self) -> object:
        """Return a value that changes with each new line; None without a file."""
        return file_stamp(self._path)

    def damaged(self, since: datetime) -> list[FixityEntry]:
        """Return the last line of each package damaged since then, and neither repaired nor whole since."""
        return self._read(
            "SELECT * FROM checks WHERE rowid IN (SELECT max(rowid) FROM checks "
            "WHERE outcome IN ('whole', 'damaged', 'repaired') GROUP BY package) "
            "AND outcome = 'damaged' AND julianday(at) >= julianday(?) ORDER BY rowid",
            since.isoformat(),
        )

    def entries(self) -> list[FixityEntry]:
        """Return all lines, the oldest first."""
        return self._read("SELECT * FROM checks ORDER BY rowid")

    def _read(self, query: str, *values: str) -> list[FixityEntry]:
        with self._open() as connection:
            rows = connection.execute(query, values)
            return [
                msgspec.convert({**row, "problems": msgspec.json.decode(row["problems"])}, FixityEntry) for row in rows
            ]

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._path, _TABLE, _HINT)


_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class RoundResult(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="round"):
    """The result of a round; `left` packages were not read. `ended` is "done", "budget" or "session"."""

    packages: int
    bytes: int
    damaged: tuple[str, ...]
    left: int
    ended: str

    def __str__(self) -> str:
        damaged = f"{len(self.damaged)} damaged" if self.damaged else "none damaged"
        count = f"{self.packages} package{'s' * (self.packages != 1)}"
        return f"{count}, {brief_size(self.bytes)}, {damaged}; {self.left} left"


@dataclass
class FixityRound:
    """One round over the archives at `roots`; a session ends it. `max_rate` is in bits a second."""

    roots: Sequence[Path]
    clock: Clock
    is_busy: Callable[[], bool]
    log: FixityLog = field(default_factory=FixityLog)
    record: HealthLogger = discard_line
    told: Callable[[FixityEntry], None] = lambda _: None
    progress: Progress | None = None
    max_rate: int | None = None
    _done: int = 0

    def run(self, budget: int) -> RoundResult:
        """Read packages until the next would exceed `budget` bytes; always reads the first."""
        waiting = self._oldest_first()
        flow = TransferThrottle(rate=self.max_rate, go_on=self._raise_if_busy, clock=self.clock)
        total = min(budget, sum(size for _, size in waiting))
        damaged: list[str] = []
        self._done, count, ended = 0, 0, "done"
        for folder, size in waiting:
            if count and self._done + size > budget:
                ended = "budget"
                break
            try:
                whole = self._read(folder, total, flow)
            except SessionError:
                ended = "session"
                break
            if whole is None:
                continue  # a correction is running: the next round reads it
            count += 1
            self._done += size
            if not whole:
                damaged.append(folder.name)
        return RoundResult(
            packages=count, bytes=self._done, damaged=tuple(damaged), left=len(waiting) - count, ended=ended
        )

    def _oldest_first(self) -> list[tuple[Path, int]]:
        last = self.log.last_read(self.clock.now())
        folders = [folder for root in self.roots for folder in package_folders(root)]
        folders.sort(key=lambda folder: (last.get(folder.name, _LONG_AGO), folder.name))
        return [(folder, _bytes(folder)) for folder in folders]

    def _read(self, folder: Path, total: int, flow: TransferThrottle) -> bool | None:
        """Read one package and note the result; return whether it is whole, None if it is busy or gone."""
        read = 0

        def told(done: int, _of: int) -> None:
            nonlocal read
            flow.sent(done - read)
            read = done
            if self.progress is not None:
                self.progress(self._done + done, max(total, self._done + done))

        self._raise_if_busy()
        try:
            with package_lock(folder, alone=False):
                problems = verify_package(folder, progress=told, uncached=True)
        except (PackageBusy, PackageNotFound):
            return None
        except StorageError as error:
            if error.why == "vanished":
                raise
            # The other packages on its disk may still be readable.
            problems = [Problem(".", f"cannot be opened: {error.message}", ProblemKind.UNREADABLE)]
        entry = FixityEntry(
            at=self.clock.now(), package=folder.name, bytes=_bytes(folder), found=len(problems),
            outcome="damaged" if problems else "whole", problems=tuple(problems),
        )  # fmt: skip
        self.log.add(entry)
        if problems:
            others = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            self.record(
                PC, LogKind.PACKAGE_DAMAGED, f"{folder.name}: {problems[0].file} {problems[0].problem}{others}",
                level=LogLevel.ERROR, package=folder.name, problems=len(problems),
                advice=f"liput archive repair {folder.name}",
            )  # fmt: skip
        self.told(entry)
        return not problems

    def _raise_if_busy(self) -> None:
        if self.is_busy():
            raise SessionError("a session wants the disk")


def use_idle_priority() -> None:
    """Give this process the lowest priority for processor and disk."""
    ensure_niceness(10)
    with contextlib.suppress(OSError, psutil.Error, ValueError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


def _bytes(folder: Path) -> int:
    try:
        return sum(fixity.walk(folder)[0].values())
    except OSError:
        return 0
