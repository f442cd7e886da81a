"""The office's settings: its working hours, and the procedure for requests of video conferences."""

import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from config.locale.lookup import text as word
from config.settings import value_kinds
from config.settings.quantities import NotAllowed

STANDARD_ALLOWED = 'a number of working days, hours or minutes, such as "1 day", "2 h" or "10 min"'
MOST_DAYS, MOST_HOURS = 366, 1000

_WRITTEN = re.compile(r"(\d{1,5})\s*([a-z]+)", re.ASCII)
_DAYS = ("d", "day", "days", "hari")
_SECONDS = {
    **dict.fromkeys(("h", "hour", "hours", "jam"), 3600),
    **dict.fromkeys(("m", "min", "minute", "minutes", "menit"), 60),
}


class StandardTime(msgspec.Struct, frozen=True, kw_only=True):
    """The time for a step: whole working days, or seconds of office hours; the other is 0."""

    days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] = 0
    seconds: Annotated[int, Meta(ge=0, le=MOST_HOURS * 3600)] = 0


def format_standard(standard: StandardTime, language: str = "en") -> str:
    """Return `standard` as people write it; the settings may have it in either language."""
    if standard.days:
        return f"{standard.days} {word('calendar', 'one-day' if standard.days == 1 else 'days', language)}"
    if standard.seconds % 3600 == 0:
        return f"{standard.seconds // 3600} {word('calendar', 'h', language)}"
    return f"{standard.seconds // 60} {word('calendar', 'min', language)}"


LOCAL = "local"
INDONESIAN_ZONES = {
    name: timezone(timedelta(hours=hours), name) for name, hours in (("WIB", 7), ("WITA", 8), ("WIT", 9))
}
"""Indonesia has no daylight saving time."""
_VARIABLE = "TZ"
_OF_THE_PC = os.environ.get(_VARIABLE)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_HOLIDAYS = 3660
_DAY_MINUTES = 24 * 60
_SPAN = re.compile(r"(\d{1,2})[:.](\d{2})\s*-\s*(\d{1,2})[:.](\d{2})", re.ASCII)


def zone_of(name: str) -> tzinfo:
    """Return the time zone `name`: LOCAL, WIB, WITA, WIT, or one of the IANA database; raises NotAllowed."""
    if name in INDONESIAN_ZONES:
        return INDONESIAN_ZONES[name]
    from zoneinfo import ZoneInfo  # loads in 3 ms, for the office's hours only

    try:
        if name != LOCAL:
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, LOCAL)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        if name == LOCAL:
            return datetime.now().astimezone().tzinfo or UTC
        raise NotAllowed('must be "local", "WIB", "WITA", "WIT" or a zone such as "Asia/Jakarta"') from None


def use_time_zone(name: str) -> None:
    """Make the time zone `name` the local one of this process and of its later children."""
    zone = _OF_THE_PC
    if name in INDONESIAN_ZONES:
        zone = f"{name}-{(INDONESIAN_ZONES[name].utcoffset(None)).seconds // 3600}"  # POSIX counts to the west
    elif name != LOCAL:
        zone = name if Path("/usr/share/zoneinfo", name).exists() else _posix(zone_of(name))
    if zone == os.environ.get(_VARIABLE):
        return
    if zone is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = zone
    time.tzset()


def _posix(zone: tzinfo) -> str:
    """Return today's offset of a zone that the system has no file for, as TZ writes it."""
    offset = f"{datetime.now(zone):%z}"
    return f"<{offset}>{'-' if offset[0] == '+' else '+'}{offset[1:3]}:{offset[3:5]}"


def zone_name(name: str) -> str:
    """Return `name`, or for LOCAL the PC's zone by its IANA name, where that is known."""
    _, found, zone = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    return zone if name == LOCAL and found else name


def span_minutes(span: str) -> tuple[int, int]:
    """Return begin and end of "07:30-12:00" in minutes since midnight; raises NotAllowed."""
    match = _SPAN.fullmatch(span.strip())
    begin, end = (0, 0) if match is None else (60 * int(match[at]) + int(match[at + 1]) for at in (1, 3))
    if match is None or not begin < end <= _DAY_MINUTES or max(int(match[2]), int(match[4])) > 59:
        raise NotAllowed('must be hours such as ["07:30-12:00", "13:00-16:00"]; [] for a closed day')
    return begin, end


def _zone(raw: object) -> str:
    name = str(raw)
    zone_of(name)
    return name


ZONE = value_kinds.ValueKind("a time zone", _zone)


def _hours(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list):
        span_minutes("")
        return ()
    spans = [span_minutes(str(span)) for span in raw]
    if any(after[0] < before[1] for before, after in pairwise(spans)):
        raise NotAllowed("must be in order, and must not overlap")
    return tuple("-".join(f"{at // 60:02}:{at % 60:02}" for at in span) for span in spans)


HOURS = value_kinds.ValueKind(
    "spans of one day, in order, without overlap: `07:30-12:00`", _hours, value_kinds.each_shown
)


