"""What the process that reads a calendar is asked, and what it answers. Light to import: no calendar library."""

from datetime import datetime

import msgspec

LARGEST_BYTES = 8_000_000
"""A calendar that is larger is refused: a room's is a thousandth of that."""
MOST_EVENTS = 2000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar, by its address or a file's path, and which days of it; times without a zone are of `zone`."""

    address: str = ""
    path: str = ""
    zone: str
    since: datetime
    until: datetime
    timeout_s: float = 30.0


class CalendarEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of an event. `recurrence_id` is "" for what does not recur, else its beginning in the series."""

    uid: str
    recurrence_id: str = ""
    title: str
    location: str = ""
    categories: tuple[str, ...] = ()
    starts_at: datetime
    ends_at: datetime
    zone: str = ""
    all_day: bool = False
    has_end: bool = True
    is_cancelled: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: events in the order of their beginnings, and what could not be read of it, a sentence each."""

    events: list[CalendarEvent] = []
    notes: list[str] = []
    error: str = ""
    hint: str = ""
