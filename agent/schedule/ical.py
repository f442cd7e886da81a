"""Reads the events of some days from an iCalendar file, in a child process (agent/schedule/child.py).

A recurrence rule may take for ever, and zones stay in the library's memory.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import icalendar
import recurring_ical_events
from icalendar.timezone import tzp
from icalendar.timezone.zoneinfo import ZONEINFO

from agent.schedule.calendar_messages import MOST_EVENTS, CalendarAnswer, CalendarEvent
from agent.schedule.zones import zone_by_offset, zone_name_of, zone_named
from config.errors import MediaError
from recorder.model.names import one_line, utf8_safe

NO_END = timedelta(hours=1)  # assumed length of an event without an end
LONGEST_TEXT = 500
type Component = Any  # an icalendar.Component; its properties have thirty types, so values are tested here
_BEGINNING = re.compile(rb"^BEGIN:VCALENDAR\s*$", re.MULTILINE | re.IGNORECASE)
_ZONES = re.compile(rb"^BEGIN:VTIMEZONE\r?$.*?^END:VTIMEZONE\r?\n", re.MULTILINE | re.DOTALL)


class _Zones(ZONEINFO):
    """Resolves zones by known names first; a calendar's own definition only for other names."""

    def timezone(self, name: str) -> tzinfo | None:
        return zone_named(name) or zone_by_offset(name)

    def knows_timezone_id(self, tzid: str) -> bool:
        """Return whether a calendar's own definition is not needed."""
        return zone_named(tzid) is not None


def read_calendar(text: bytes, zone: tzinfo, since: datetime, until: datetime) -> CalendarAnswer:
    """Return the events between two moments; times without a zone are in `zone`. Raises MediaError."""
    tzp.use(_Zones())
    try:
        notes: list[str] = []
        events: list[CalendarEvent] = []
        calendars = _calendars(text, notes)
        if len(calendars) < len(_BEGINNING.findall(text)):
            raise MediaError("the calendar is incomplete", hint="its end is missing: try again")
        for calendar in calendars:
            events += _events(calendar, zone, since, until, notes)
            if len(events) > MOST_EVENTS:
                raise MediaError(
                    f"it has more than {MOST_EVENTS} events in these days",
                    hint="read fewer days: [schedule] days_ahead",
                )
    finally:
        tzp.use_default()
    return CalendarAnswer(events=sorted(events, key=lambda event: (event.starts_at, event.uid)), notes=notes)


def _calendars(text: bytes, notes: list[str]) -> Sequence[Component]:
    text = text.removeprefix(b"\xef\xbb\xbf").strip() + b"\r\n"
    if not _BEGINNING.search(text):
        raise MediaError("it is no calendar", hint="an iCalendar file begins with BEGIN:VCALENDAR")
    try:
        return icalendar.Calendar.from_ical(text, multiple=True)
    except Exception as error:  # the library raises errors of any type
        bare, zones = _ZONES.subn(b"", text)
        if zones:
            try:
                calendars = icalendar.Calendar.from_ical(bare, multiple=True)
            except Exception:  # noqa: S110 - it is not the zones; what was wrong first is told
                pass
            else:
                notes.append("a time zone that it defines cannot be read; zones are known by their names alone")
                return calendars
        raise MediaError(f"it is no calendar: {one_line(str(error))[:200]}") from None


def _events(
    calendar: Component, zone: tzinfo, since: datetime, until: datetime, notes: list[str]
) -> Iterator[CalendarEvent]:
    components = [each for each in calendar.walk("VEVENT") if _has_beginning(each, notes)]
    of_series = ("RRULE", "RDATE", "RECURRENCE-ID")
    recurring = {str(each.get("UID", "")) for each in components if any(name in each for name in of_series)}
    kept = icalendar.Calendar()
    for name, value in calendar.property_items(recursive=False):
        if name in {"X-WR-TIMEZONE", "CALSCALE"}:
            kept[name] = value
    for number, each in enumerate(components):
        if "UID" not in each:  # events without a UID are no series
            each["UID"] = f"{each['DTSTART'].to_ical().decode()}-{number}"
        kept.add_component(each)
    try:
        query = recurring_ical_events.of(kept, skip_bad_series=True)
        found = query.between(since.astimezone(zone), until.astimezone(zone))
    except Exception as error:  # as above
        raise MediaError(f"its recurring events cannot be computed: {one_line(str(error))[:200]}") from None
    for each in found:
        event = _event(each, zone, recurs=str(each["UID"]) in recurring)
        if event.ends_at > since and event.starts_at < until:
            yield event


def _has_beginning(event: Component, notes: list[str]) -> bool:
    """Return whether an event has a beginning; one without is noted and left out."""
    start = getattr(event.get("DTSTART"), "dt", None)
    if isinstance(start, date):
        return True
    notes.append(f"an event without a beginning is left out: {_text(event, 'SUMMARY') or 'without a title'}")
    return False


def _event(event: Component, zone: tzinfo, *, recurs: bool) -> CalendarEvent:
    start, end = event["DTSTART"].dt, event["DTEND"].dt if "DTEND" in event else None
    all_day = not isinstance(start, datetime)
    starts_at = _moment(start, zone)
    ends_at = starts_at if end is None else _moment(end, zone)
    has_end = ends_at > starts_at
    if not has_end:
        ends_at = starts_at + (timedelta(days=1) if all_day else NO_END)
    return CalendarEvent(
        uid=str(event["UID"])[:LONGEST_TEXT],
        recurrence_id=_recurrence_id(event, zone) if recurs else "",
        title=_text(event, "SUMMARY"),
        location=_text(event, "LOCATION"),
        categories=tuple(_categories(event)),
        starts_at=starts_at,
        ends_at=ends_at,
        zone=zone_name_of(starts_at),
        all_day=all_day,
        has_end=has_end,
        is_cancelled=str(event.get("STATUS", "")).upper() == "CANCELLED",
    )


def _recurrence_id(event: Component, zone: tzinfo) -> str:
    """Return an occurrence's beginning in its series; its new one if all following moved too."""
    named = event["RECURRENCE-ID"]
    moved_together = str(named.params.get("RANGE", "")).upper() == "THISANDFUTURE"
    at = event["DTSTART"].dt if moved_together else named.dt
    if not isinstance(at, datetime):
        return f"{at:%Y%m%d}"
    return f"{_moment(at, zone).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _moment(at: date, zone: tzinfo) -> datetime:
    """Return a moment with its zone; a time skipped by a clock change moves on by the change."""
    if not isinstance(at, datetime):
        return datetime.combine(at, time(), zone)
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone)
    own = at.tzinfo
    return at.astimezone(UTC).astimezone(own)


def _text(event: Component, name: str) -> str:
    value = event.get(name, "")
    if isinstance(value, list):  # given twice: the first counts
        value = value[0] if value else ""
    return one_line(utf8_safe(str(value)))[:LONGEST_TEXT]


def _categories(event: Component) -> Iterator[str]:
    value = event.get("CATEGORIES", [])
    for each in value if isinstance(value, list) else [value]:
        for category in getattr(each, "cats", [each]):
            yield one_line(utf8_safe(str(category)))[:LONGEST_TEXT]
