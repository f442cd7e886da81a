"""The search index of an archive: one SQLite file in the state folder, made from the packages' descriptions.

Times of the folders `YYYY/MM` show changes, since adding, removing or correcting a package changes them. One
transaction updates the index, so a kill leaves it as it was. Search terms are plain words, not a query language.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from config.errors import StateError
from config.files import read_file
from config.state import state_folder
from recorder.archive.archive import months, packages_in, read_package, readable
from recorder.model import names
from recorder.model.names import utf8_safe
from recorder.package import bag
from recorder.package.fixity import Progress
from recorder.package.metadata import Package, PackageState, Recording
from recorder.package.work_folder import RECORDING_FILE

VERSION = 2  # the version of the tables; another version is made again
BUSY_S = 30.0  # another process may take this long to update the index
SETTLED_NS = 5_000_000_000  # a younger folder is always read: its time may not change with a second change
_TABLES = f"""
DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS packages; DROP TABLE IF EXISTS months;
CREATE TABLE months (path TEXT PRIMARY KEY, stamp INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE packages (
    id INTEGER PRIMARY KEY, month TEXT NOT NULL, name TEXT NOT NULL, stamp TEXT NOT NULL,
    started REAL NOT NULL, room TEXT NOT NULL, document BLOB NOT NULL, UNIQUE (month, name)
);
CREATE INDEX by_time ON packages (started);
CREATE VIRTUAL TABLE words USING fts5 (
    title, request, place, marks, chapters, files, tokenize = "unicode61 remove_diacritics 2", prefix = '1 2 3'
);
PRAGMA user_version = {VERSION};
"""
_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_IOERR}
)
"""Error codes of a file that is no usable index."""

type IndexedTexts = tuple[str, str, str, str, str, str]  # the texts of title, request, place, marks, chapters and files


class ArchiveIndex(contextlib.AbstractContextManager["ArchiveIndex"]):
    """The index of the archive at `root`. Methods raise StateError if it cannot be used."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self.root = root.resolve()
        folder = folder or state_folder() / "index"
        self.path = folder / f"{hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]}.sqlite3"
        self._connection: sqlite3.Connection | None = None

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def refresh(self) -> int:
        """Update the index; return the number of packages read. Raises StorageError, StateError."""
        stamps = self._stamps()
        return self.run(lambda connection: self._refresh(connection, stamps))

    def rebuild(self, progress: Progress | None = None) -> int:
        """Read all packages again; return their number. Raises StorageError, StateError."""
        stamps = self._stamps()
        return self.run(lambda connection: self._read_months(connection, stamps, progress, anew=True))

    def run[Answer](self, work: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Return the result of `work`. A damaged index is made again once."""
        with self._translated():
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGED:
                    raise
            self._throw_away()
            connection = self._open()
            self._read_months(connection, self._stamps(), None, anew=True)
            return work(connection)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            hint = "Another Liput is at it; try again." if busy else "Check the disk of the state folder."
            raise StateError(f"The index {self.path} cannot be used: {error}", hint=hint) from None
        except OSError as error:
            raise StateError(f"The index {self.path} cannot be used: {error.strerror}") from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or not _is_of_this_version(self._connection):
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                return self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for a writer
            self._connection.execute("PRAGMA synchronous = NORMAL")
        if not _is_of_this_version(self._connection):
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
        return self._connection

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from making the file; SQLite waits for none while it changes the journal's mode."""
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _throw_away(self) -> None:
        """Remove a damaged file, unless another process has just done so."""
        self.close()
        with self._locked():
            with contextlib.suppress(sqlite3.DatabaseError):
                if self._is_sound():
                    return
            self.close()
            for end in ("", "-wal", "-shm", "-journal"):
                Path(f"{self.path}{end}").unlink(missing_ok=True)

    def _is_sound(self) -> bool:
        connection = self._connect()
        connection.execute("SELECT count(*) FROM packages, months, words WHERE 0")
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        return bool(connection.execute("PRAGMA quick_check (1)").fetchone() == ("ok",))

    def _stamps(self) -> dict[str, int]:
        """Return the times of the months' folders in ns; 0 for one that is too young."""
        young = time.time_ns() - SETTLED_NS
        with readable(self.root):
            times = {str(month.relative_to(self.root)): month.stat().st_mtime_ns for month in months(self.root)}
        return {month: stamp if stamp < young else 0 for month, stamp in times.items()}

    def _refresh(self, connection: sqlite3.Connection, stamps: dict[str, int]) -> int:
        known = dict(connection.execute("SELECT path, stamp FROM months"))
        if known == stamps and 0 not in stamps.values():
            return 0
        return self._read_months(connection, stamps, None, anew=False)

    def _read_months(
        self, connection: sqlite3.Connection, stamps: dict[str, int], progress: Progress | None, *, anew: bool
    ) -> int:
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if anew:
                connection.execute("DELETE FROM words")
                connection.execute("DELETE FROM packages")
                connection.execute("DELETE FROM months")
            known = dict(connection.execute("SELECT path, stamp FROM months"))
            changed = [month for month, stamp in stamps.items() if not stamp or known.get(month) != stamp]
            for month in known.keys() - stamps.keys():
                _remove(connection, "month = ?", (month,))
                connection.execute("DELETE FROM months WHERE path = ?", (month,))
            folders = {month: list(packages_in(self.root / month)) for month in changed}
            total, done, read = sum(map(len, folders.values())), 0, 0
            for month in changed:
                read += self._read_month(connection, month, folders[month])
                connection.execute("INSERT OR REPLACE INTO months VALUES (?, ?)", (month, stamps[month]))
                done += len(folders[month])
                if progress is not None:
                    progress(done, total)
        return read

    def _read_month(self, connection: sqlite3.Connection, month: str, folders: list[Path]) -> int:
        known: dict[str, str] = dict(connection.execute("SELECT name, stamp FROM packages WHERE month = ?", (month,)))
        there: list[str] = []
        read = 0
        for folder in folders:
            name = os.fsencode(folder.name).hex()
            with contextlib.suppress(FileNotFoundError):  # a correction or a person has just renamed it
                stamp = _stamp(folder)
                if known.get(name) != stamp:
                    _put(connection, (month, name, stamp), *_entry(folder))
                    read += 1
                there.append(name)
        _remove(connection, "month = ? AND name NOT IN (SELECT value FROM json_each(?))", (month, json.dumps(there)))
        return read


def _is_of_this_version(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA user_version").fetchone() == (VERSION,))


def _stamp(folder: Path) -> str:
    """Return a value that a correction changes: it makes another folder."""
    found = folder.stat()
    return f"{found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _put(
    connection: sqlite3.Connection, key: tuple[str, str, str], row: tuple[float, str, bytes], words: IndexedTexts
) -> None:
    _remove(connection, "month = ? AND name = ?", key[:2])
    cursor = connection.execute(
        "INSERT INTO packages (month, name, stamp, started, room, document) VALUES (?, ?, ?, ?, ?, ?)", (*key, *row)
    )
    connection.execute(
        "INSERT INTO words (rowid, title, request, place, marks, chapters, files) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (cursor.lastrowid, *words),
    )


def _remove(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> None:
    connection.execute(f"DELETE FROM words WHERE rowid IN (SELECT id FROM packages WHERE {where})", values)  # noqa: S608 - our own words
    connection.execute(f"DELETE FROM packages WHERE {where}", values)  # noqa: S608 - our own words


def room_key(room: str) -> str:
    """Return a room's name without accents, capitals and signs, to compare with typed text."""
    return names.slug(room, "")


def _entry(folder: Path) -> tuple[tuple[float, str, bytes], IndexedTexts]:
    """Return the row of a package (start, room, document) and its texts. A damaged package has its name only."""
    package = read_package(folder)
    if package.recording and not _is_listed(folder):
        package = msgspec.structs.replace(package, state=PackageState.DAMAGED)
    recording = package.recording or None
    document = msgspec.json.encode(msgspec.structs.replace(package, recording=msgspec.UNSET))
    room = room_key(recording.room) if recording else ""
    return (package.started_at.timestamp(), room, document), _words(package, recording)


def _is_listed(folder: Path) -> bool:
    """Return whether the tag manifest lists the description as it is."""
    try:
        digest = hashlib.sha256(read_file(folder / RECORDING_FILE)).hexdigest()
        listed = read_file(folder / bag.TAG_MANIFEST_FILE)
        # Decoding a whole manifest takes longer than all else; ours has this exact line.
        return f"{digest}  {RECORDING_FILE}\n".encode() in listed or (
            bag.read_manifest(listed).get(RECORDING_FILE) == digest
        )
    except (OSError, bag.BagFormatError):
        return False


def _words(package: Package, recording: Recording | None) -> IndexedTexts:
    if recording is None:
        return package.title, "", "", "", "", ""
    request = recording.request
    asked = (request.letter_number, request.applicant, request.unit, request.event) if request else ()
    return (
        recording.title,
        _lines(*asked),
        _lines(recording.room, recording.office, request.place if request else ""),
        _lines(*(mark.text for mark in recording.marks)),
        _lines(*(text for chapter in recording.chapters for text in (chapter.title, chapter.text))),
        _lines(*(text for one in recording.additions for text in (one.name, one.note))),
    )


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


MOST_RESULTS = 50  # the default number of results
OPEN, CLOSE = "[", "]"  # marks of a found word in a snippet
_WEIGHTS = "100.0, 50.0, 20.0, 20.0, 1.0, 10.0"  # weights of title, request, place, marks, chapters, files
_LETTER = re.compile(r"[^\W_]")

RANKED_MATCHES = 1000
"""From this many matches on results are not ranked, which would be slow and pointless for common words. Matches in the
first of these columns come first, the newest first."""
_TITLE, _SHORT, _ALL = "{title} : ", "{title request place marks files} : ", ""

_COUNTED = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH :words LIMIT :many)"
_BEST = f"""
SELECT packages.id FROM words JOIN packages ON packages.id = words.rowid
WHERE words MATCH :words AND words.rank MATCH 'bm25({_WEIGHTS})'
    AND packages.started BETWEEN :since AND :until AND packages.room LIKE :room
ORDER BY words.rank, packages.started DESC LIMIT :most
"""  # noqa: S608 - constants of our own
_NEWEST = """
SELECT id FROM packages INDEXED BY by_time WHERE id IN (SELECT rowid FROM words WHERE words MATCH :words)
    AND id NOT IN (SELECT value FROM json_each(:found)) AND started BETWEEN :since AND :until AND room LIKE :room
ORDER BY started DESC LIMIT :most
"""
# The plus keeps SQLite from searching the words again for each package: 20 times slower.
_SHOWN = f"""
SELECT packages.id, packages.document, snippet(words, -1, '{OPEN}', '{CLOSE}', '…', 16)
FROM words JOIN packages ON packages.id = words.rowid
WHERE words MATCH :words AND +words.rowid IN (SELECT value FROM json_each(:found))
"""  # noqa: S608 - constants of our own
_WITHOUT_WORDS = """
SELECT document, '' FROM packages
WHERE started BETWEEN :since AND :until AND room LIKE :room ORDER BY started DESC LIMIT :most
"""


def search_archive(
    index: ArchiveIndex,
    words: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    room: str = "",
    most: int = MOST_RESULTS,
) -> list[Package]:
    """Return the packages, with snippets, that hold all `words` or words that begin with them, the best first.

    `since` and `until` bound the start, `room` is part of the room's name. Without words the newest come first. Updates
    the index first; raises as `ArchiveIndex.refresh`.
    """
    index.refresh()
    query = fts_query(words)
    if query is None and any(word.strip() for word in words):
        return []  # signs only
    values: dict[str, object] = {
        "since": since.timestamp() if since else float("-inf"),
        "until": until.timestamp() if until else float("inf"),
        "room": f"%{room_key(room)}%",
        "most": most,
    }
    rows = index.run(lambda connection: _rows(connection, query, values))
    return [
        msgspec.structs.replace(msgspec.json.decode(document, type=Package), snippet=" ".join(snippet.split()))
        for document, snippet in rows
    ]


def _rows(connection: sqlite3.Connection, query: str | None, values: Mapping[str, object]) -> list[tuple[bytes, str]]:
    if query is None:
        return connection.execute(_WITHOUT_WORDS, values).fetchall()
    connection.execute("BEGIN")  # rows must not vanish between choosing and showing
    with connection:
        chosen = _chosen(connection, query, values)
        shown: dict[int, tuple[bytes, str]] = {}
        for columns in (_SHORT, _ALL):
            left = json.dumps([one for one in chosen if one not in shown])
            for one, document, snippet in connection.execute(_SHOWN, {"words": f"{columns}({query})", "found": left}):
                shown[one] = document, snippet
            if len(shown) == len(chosen):
                break
        return [shown[one] for one in chosen]


def _chosen(connection: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> list[int]:
    ((count,),) = connection.execute(_COUNTED, {"words": query, "many": RANKED_MATCHES})
    if count < RANKED_MATCHES:
        return [one for (one,) in connection.execute(_BEST, {**values, "words": query})]
    chosen: list[int] = []
    for columns in (_TITLE, _SHORT, _ALL):
        asked = {"words": f"{columns}({query})", "found": json.dumps(chosen), "most": values["most"] - len(chosen)}
        chosen += (one for (one,) in connection.execute(_NEWEST, {**values, **asked}))
        if len(chosen) == values["most"]:
            break
    return chosen


def fts_query(words: Sequence[str]) -> str | None:
    """Return an FTS5 expression for all `words` as prefixes, or None. `B/12` is two words in sequence."""
    parts = [part for word in words for part in utf8_safe(word).replace("\0", " ").split() if _LETTER.search(part)]
    quoted = (part.replace('"', '""') for part in parts)
    return " ".join(f'"{part}"*' for part in quoted) or None
