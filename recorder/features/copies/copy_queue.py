"""The queue of copies, and its ledger: a small database in the state folder.

The queue compares the archive with the ledger: it needs no entry at sealing, and finds foreign packages too. Packages
are copied one at a time, newest first, and never while a session runs. A failure is retried with growing pauses.

The ledger is a memory, not the truth: a copy counts once it was read back. A lost ledger costs reading, never a copy.
"""

import os
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from config.errors import CopyError, PackageBusy, PackageNotFound
from config.settings.serving import CopyTarget
from config.state import state_folder, transaction
from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel, discard_line
from devices.host.background import pause_s
from devices.host.clock import NANOSECONDS, Clock
from recorder.archive.archive import package_folders
from recorder.disk.package_locks import lock_file, package_lock
from recorder.features.copies.package_copy import copy_package, local_version
from recorder.features.copies.target import (
    PACKAGE_REASONS,
    CopyReason,
    Target,
    copy_error,
    read_mark,
    refuse_archive,
    write_mark,
)
from recorder.model.names import replaced_name
from recorder.package.fixity import ByteProgress, Progress, TransferThrottle
from recorder.package.verification import is_pruned
from recorder.running.runtime_directory import is_session_running

LEDGER_FILE = "copies.sqlite3"
_HINT = "Free space on its disk; if it is damaged move it away: copies are then looked at anew."
_TABLES = """
CREATE TABLE IF NOT EXISTS copies (
    package TEXT, target TEXT, state TEXT, version TEXT, bytes INTEGER, verified_at TEXT,
    attempts INTEGER, next_s REAL, reason TEXT, message TEXT, since TEXT, PRIMARY KEY (package, target));
CREATE TABLE IF NOT EXISTS targets (
    target TEXT PRIMARY KEY, attempts INTEGER, next_s REAL, reason TEXT, message TEXT, since TEXT);
CREATE TABLE IF NOT EXISTS offers (package TEXT, target TEXT, version TEXT, PRIMARY KEY (package, target, version));
CREATE TABLE IF NOT EXISTS places (target TEXT PRIMARY KEY, url TEXT, mark TEXT, seen_s REAL);
"""


type CopyState = Literal["waiting", "copied"]  # the state of a copy


class CopyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A copy's record in the ledger.

    `version` is the last version sent (`Listing.version`), `verified_at` the last time all of it was read back. A
    waiting copy has its attempts, its next time (seconds since the epoch), and the reason since its first failure.
    """

    package: str
    target: str
    state: CopyState = "waiting"
    version: str | None = None
    bytes: int = 0
    verified_at: datetime | None = None
    attempts: int = 0
    next_s: float = 0.0
    reason: str | None = None
    message: str | None = None
    since: datetime | None = None


class PlaceFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The failure of a place for all packages; fields as in CopyRecord."""

    target: str
    attempts: int = 0
    next_s: float = 0.0
    reason: str = ""
    message: str = ""
    since: datetime | None = None


class KnownPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place behind a target's name when copies were made; `seen_s`: last recognized, in seconds since the epoch."""

    target: str
    url: str
    mark: str
    seen_s: float


_TABLE_OF = {CopyRecord: "copies", PlaceFailure: "targets", KnownPlace: "places"}


