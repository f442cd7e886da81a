"""Which package has which copies, and what waits and why: one small database in the state folder.

It is what Liput remembers, not what is true: a copy counts when it was read back, and `verify --at` looks again.
Losing it costs reading, never a copy.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from config.state import state_folder, transaction

FILE = "copies.sqlite3"
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


type CopyState = Literal["waiting", "copied"]
"""How far a copy is."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one copy.

    `version` is the state of the package that was put there last (`Listing.version`), `verified_at` when all of it was
    read back last. Of what waits: how often it was tried, when it is tried again (seconds since the epoch), why it
    failed, since when.
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


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps every package from one place; as in Row."""

    target: str
    attempts: int
    next_s: float
    reason: str
    message: str
    since: datetime


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Which place a name of the settings meant when copies were made there: its address, and its number (`MARK`).

    `seen_s`: when it was found to be that one last, in seconds since the epoch.
    """

    target: str
    url: str
    mark: str
    seen_s: float


class Ledger:
    """The database; every method raises StateError where it cannot be read or written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_folder() / FILE

    def rows(self) -> dict[tuple[str, str], Row]:
        """Return all that is remembered, by package and target."""
        return {(row.package, row.target): row for row in self._read(Row, "SELECT * FROM copies")}

    def row(self, package: str, target: str) -> Row:
        """Return what is remembered of one copy; a new one waits."""
        return self.rows_of(package).get(target) or Row(package=package, target=target)

    def rows_of(self, package: str) -> dict[str, Row]:
        """Return what is remembered of one package, by target."""
        return {row.target: row for row in self._read(Row, "SELECT * FROM copies WHERE package = ?", package)}

    def ask(self, packages: Iterable[str], target: str) -> None:
        """Remember that packages are to have a copy at a place; what is known of one stays."""
        rows = [(package, target, "waiting", 0, 0, 0.0) for package in packages]
        columns = "(package, target, state, bytes, attempts, next_s)"
        with self._open() as connection:
            connection.executemany(f"INSERT OR IGNORE INTO copies {columns} VALUES (?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - ours

    def put(self, row: Row) -> None:
        """Remember one copy as it is now."""
        self._replace("copies", row)

    def offer(self, package: str, target: str, version: str) -> None:
        """Remember, before it is sent, that a state of a package may stand at a place from now on."""
        self._do("INSERT OR IGNORE INTO offers VALUES (?, ?, ?)", package, target, version)

    def offered(self, package: str, target: str) -> frozenset[str]:
        """Return what was sent of a package since its copy was whole last: a kill may have come after it was there."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT version FROM offers WHERE package = ? AND target = ?", (package, target)
            ).fetchall()
        return frozenset(version for (version,) in found)

    def seen_whole(self, package: str, target: str, version: str, size: int, now: datetime) -> None:
        """Remember a copy all of which was read and is right."""
        self.put(Row(package=package, target=target, state="copied", version=version, bytes=size, verified_at=now))
        self._do("DELETE FROM offers WHERE package = ? AND target = ?", package, target)

    def seen_damaged(self, package: str, target: str) -> None:
        """Remember that a copy is not whole any more: it waits to be put right, and does not count."""
        row = self.rows_of(package).get(target)
        if row is not None:
            self.put(msgspec.structs.replace(row, state="waiting", next_s=0.0))

    def trouble(self, target: str) -> Trouble | None:
        """Return what keeps every package from a place."""
        return self.troubles().get(target)

    def troubles(self) -> dict[str, Trouble]:
        """Return what keeps every package from each place."""
        return {trouble.target: trouble for trouble in self._read(Trouble, "SELECT * FROM targets")}

    def put_trouble(self, trouble: Trouble) -> None:
        """Remember what keeps every package from a place."""
        self._replace("targets", trouble)

    def forget_trouble(self, target: str) -> None:
        """Remember that a place can be reached."""
        self._do("DELETE FROM targets WHERE target = ?", target)

    def places(self) -> dict[str, Place]:
        """Return which place each name meant."""
        return {place.target: place for place in self._read(Place, "SELECT * FROM places")}

    def put_place(self, place: Place) -> None:
        """Remember which place a name means now; no copy counts that was not read back at this very one."""
        known = self.places().get(place.target)
        if known is None or (known.url, known.mark) != (place.url, place.mark):
            self._do(
                "UPDATE copies SET state = 'waiting', next_s = 0 WHERE target = ? AND state = 'copied'", place.target
            )
        self._replace("places", place)

    def _read[Kind](self, kind: type[Kind], query: str, *values: str) -> list[Kind]:
        with self._open() as connection:
            return [msgspec.convert(dict(row), kind) for row in connection.execute(query, values)]

    def _do(self, command: str, *values: str) -> None:
        with self._open() as connection:
            connection.execute(command, values)

    def _replace(self, table: str, row: Row | Trouble | Place) -> None:
        values = msgspec.to_builtins(row)
        marks = ", ".join(f":{name}" for name in values)
        with self._open() as connection:
            connection.execute(f"REPLACE INTO {table} ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608 - ours

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._path, _TABLES, _HINT)
