"""Names of packages: `2026-11-24_0900_rapat-senat_3f2a91c0`, safe on every file system, sorted by local date."""

import difflib
import json
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

SLUG_LENGTH = 60  # characters of a title in a name: readable in a file manager, far below the limits of paths

NAME = re.compile(
    r"(?P<session>(?P<date>\d{4}-\d{2}-\d{2})_(?P<time>\d{4})_[a-z0-9-]+_(?P<suffix>[0-9a-f]{8}))"
    r"(?P<copy>\.copy\d+)?(?P<part>\.\d+|\.joined)?"
)
"""The form of a package's name. || `.2` is the second part of a session, `.copy2` the second copy of a mirrored
session. Recovery joins parts in a folder `.joined`."""
JOINED = ".joined"

NEW, OLD = ".new", ".old"
"""Suffixes of hidden names: a corrected package before it takes its place, and the former package afterwards."""
LONGEST_QUOTE = 300  # characters of foreign text in a message

_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def utf8_safe(text: str) -> str:
    """Return `text` with U+FFFD in place of bytes that were not UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def json_bytes(value: object) -> bytes:
    """Return `value` as JSON; invalid UTF-8, as in names of files, is replaced."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return utf8_safe(json.dumps(msgspec.to_builtins(value), ensure_ascii=False)).encode()


def one_line(text: str) -> str:
    """Return `text` on one line without control characters, safe in a header field and on a terminal."""
    return " ".join(_CONTROL.sub(" ", utf8_safe(text)).split())


def shortened(text: str, most: int) -> str:
    """Return at most `most` characters of `text`; a cut ends with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def quoted(text: str, most: int = LONGEST_QUOTE) -> str:
    """Return foreign text for a message: `one_line`, at most `most` characters."""
    return shortened(one_line(text), most)


def slug(title: str, fallback: str = "sesi") -> str:
    """Return `title` in `[a-z0-9-]`, at most SLUG_LENGTH characters, cut between words if possible."""
    decomposed = unicodedata.normalize("NFKD", title.casefold()).translate(_UNDECOMPOSED)
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    if len(words) > SLUG_LENGTH:
        cut = words[: SLUG_LENGTH + 1]
        words = cut.rpartition("-")[0] or cut[:SLUG_LENGTH]
    return words.strip("-") or fallback


def similar_names(key: str, known: Sequence[str], most: int) -> list[str]:
    """Return up to `most` names of `known` that resemble `key`, the likeliest first."""
    alike = difflib.get_close_matches(key, known, most, cutoff=0.5)
    return [*alike, *(name for name in known if slug(key) in name and name not in alike)][:most]


def session_in_name(name: str) -> str:
    """Return the package's name for the name of a work folder."""
    match = NAME.fullmatch(name)
    return match["session"] if match else name


def package_of_part(session: str, part: int, copy: int = 1) -> str:
    """Return the package's name for a part and a copy, both counted from 1."""
    return session + (f".copy{copy}" if copy > 1 else "") + (f".{part}" if part > 1 else "")


def uuid_of_part(session: str, part: int, copy: int = 1) -> str:
    """Return the UUID of that package. Part 1 of copy 1 has the session's own UUID."""
    return session if part == copy == 1 else str(uuid5(NAMESPACE_URL, f"urn:uuid:{session}#copy{copy}.part{part}"))


def start_in_name(name: str) -> datetime | None:
    """Return the start of the session from a package's name, in this PC's time zone; None if it has none."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H%M").astimezone()
    except (ValueError, OverflowError):  # no such date, or a year 1 that some time zones do not have
        return None


def corrected_name(name: str) -> str | None:
    """Return the package's name for the hidden folder of a correction; None for another folder."""
    end = next((end for end in (NEW, OLD) if name.endswith(end)), "")
    return name[1 : -len(end)] if end and name.startswith(".") and len(name) > len(end) + 1 else None


def replaced_name(name: str) -> str | None:
    """Return the package's name for the hidden folder of its former version; None for another folder."""
    return corrected_name(name) if name.endswith(OLD) else None


def part_in_name(name: str) -> int:
    """Return the number of the part in the name of a work folder, counted from 1."""
    match = NAME.fullmatch(name)
    number = match["part"] if match else None
    return 1 if number in {None, JOINED} else int(str(number)[1:])


def package_name(title: str, started_at: datetime, uuid: UUID) -> str:
    """Return the name of a session's package: local date and time, title, first 8 digits of its UUID."""
    return f"{started_at:%Y-%m-%d_%H%M}_{slug(title)}_{uuid.hex[:8]}"