class CopyLedger:
    """The database of copies; methods raise StateError."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_folder() / LEDGER_FILE

    def rows(self) -> dict[tuple[str, str], CopyRecord]:
        return {(row.package, row.target): row for row in self._read(CopyRecord, "SELECT * FROM copies")}

    def row(self, package: str, target: str) -> CopyRecord:
        """Return the row of a copy, a new waiting one by default."""
        return self.rows_of(package).get(target) or CopyRecord(package=package, target=target)

    def rows_of(self, package: str) -> dict[str, CopyRecord]:
        return {row.target: row for row in self._read(CopyRecord, "SELECT * FROM copies WHERE package = ?", package)}

    def ask(self, packages: Iterable[str], target: str) -> None:
        """Add waiting copies of packages; existing rows stay."""
        rows = [(package, target, "waiting", 0, 0, 0.0) for package in packages]
        columns = "(package, target, state, bytes, attempts, next_s)"
        with self._open() as connection:
            connection.executemany(f"INSERT OR IGNORE INTO copies {columns} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - ours

    def put(self, row: CopyRecord | PlaceFailure | KnownPlace) -> None:
        values = msgspec.to_builtins(row)
        marks = ", ".join(f":{name}" for name in values)
        command = f"REPLACE INTO {_TABLE_OF[type(row)]} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - ours
        with self._open() as connection:
            connection.execute(command, values)

    def offer(self, package: str, target: str, version: str) -> None:
        """Note, before sending, that a version of a package may reach a place."""
        self._do("INSERT OR IGNORE INTO offers VALUES (?, ?, ?)", package, target, version)

    def offered(self, package: str, target: str) -> frozenset[str]:
        """Return the versions sent since the last whole copy: a kill may have followed."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT version FROM offers WHERE package = ? AND target = ?", (package, target)
            ).fetchall()
        return frozenset(version for (version,) in found)

    def seen_whole(self, package: str, target: str, version: str, size: int, now: datetime) -> None:
        """Note a copy that was read back whole."""
        self.put(
            CopyRecord(package=package, target=target, state="copied", version=version, bytes=size, verified_at=now)
        )
        self._do("DELETE FROM offers WHERE package = ? AND target = ?", package, target)

    def seen_damaged(self, package: str, target: str) -> None:
        """Note a damaged copy: it waits for repair, and does not count."""
        row = self.rows_of(package).get(target)
        if row is not None:
            self.put(msgspec.structs.replace(row, state="waiting", next_s=0.0))

    def troubles(self) -> dict[str, PlaceFailure]:
        return {trouble.target: trouble for trouble in self._read(PlaceFailure, "SELECT * FROM targets")}

    def forget_trouble(self, target: str) -> None:
        """Remove the failure of a place."""
        self._do("DELETE FROM targets WHERE target = ?", target)

    def places(self) -> dict[str, KnownPlace]:
        return {place.target: place for place in self._read(KnownPlace, "SELECT * FROM places")}

    def put_place(self, place: KnownPlace) -> None:
        """Replace a target's place; copies read back at another one lose their state."""
        known = self.places().get(place.target)
        if known is None or (known.url, known.mark) != (place.url, place.mark):
            self._do(
                "UPDATE copies SET state = 'waiting', next_s = 0 WHERE target = ? AND state = 'copied'", place.target
            )
        self.put(place)

    def _read[Kind](self, kind: type[Kind], query: str, *values: str) -> list[Kind]:
        with self._open() as connection:
            return [msgspec.convert(dict(row), kind) for row in connection.execute(query, values)]

    def _do(self, command: str, *values: str) -> None:
        with self._open() as connection:
            connection.execute(command, values)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._path, _TABLES, _HINT)


FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 6 * 3600.0  # the pause between attempts doubles, without an end
JITTER = 0.2  # the random part of a pause, so that PCs of a campus do not come at once

FAILURES_OF_A_PLACE = 3  # failures in a row without a known reason; one or two may be the packages'

LOOK_AGAIN_S = 24 * 3600.0  # a place without waiting packages is recognized again after so long


class CopyOutcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="copy"):
    """The result of an attempt, in the form of `liput archive copy --json`."""

    package: str
    target: str
    state: CopyState
    bytes: int = 0
    sent: int = 0
    seconds: float = 0.0
    reason: str | None = None
    message: str | None = None
    hint: str | None = None


