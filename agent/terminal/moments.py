"""Days and times as people write them: "2d" ago, "kemarin 14:30", "1 Desember 2026 pukul 09.00 WIB"."""

import re
from datetime import date, datetime, time, timedelta, tzinfo

from agent.terminal.parameters import option_callback
from config.settings.office import INDONESIAN_ZONES
from config.settings.quantities import NotAllowed, parse_duration

ALLOWED = 'must be how long ago ("2d", "1h30m"), a day ("2026-11-20", "yesterday") or a time ("2026-11-20 14:30")'
DAY_ALLOWED = 'must be a day, such as "2026-12-01", "1/12/2026", "1 Desember 2026" or "today"'
WHEN_ALLOWED = 'must be a time, such as "2026-12-01 09:00", "1 Desember 2026 09.00", "kemarin 14:30" or "now"'
FIRST_YEAR, LAST_YEAR = 1990, 9000

_WORDS = {
    **dict.fromkeys(("today", "hari ini"), 0),
    **dict.fromkeys(("yesterday", "kemarin"), -1),
    **dict.fromkeys(("tomorrow", "besok"), 1),
}


def _numbered(*names: str) -> dict[str, int]:
    return {name: number for number, words in enumerate(names) for name in words.split()}


_MONTHS = _numbered(
    "", "jan januari january", "feb februari february", "mar maret march", "apr april", "mei may", "jun juni june",
    "jul juli july", "agu ags agustus aug august", "sep september", "okt oktober oct october", "nov november",
    "des desember dec december",
)  # fmt: skip
_WEEKDAYS = _numbered(
    "senin monday", "selasa tuesday", "rabu wednesday", "kamis thursday", "jumat jum'at friday", "sabtu saturday",
    "minggu ahad sunday",
)  # fmt: skip
_WEEKDAY = re.compile(rf"({'|'.join(_WEEKDAYS)})[, ]+", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})[-/. ](\d{1,2}|[a-z]+)[-/. ](\d{4})", re.ASCII)
_TIME = re.compile(
    r"(?:(?P<day>.*?)[ ,]+|(?P<iso>\d{4}-\d\d-\d\d)t)??(?:pukul |pkl\.? ?|jam |at )?"
    # Seconds need a colon: 01.12.26 is an incomplete day and no time.
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,6})\d*)?)?"
    r"(?: ?(?P<zone>wib|wita|wit|z|[+-]\d{2}:?\d{2}))?",
    re.ASCII,
)
_SPAN = re.compile(r"\s*(?:(\d{1,6})\s*w)?\s*(?:(\d{1,6})\s*d)?\s*(\S.*)?", re.ASCII)


def parse_day(text: str, today: date) -> date:
    """Return the day of `text`; of two numbers before a year the first is the day. Raises NotAllowed."""
    text = _plain(text)
    weekday = _WEEKDAY.match(text)
    try:
        found = _day(text[weekday.end() :] if weekday else text, today)
    except (ValueError, OverflowError):  # 2026-02-31, or no such month
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise NotAllowed(DAY_ALLOWED)
    if weekday and _WEEKDAYS[weekday[1]] != found.weekday():
        raise NotAllowed(f"must have its own day of the week: {found:%Y-%m-%d} is a {found:%A}")
    return found


def _day(text: str, today: date) -> date | None:
    if text in _WORDS:
        return today + timedelta(days=_WORDS[text])
    if match := _YEAR_FIRST.fullmatch(text):
        return date(int(match[1]), int(match[2]), int(match[3]))
    if match := _DAY_FIRST.fullmatch(text):
        month = int(match[2]) if match[2].isdigit() else _MONTHS.get(match[2], 0)
        return date(int(match[3]), month, int(match[1]))
    return None


def parse_when(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the moment of `text` in `zone` (None: this PC's) by default; a day is its beginning. Raises NotAllowed."""
    return _read(_plain(text), now, zone, WHEN_ALLOWED)[0]


def parse_moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Return a moment or a time ago, in local time; a day is its beginning or its `end`. Raises NotAllowed."""
    text = _plain(text)
    try:
        moment = now - _span(text)
        if moment.year >= FIRST_YEAR:
            return moment
    except (NotAllowed, OverflowError):
        pass
    at, is_day = _read(text, now, None, ALLOWED)
    if end and is_day:
        return _at(at.date() + timedelta(days=1), time(), None) - timedelta(microseconds=1)
    return at


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _read(text: str, now: datetime, zone: tzinfo | None, allowed: str) -> tuple[datetime, bool]:
    """Return the moment, and whether `text` is a day."""
    here = now.astimezone(zone)
    if text == "now":
        return here, False
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            return _at(parse_day(text, here.date()), time(), zone), True
        named = match["day"] or match["iso"]
        day = parse_day(named, here.date()) if named else here.date()
        micro = int((match["fraction"] or "").ljust(6, "0"))
        wall = time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0), micro)
        return _at(day, wall, _zone(match["zone"], zone)).astimezone(zone), False
    except ValueError as error:  # NotAllowed is a ValueError, and so is the error of 25:00
        is_told = isinstance(error, NotAllowed) and str(error) != DAY_ALLOWED
        raise (error if is_told else NotAllowed(allowed)) from None


def _at(day: date, wall: time, zone: tzinfo | None) -> datetime:
    moment = datetime.combine(day, wall, zone)
    return moment if zone else moment.astimezone()


def _zone(name: str | None, otherwise: tzinfo | None) -> tzinfo | None:
    if name is None:
        return otherwise
    return INDONESIAN_ZONES.get(name.upper()) or datetime.fromisoformat(f"2000-01-01T00:00{name.upper()}").tzinfo


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text.removesuffix(" ago"))
    if not match or not any(match.groups()):
        raise NotAllowed(ALLOWED)
    weeks, days, rest = match.groups()
    return timedelta(weeks=int(weeks or 0), days=int(days or 0), seconds=parse_duration(rest) if rest else 0.0)


def _past(text: str) -> datetime:
    moment, now = parse_moment(text, _now()), _now()
    if moment > now:
        raise NotAllowed(f"is still to come: {moment:%Y-%m-%d %H:%M}")
    return moment


def _now() -> datetime:
    return datetime.now().astimezone()


since_callback = option_callback(_past)  # for an option such as --since
until_callback = option_callback(lambda text: parse_moment(text, _now(), end=True))
"""For an option such as --until: of a day, its end."""
moment_callback = option_callback(lambda text: parse_moment(text, _now()))
"""For an option such as --from, also in the future."""
