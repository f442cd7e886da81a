"""Standard times of a procedure, as people write them: "1 day", "2 h", "10 min", or in Indonesian "1 hari", "2 jam"."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from config.locale.lookup import text as word
from config.quantities import NotAllowed

STANDARD_ALLOWED = 'a number of working days, hours or minutes, such as "1 day", "2 h" or "10 min"'
MOST_DAYS, MOST_HOURS = 366, 1000

_WRITTEN = re.compile(r"(\d{1,5})\s*([a-z]+)", re.ASCII)
_DAYS = ("d", "day", "days", "hari")
_SECONDS = {
    **dict.fromkeys(("h", "hour", "hours", "jam"), 3600),
    **dict.fromkeys(("m", "min", "minute", "minutes", "menit"), 60),
}


class StandardTime(msgspec.Struct, frozen=True, kw_only=True):
    """How long a step may take: whole working days, or seconds of office hours; the other is 0.

    What both mean on a calendar is said in recorder/dossier/hours.py.
    """

    days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] = 0
    seconds: Annotated[int, Meta(ge=0, le=MOST_HOURS * 3600)] = 0


def parse_standard(text: str) -> StandardTime:
    """Return what "1 day" or "10 min" stands for; raises NotAllowed."""
    match = _WRITTEN.fullmatch(text.strip().lower())
    if match is None:
        raise NotAllowed(f"must be {STANDARD_ALLOWED}")
    amount, unit = int(match[1]), match[2]
    if unit in _DAYS and 0 < amount <= MOST_DAYS:
        return StandardTime(days=amount)
    seconds = amount * _SECONDS.get(unit, 0)
    if not 0 < seconds <= MOST_HOURS * 3600:
        raise NotAllowed(f"must be {STANDARD_ALLOWED}")
    return StandardTime(seconds=seconds)


def format_standard(standard: StandardTime, language: str = "en") -> str:
    """Return `standard` as people write it; `parse_standard` reads it in both languages."""
    if standard.days:
        return f"{standard.days} {word('calendar', 'one-day' if standard.days == 1 else 'days', language)}"
    if standard.seconds % 3600 == 0:
        return f"{standard.seconds // 3600} {word('calendar', 'h', language)}"
    return f"{standard.seconds // 60} {word('calendar', 'min', language)}"