@dataclass
class CopyQueue:
    """Copies waiting packages; `open_target` opens a place by name."""

    roots: Sequence[Path]
    targets: Mapping[str, CopyTarget]
    open_target: Callable[[str], Target]
    clock: Clock
    ledger: CopyLedger = field(default_factory=CopyLedger)
    record: HealthLogger = discard_line
    is_busy: Callable[[], bool] = is_session_running
    new_place: bool = False  # whether an unrecognized place begins anew

    def waiting(self, target: str, *, due_only: bool = True) -> list[Path]:
        """Return packages without a copy there, newest first; `due_only`: automatic or requested, not paused."""
        if due_only and self._is_paused(self.ledger.troubles().get(target)):
            return []
        rows = self.rows()
        automatic = self.targets[target].automatic
        waiting = []
        for folder in self.every():
            row = rows.get((name_of_package(folder), target))
            if (row is None and due_only and not automatic) or is_pruned(folder):
                continue
            if row is not None and row.state == "copied" and row.version == local_version(folder):
                continue
            if not (due_only and self._is_paused(row)):
                waiting.append(folder)
        return sorted(waiting, key=name_of_package, reverse=True)

    def _is_paused(self, failed: CopyRecord | PlaceFailure | None) -> bool:
        """Return whether a retry is too early; a time beyond the longest pause came from a wrong clock."""
        now_s, next_s = self.clock.now().timestamp(), failed.next_s if failed else 0.0
        return now_s < next_s <= now_s + LONGEST_PAUSE_S * (1 + JITTER)

    def rows(self) -> dict[tuple[str, str], CopyRecord]:
        """Return all rows by package and target; copies at a former address wait."""
        moved = self._moved_targets()
        return {key: _as_waiting(row, moved) for key, row in self.ledger.rows().items()}

    def rows_of(self, package: str) -> dict[str, CopyRecord]:
        moved = self._moved_targets()
        return {target: _as_waiting(row, moved) for target, row in self.ledger.rows_of(package).items()}

    def _moved_targets(self) -> set[str]:
        """Return the targets with another address than when copies were made."""
        return {
            name
            for name, place in self.ledger.places().items()
            if name in self.targets and (self.new_place or place.url != self.targets[name].url)
        }

    def every(self) -> list[Path]:
        return [folder for root in self.roots for folder in package_folders(root)]

    def count_waiting(self) -> dict[str, int]:
        """Return the number of packages without a copy at each target, requested or automatic."""
        rows, packages = self.rows(), [name_of_package(folder) for folder in self.every()]
        found = {}
        for name, target in self.targets.items():
            known = (rows.get((package, name)) for package in packages)
            found[name] = sum(target.automatic if row is None else row.state == "waiting" for row in known)
        return found

    def work(self, target: str, packages: Sequence[Path], progress: Progress | None = None) -> Iterator[CopyOutcome]:
        """Copy `packages` to a place, one by one; yield each result. A failed one waits."""
        left = deque(packages)
        if not left and not self._needs_recognition(target):
            return
        self.ledger.ask(map(name_of_package, packages), target)
        try:
            with self._target_lock(target):
                yield from self._work(target, left, progress)
        except CopyError as error:  # a failure of the place
            if error.reason not in {CopyReason.SESSION, CopyReason.BUSY}:
                self._note_failure(self.ledger.troubles().get(target) or PlaceFailure(target=target), error)
            yield from (_waiting_outcome(folder, target, error) for folder in left)

    def _needs_recognition(self, target: str) -> bool:
        """Return whether an idle place was not recognized for a day: it may be emptied or another one."""
        place = self.ledger.places().get(target)
        if place is None or self._is_paused(self.ledger.troubles().get(target)):
            return False
        return not 0 <= self.clock.now().timestamp() - place.seen_s < LOOK_AGAIN_S

    def _work(self, name: str, left: deque[Path], progress: Progress | None) -> Iterator[CopyOutcome]:
        self.go_on(name)
        target, failed = self.open_target(name), 0
        try:
            self._recognize(target)
            if not left:
                self.ledger.forget_trouble(name)
            while left:
                folder = left[0]
                try:
                    outcome = self._copy(folder, target, progress)
                    failed = 0
                except CopyError as error:
                    failed += error.reason == CopyReason.FAILED
                    is_one = error.reason == CopyReason.FAILED and failed < FAILURES_OF_A_PLACE
                    if not is_one and error.reason not in PACKAGE_REASONS:
                        raise
                    row = self.ledger.row(name_of_package(folder), name)
                    self._note_failure(msgspec.structs.replace(row, state="waiting"), error)
                    outcome = _waiting_outcome(folder, name, error)
                except (PackageBusy, PackageNotFound):  # being corrected: next time
                    outcome = _waiting_outcome(folder, name, copy_error(CopyReason.BUSY, name_of_package(folder)))
                left.popleft()
                yield outcome
        finally:
            target.close()

    def _recognize(self, target: Target) -> None:
        """Check that a place holds our copies, and is no other target's. Raises CopyError."""
        for root in self.roots:
            with suppress(OSError):  # a read-only archive; prune does not let it pass
                refuse_archive(target, root)
        url, places = self.targets[target.name].url, self.ledger.places()
        known, mark = places.get(target.name), read_mark(target)
        if mark is None:
            if known is not None and known.url == url and not self.new_place:
                raise copy_error(CopyReason.EMPTIED, target.name)
            mark = write_mark(target)
        for other in places.values():
            if other.mark == mark and other.target != target.name and other.target in self.targets:
                raise copy_error(CopyReason.SAME_PLACE, target.name, f'it is "{other.target}"')
        self.ledger.put_place(KnownPlace(target=target.name, url=url, mark=mark, seen_s=self.clock.now().timestamp()))

    def _copy(self, folder: Path, target: Target, progress: Progress | None) -> CopyOutcome:
        package, place, name = name_of_package(folder), package_place(folder), target.name
        first = next((root for root in self.roots if (root / place).is_dir()), None)
        if first is not None and first not in folder.parents:
            raise copy_error(CopyReason.NAME_TAKEN, name, f"{first / place} has the name of {folder}")
        row = self.ledger.row(package, name)
        self.ledger.put(msgspec.structs.replace(row, state="waiting"))
        began_ns = self.clock.now_ns()
        with package_lock(folder, alone=False):
            self.go_on(name)
            copied, sent = copy_package(
                target, folder, place, row.version, self.ledger.offered(package, name),
                flow=TransferThrottle(
                    ByteProgress(0, progress), self.targets[name].max_rate, lambda: self.go_on(name), self.clock
                ),
                offer=lambda version: self.ledger.offer(package, name, version),
            )  # fmt: skip
        seconds = (self.clock.now_ns() - began_ns) / NANOSECONDS
        self.ledger.forget_trouble(name)
        self.ledger.seen_whole(package, name, copied.version, copied.size, self.clock.now())
        self.record(PC, LogKind.COPIED, package=package, target=name, bytes=copied.size)
        return CopyOutcome(
            package=package, target=name, state="copied", bytes=copied.size, sent=sent, seconds=round(seconds, 3)
        )

    def go_on(self, name: str) -> None:
        """Raise CopyError while a session runs; `name` is the waiting target."""
        if self.is_busy():
            raise copy_error(CopyReason.SESSION, name)

    def _note_failure(self, before: CopyRecord | PlaceFailure, error: CopyError) -> None:
        """Note one more failure of a copy or a place, and log each reason once."""
        is_known = before.reason == error.reason and before.since is not None
        now, attempts = self.clock.now(), before.attempts + 1
        self.ledger.put(
            msgspec.structs.replace(
                before,
                attempts=attempts,
                next_s=now.timestamp() + jittered_pause_s(attempts),
                reason=error.reason,
                message=error.message,
                since=before.since if is_known else now,
            )
        )
        if not is_known:
            self.record(
                PC, LogKind.COPY_WAITS, error.message, level=LogLevel.WARN, target=before.target,
                package=before.package if isinstance(before, CopyRecord) else None, why=error.reason, advice=error.hint,
            )  # fmt: skip

    @contextmanager
    def _target_lock(self, target: str) -> Iterator[None]:
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / f"copies-{target}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            lock_file(descriptor, copy_error(CopyReason.BUSY, target))
            yield
        finally:
            os.close(descriptor)


def _as_waiting(row: CopyRecord, moved: Collection[str]) -> CopyRecord:
    return msgspec.structs.replace(row, state="waiting") if row.target in moved else row


def _waiting_outcome(folder: Path, target: str, error: CopyError) -> CopyOutcome:
    return CopyOutcome(
        package=name_of_package(folder), target=target, state="waiting", reason=error.reason, message=error.message,
        hint=error.hint,
    )  # fmt: skip


def name_of_package(folder: Path) -> str:
    """Return a package's name, also while a correction hides its folder."""
    return replaced_name(folder.name) or folder.name


def package_place(folder: Path) -> str:
    """Return the place of a package's copies: its path in the archive."""
    return "/".join((*folder.parts[-3:-1], name_of_package(folder)))


def jittered_pause_s(attempts: int) -> float:
    """Return the pause after so many failures in a row, with jitter."""
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret depends on it
    return pause_s(attempts, LONGEST_PAUSE_S, first_s=FIRST_PAUSE_S) * jitter
