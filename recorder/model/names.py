"""Names of packages: `2026-11-24_0900_rapat-senat_3f2a91c0`, safe on every file system, sorted by local date."""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

SLUG_LENGTH = 60
"""Characters of a title that a name keeps: readable in a file manager, far below any limit on paths."""

NAME = re.compile(
    r"(?P<session>(?P<date>\d{4}-\d{2}-\d{2})_(?P<time>\d{4})_[a-z0-9-]+_(?P<suffix>[0-9a-f]{8}))"
    r"(?P<copy>\.copy\d+)?(?P<part>\.\d+|\.joined)?"
)
"""The form of a package's name.

A part of a session ends with its number (`.2`), the second copy of a mirrored session with `.copy2`. The work folder
that recovery makes of several parts ends with `.joined`.
"""

JOINED = ".joined"

NEW, OLD = ".new", ".old"
"""Ends of the hidden names that a corrected package has before it takes a package's place, and that package after."""

LONGEST_QUOTE = 300
"""Characters of what others say that a message has room for."""

_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def storable(text: str) -> str:
    """Return `text` with what UTF-8 cannot hold (bytes of a command line that were not UTF-8) replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return `text` on one line, without control characters: safe in a header field and on a terminal."""
    return " ".join(_CONTROL.sub(" ", storable(text)).split())


def shortened(text: str, most: int) -> str:
    """Return `text` of at most `most` characters; where some are missing it ends with an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def quoted(text: str, most: int = LONGEST_QUOTE) -> str:
    """Return what another program or a client says, as a message repeats it: `one_line`, at most `most` characters."""
    return shortened(one_line(text), most)


def slug(title: str, fallback: str = "sesi") -> str:
    """Return `title` in `[a-z0-9-]`, at most SLUG_LENGTH characters, cut between words where it can be."""
    decomposed = unicodedata.normalize("NFKD", title.casefold()).translate(_UNDECOMPOSED)
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    if len(words) > SLUG_LENGTH:
        cut = words[: SLUG_LENGTH + 1]
        words = cut.rpartition("-")[0] or cut[:SLUG_LENGTH]
    return words.strip("-") or fallback


def near(key: str, known: Sequence[str], most: int) -> list[str]:
    """Return the `most` names of `known` that somebody may have meant by `key`, the likeliest first."""
    alike = difflib.get_close_matches(key, known, most, cutoff=0.5)
    return [*alike, *(name for name in known if slug(key) in name and name not in alike)][:most]


def session_of(name: str) -> str:
    """Return the name of the package that a work folder of the given name belongs to."""
    match = NAME.fullmatch(name)
    return match["session"] if match else name


def of_part(session: str, part: int, copy: int = 1) -> str:
    """Return the name of the package that holds a session from part `part` of copy `copy` on, both counted from 1."""
    return session + (f".copy{copy}" if copy > 1 else "") + (f".{part}" if part > 1 else "")


def uuid_of_part(session: str, part: int, copy: int = 1) -> str:
    """Return the UUID of that package; of part 1 of copy 1 it is the session's own."""
    return session if part == copy == 1 else str(uuid5(NAMESPACE_URL, f"urn:uuid:{session}#copy{copy}.part{part}"))


def time_in(name: str) -> datetime | None:
    """Return when the session began that a name tells of, None where there is no such time in it; in this PC's zone."""
    match = NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H%M").astimezone()
    except (ValueError, OverflowError):  # 2026-13-40 only looks like a date, 0001-01-01 is none in every time zone
        return None


def corrected(name: str) -> str | None:
    """Return the name of the package of which a folder called `name` is another version; None for any other."""
    end = next((end for end in (NEW, OLD) if name.endswith(end)), "")
    return name[1 : -len(end)] if end and name.startswith(".") and len(name) > len(end) + 1 else None


def replaced(name: str) -> str | None:
    """Return the name that the package in a folder called `name` had until it was corrected; None for any other."""
    return corrected(name) if name.endswith(OLD) else None


def part_of(name: str) -> int:
    """Return which part of its session a work folder of the given name holds, counted from 1."""
    match = NAME.fullmatch(name)
    number = match["part"] if match else None
    return 1 if number in {None, JOINED} else int(str(number)[1:])


def package_name(title: str, started_at: datetime, uuid: UUID) -> str:
    """Return the name of the package of a session: local date and time, the title, the first 8 digits of its UUID."""
    return f"{started_at:%Y-%m-%d_%H%M}_{slug(title)}_{uuid.hex[:8]}"