def _days(raw: object) -> Iterator[date]:
    first, _, last = str(raw).partition("..")
    begin, end = date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
    if not 0 <= (end - begin).days < MOST_HOLIDAYS:
        raise ValueError(raw)
    yield from (begin + timedelta(days=number) for number in range((end - begin).days + 1))


def _dates(raw: object) -> tuple[date, ...]:
    allowed = 'must be a list of days, such as ["2026-12-25", "2027-03-08..2027-03-12"]'
    if not isinstance(raw, list):
        raise NotAllowed(allowed)
    try:
        days = {day for each in raw for day in _days(each)}
    except ValueError:
        raise NotAllowed(allowed) from None
    return tuple(sorted(days))


DATES = value_kinds.ValueKind(
    "days: `2026-12-25`, or a range, `2026-03-18..2026-03-24`", _dates, lambda days: [day.isoformat() for day in days]
)


def _standard(raw: object) -> StandardTime:
    match = _WRITTEN.fullmatch(raw.strip().lower()) if isinstance(raw, str) else None
    amount, unit = (int(match[1]), match[2]) if match else (0, "")
    seconds = amount * _SECONDS.get(unit, 0)
    if unit in _DAYS and 0 < amount <= MOST_DAYS:
        return StandardTime(days=amount)
    if not 0 < seconds <= MOST_HOURS * 3600:
        raise NotAllowed(f"must be {STANDARD_ALLOWED}")
    return StandardTime(seconds=seconds)


STANDARD = value_kinds.ValueKind(
    "a standard time: 1 to 366 working days, or at most 1000 office hours, in hours or minutes",
    _standard,
    format_standard,
)


STANDARDS = value_kinds.list_of(
    "several standard times", 'a list of times, such as ["2 h", "1 h", "10 min"]', _standard,
    lambda times: [format_standard(each) for each in times],
)  # fmt: skip


_MONDAY_TO_THURSDAY = ("07:30-12:00", "13:00-16:00")


class Office(msgspec.Struct, frozen=True, kw_only=True):
    """The office's time zone, hours on each day of the week, and holidays; standard times count in these hours."""

    time_zone: Annotated[str, ZONE] = LOCAL
    monday: Annotated[tuple[str, ...], HOURS] = _MONDAY_TO_THURSDAY
    tuesday: Annotated[tuple[str, ...], HOURS] = _MONDAY_TO_THURSDAY
    wednesday: Annotated[tuple[str, ...], HOURS] = _MONDAY_TO_THURSDAY
    thursday: Annotated[tuple[str, ...], HOURS] = _MONDAY_TO_THURSDAY
    friday: Annotated[tuple[str, ...], HOURS] = ("07:30-11:30", "13:00-16:30")
    saturday: Annotated[tuple[str, ...], HOURS] = ()
    sunday: Annotated[tuple[str, ...], HOURS] = ()
    holidays: Annotated[tuple[date, ...], DATES] = ()

    def hours_of(self, weekday: int) -> tuple[str, ...]:
        """Return the hours of a day of the week; 0 is Monday."""
        hours: tuple[str, ...] = getattr(self, WEEKDAYS[weekday])
        return hours

    def problems(self) -> Iterator[tuple[str, str]]:
        if not any(map(self.hours_of, range(7))):
            yield "monday", "the office works on no day: some day must have hours"


class RequestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The procedure for a request, and the folder of its papers; None: `permohonan` in the archive's folder.

    `roles` is the chain of disposition. `receive` is the first role's standard time to accept the letter; `dispose` has
    those to pass it on, from each role to the next, as far as the list goes. `carry_out` and `archive` are the last
    role's. A letter has at most `largest_letter` bytes.
    """

    path: Annotated[Path | None, value_kinds.FILE_PATH] = None
    roles: Annotated[tuple[str, ...], value_kinds.WORDS] = (
        "WR III", "Kepala BPKH", "Koord. PKIH", "Wakor Humas", "Staf Humas",
    )  # fmt: skip
    receive: Annotated[StandardTime, STANDARD] = StandardTime(days=1)
    dispose: Annotated[tuple[StandardTime, ...], STANDARDS] = (
        StandardTime(seconds=7200), StandardTime(seconds=3600), StandardTime(seconds=600),
    )  # fmt: skip
    carry_out: Annotated[StandardTime, STANDARD] = StandardTime(days=1)
    archive: Annotated[StandardTime, STANDARD] = StandardTime(days=1)
    largest_letter: Annotated[int, value_kinds.size(1000, 10**9)] = 20_000_000

    def problems(self) -> Iterator[tuple[str, str]]:
        if len(self.roles) < 2 or len(set(self.roles)) < len(self.roles):
            yield "roles", "must be two or more, each of them once"
        elif len(self.dispose) >= len(self.roles):
            yield "dispose", f"has more than {len(self.roles) - 1} times, from each of the roles to the next"
