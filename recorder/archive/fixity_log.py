"""When each package was read again and what was found: one small database in the state folder, outside the packages.

It is only added to. A kill costs the line that was being written, and nothing that was there.
"""

import sqlite3
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from config.files import stamp
from config.state import state_folder, transaction
from recorder.archive.model import Problem

FILE = "fixity.sqlite3"
MOST_PROBLEMS = 100
"""Kept of one package; how many there are is kept in any case."""

_HINT = "Free space on its disk; if it is damaged move it away: packages are then read anew."
_TABLE = """
CREATE TABLE IF NOT EXISTS checks (
    at TEXT, package TEXT, bytes INTEGER, outcome TEXT, found INTEGER, problems TEXT, note TEXT);
CREATE INDEX IF NOT EXISTS by_package ON checks (package, at);
"""


class Outcome(StrEnum):
    """What came of looking at a package, or of mending it."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    REPAIR_BEGUN = "repair-begun"
    REPAIRED = "repaired"
    COPY_WHOLE = "copy-whole"
    COPY_DAMAGED = "copy-damaged"
    PRUNED = "pruned"


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="fixity"):
    """One line of the log: when, which package, how many bytes were read, what came of it.

    `found` counts the problems, of which the first MOST_PROBLEMS are kept; `note` says what else there is to say.
    """

    at: datetime
    package: str
    bytes: int
    outcome: Outcome
    found: int = 0
    problems: tuple[Problem, ...] = ()
    note: str = ""


class FixityLog:
    """The database; every method raises StateError where it cannot be read or written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_folder() / FILE

    def add(self, entry: Entry) -> None:
        """Add a line; it is on the disk when this returns."""
        problems = msgspec.json.encode(entry.problems[:MOST_PROBLEMS]).decode()
        values = (entry.at.isoformat(), entry.package, entry.bytes, entry.outcome, entry.found, problems, entry.note)
        with self._open() as connection:
            connection.execute("INSERT INTO checks VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def last_read(self, now: datetime) -> dict[str, datetime]:
        """Return when each package was read last, up to `now`: a reading of the future was noted by a wrong clock."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT package, max(julianday(at)), at FROM checks "
                "WHERE outcome IN (?, ?) AND julianday(at) <= julianday(?) GROUP BY package",
                (Outcome.WHOLE, Outcome.DAMAGED, now.isoformat()),
            ).fetchall()
        return {package: datetime.fromisoformat(at) for package, _, at in found}

    def stamp(self) -> object:
        """Return what differs once a line was added; None where there is none yet."""
        return stamp(self._path)

    def damaged(self, since: datetime) -> list[Entry]:
        """Return the last line of each package that was found damaged since then, and neither repaired nor whole."""
        settled = (Outcome.WHOLE, Outcome.DAMAGED, Outcome.REPAIRED)
        with self._open() as connection:
            found = connection.execute(
                "SELECT * FROM checks WHERE rowid IN "
                "(SELECT max(rowid) FROM checks WHERE outcome IN (?, ?, ?) GROUP BY package) "
                "AND outcome = ? AND julianday(at) >= julianday(?) ORDER BY rowid",
                (*settled, Outcome.DAMAGED, since.isoformat()),
            ).fetchall()
        return [_entry(*row) for row in found]

    def entries(self, package: str | None = None) -> list[Entry]:
        """Return the lines of one package, or all, the oldest first."""
        with self._open() as connection:
            found = connection.execute(
                "SELECT * FROM checks WHERE ? IS NULL OR package = ? ORDER BY rowid", (package, package)
            ).fetchall()
        return [_entry(*row) for row in found]

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return transaction(self._path, _TABLE, _HINT)


def _entry(at: str, package: str, size: int, outcome: str, found: int, problems: str, note: str) -> Entry:
    """Return a line of the table."""
    return Entry(
        at=datetime.fromisoformat(at), package=package, bytes=size, outcome=Outcome(outcome), found=found,
        problems=msgspec.json.decode(problems, type=tuple[Problem, ...]), note=note,
    )  # fmt: skip
