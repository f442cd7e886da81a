"""What can be set of the schedule (`[schedule]`), and the calendars that sessions are taken from (`[feeds.NAME]`)."""

import urllib.parse
from collections.abc import Iterator
from typing import Annotated

import msgspec

from config import kinds
from config.addresses import NO_HOST, is_host, scheme_of
from config.quantities import NotAllowed, format_duration, parse_duration

MODES = ("remind", "arm", "record")
FEED_SCHEMES = ("https", "http", "webcal", "file")
EVERYWHERE = "*"
"""Stands in `locations` for any place."""

_FORM = "must look like https://HOST/CALENDAR.ics, webcal://HOST/CALENDAR.ics or file:///CALENDAR.ics"
_SPANS = 'must be a list of lengths of time up to a week, such as ["30m", "10m"]'
_MOST_SPANS, _LONGEST_SPAN_S = 10, 7 * 86_400.0


def check_feed_address(raw: object) -> str:
    """Return the address of a calendar; raises NotAllowed, whose words repeat none of it."""
    if not isinstance(raw, str) or not raw.isprintable() or " " in raw or scheme_of(raw) not in FEED_SCHEMES:
        raise NotAllowed(_FORM)
    try:
        parts = urllib.parse.urlsplit(raw)
        host, port, password = parts.hostname or "", parts.port, parts.password
    except ValueError:
        raise NotAllowed(_FORM) from None
    is_file = scheme_of(raw) == "file"
    if not (not parts.netloc and len(parts.path) > 1 if is_file else host and port != 0):
        raise NotAllowed(_FORM)
    if not is_host(host):
        raise NotAllowed(NO_HOST)
    if password is not None:
        raise NotAllowed("must not hold a password; such an address belongs in the file of keys, in the table [feeds]")
    return raw


def _feed_address(raw: object) -> str:
    return "" if raw == "" else check_feed_address(raw)


FEED_ADDRESS = kinds.Kind("where a calendar is: an address that anybody may read", _feed_address)


def _spans(raw: object) -> tuple[float, ...]:
    if not isinstance(raw, list) or len(raw) > _MOST_SPANS or not all(isinstance(each, str) for each in raw):
        raise NotAllowed(_SPANS)
    try:
        seconds = {parse_duration(each) for each in raw}
    except NotAllowed:
        raise NotAllowed(_SPANS) from None
    if any(each > _LONGEST_SPAN_S for each in seconds):
        raise NotAllowed(_SPANS)
    return tuple(sorted(seconds, reverse=True))


SPANS = kinds.Kind(
    "lengths of time, the longest first", _spans, lambda spans: [format_duration(each) for each in spans]
)


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar that sessions are taken from.

    Only events count whose place has one of `locations` in it; none named is the room's own name, and "*" any place.
    With `categories` they must also be of one of these. `mode` is what is done for them; None as [schedule] has it.
    """

    url: Annotated[str, FEED_ADDRESS] = ""
    locations: Annotated[tuple[str, ...], kinds.WORDS] = ()
    categories: Annotated[tuple[str, ...], kinds.WORDS] = ()
    mode: Annotated[str | None, kinds.choice(MODES)] = None


class ScheduleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is done for a planned session: reminded of it, armed as well, or recorded from its beginning to its end.

    `remind` says how long before its beginning; `check_before_s` before it the room is checked (0: not), and
    `arm_ahead_s` before it its devices are opened. Calendars are read every `read_every_s`, `days_ahead` far.
    """

    mode: Annotated[str, kinds.choice(MODES)] = "remind"
    remind: Annotated[tuple[float, ...], SPANS] = (1800.0, 600.0)
    check_before_s: Annotated[float, kinds.seconds(0, 86_400)] = 1200.0
    arm_ahead_s: Annotated[float, kinds.seconds(0, 3600)] = 300.0
    read_every_s: Annotated[float, kinds.seconds(60, 86_400)] = 900.0
    days_ahead: Annotated[int, kinds.whole(1, 366)] = 30

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        if 0 < self.check_before_s <= self.arm_ahead_s:
            yield "check_before_s", "must be more than arm_ahead_s: what is armed has its devices, and is not checked"
