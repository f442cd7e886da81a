"""Moments as people write them on a command line: "2d" ago, "yesterday", "2026-11-20 14:30"."""

import re
from datetime import date, datetime, time, timedelta

import click

from config.quantities import NotAllowed, parse_duration

ALLOWED = 'must be how long ago ("2d", "1h30m"), a day ("2026-11-20", "yesterday") or a time ("2026-11-20 14:30")'

_SPAN = re.compile(r"\s*(?:(\d{1,6})\s*w)?\s*(?:(\d{1,6})\s*d)?\s*(\S.*)?", re.ASCII | re.IGNORECASE)
_CLOCK_TIME = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?", re.ASCII)
_DAYS = {"today": 0, "hari ini": 0, "yesterday": -1, "kemarin": -1}
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_TICK = timedelta(microseconds=1)


def parse_moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Return the moment that `text` stands for, seen from `now`, in local time; raises NotAllowed.

    A day stands for its beginning, with `end` for its end.
    """
    text = " ".join(text.split()).lower()
    try:
        moment = _moment(text, now, end=end)
        if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return moment
    except (ValueError, OverflowError):  # NotAllowed is one; 2026-02-31 makes the other
        pass
    raise NotAllowed(ALLOWED)


def _moment(text: str, now: datetime, *, end: bool) -> datetime:
    if text == "now":
        return now
    if text in _DAYS:
        return _day(now.date() + timedelta(days=_DAYS[text]), end=end)
    if _CLOCK_TIME.fullmatch(text):
        return datetime.combine(now.date(), time.fromisoformat(text.zfill(5))).astimezone()
    if re.match(r"\d{4}-", text):
        if len(text) == len("2026-11-20"):
            return _day(date.fromisoformat(text), end=end)
        moment = datetime.fromisoformat(text.upper())
        return moment.astimezone() if moment.tzinfo is None else moment
    return now - _span(text)


def _day(day: date, *, end: bool) -> datetime:
    """Return the first moment of a local day, or its last."""
    if end:
        return datetime.combine(day + timedelta(days=1), time()).astimezone() - _TICK
    return datetime.combine(day, time()).astimezone()


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text.removesuffix(" ago"))
    if not match or not any(match.groups()):
        raise NotAllowed(ALLOWED)
    weeks, days, rest = match.groups()
    return timedelta(weeks=int(weeks or 0), days=int(days or 0), seconds=parse_duration(rest) if rest else 0.0)


def beginning(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment of an option such as --since, which has been; a click callback."""
    moment = _option(ctx, param, value, end=False)
    if moment is not None and moment > datetime.now().astimezone():
        raise click.BadParameter(f"{value!r} is still to come: {moment:%Y-%m-%d %H:%M}", ctx, param)
    return moment


def ending(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment of an option such as --until, of a day its end; a click callback."""
    return _option(ctx, param, value, end=True)


def _option(ctx: click.Context, param: click.Parameter, value: str | None, *, end: bool) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_moment(value, datetime.now().astimezone(), end=end)
    except NotAllowed as error:
        raise click.BadParameter(f"{value!r} {error}", ctx, param) from None
