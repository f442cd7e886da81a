"""Searching an archive: words, days, rooms. Whatever is typed is words; nobody needs to know a query language."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from recorder.archive.index import Index, room_key
from recorder.archive.model import PackageState
from recorder.archive.names import storable

MOST = 50
"""Packages that are found at once, unless more are asked for."""
OPEN, CLOSE = "[", "]"
"""What stands around a word in a snippet that was looked for."""

_WEIGHTS = "100.0, 50.0, 20.0, 20.0, 1.0, 10.0"
"""How much a word counts in title, request, place, marks, chapters, files: a title more than a slide full of it."""
_LETTER = re.compile(r"[^\W_]")

MANY = 1000
"""So many packages that hold the words are not weighed: it takes longer than all else, and tells little of words that
stand everywhere. Those that have all of them in the first of these columns come first then, and the newest of each."""
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
# The plus keeps SQLite from asking the words for each package anew, which takes twenty times as long.
_SHOWN = f"""
SELECT packages.id, packages.document, snippet(words, -1, '{OPEN}', '{CLOSE}', '…', 16)
FROM words JOIN packages ON packages.id = words.rowid
WHERE words MATCH :words AND +words.rowid IN (SELECT value FROM json_each(:found))
"""  # noqa: S608 - constants of our own
_WITHOUT_WORDS = """
SELECT document, '' FROM packages
WHERE started BETWEEN :since AND :until AND room LIKE :room ORDER BY started DESC LIMIT :most
"""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was found: as `liput archive list --json` has it, and the text in which it was found."""

    id: str
    uuid: str
    title: str
    started_at: datetime
    duration_s: float
    bytes: int
    path: str
    state: PackageState
    snippet: str = ""


def search(
    index: Index,
    words: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    room: str = "",
    most: int = MOST,
) -> list[Found]:
    """Return the packages that hold every one of `words`, or words that begin so; the best first.

    `since` and `until` bound their beginnings, `room` is a part of the room's name. Without words those of the span are
    found, the newest first. The index is brought up to date before. Raises what `Index.refresh` raises.
    """
    index.refresh()
    query = match(words)
    if query is None and any(word.strip() for word in words):
        return []  # nothing but signs, which no text is searched by
    values: dict[str, object] = {
        "since": since.timestamp() if since else float("-inf"),
        "until": until.timestamp() if until else float("inf"),
        "room": f"%{room_key(room)}%",
        "most": most,
    }
    rows = index.run(lambda connection: _rows(connection, query, values))
    return [_found(document, snippet) for document, snippet in rows]


def _rows(connection: sqlite3.Connection, query: str | None, values: Mapping[str, object]) -> list[tuple[bytes, str]]:
    """Return documents and snippets of the packages that are found."""
    if query is None:
        return connection.execute(_WITHOUT_WORDS, values).fetchall()
    connection.execute("BEGIN")  # what is chosen is to be there when it is shown
    try:
        chosen = _chosen(connection, query, values)
        shown: dict[int, tuple[bytes, str]] = {}
        for columns in (_SHORT, _ALL):
            left = json.dumps([one for one in chosen if one not in shown])
            for one, document, snippet in connection.execute(_SHOWN, {"words": f"{columns}({query})", "found": left}):
                shown[one] = document, snippet
            if len(shown) == len(chosen):
                break
        return [shown[one] for one in chosen]
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def _chosen(connection: sqlite3.Connection, query: str, values: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the packages that are found, the best first."""
    ((count,),) = connection.execute(_COUNTED, {"words": query, "many": MANY})
    if count < MANY:
        return [one for (one,) in connection.execute(_BEST, {**values, "words": query})]
    chosen: list[int] = []
    for columns in (_TITLE, _SHORT, _ALL):
        asked = {"words": f"{columns}({query})", "found": json.dumps(chosen), "most": values["most"] - len(chosen)}
        chosen += (one for (one,) in connection.execute(_NEWEST, {**values, **asked}))
        if len(chosen) == values["most"]:
            break
    return chosen


def match(words: Sequence[str]) -> str | None:
    """Return the FTS5 expression for all of `words`, each as the beginning of one; None where there is none.

    In quotes nothing is an operator. What is no letter and no digit only parts words: `B/12/UN38` are three that
    follow each other.
    """
    parts = [part for word in words for part in storable(word).replace("\0", " ").split() if _LETTER.search(part)]
    quoted = (part.replace('"', '""') for part in parts)
    return " ".join(f'"{part}"*' for part in quoted) or None


def _found(document: bytes, snippet: str) -> Found:
    found = msgspec.json.decode(document, type=Found)
    return msgspec.structs.replace(found, snippet=" ".join(snippet.split()))
