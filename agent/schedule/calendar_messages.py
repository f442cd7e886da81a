"""Messages to and from the process that reads a calendar. Imports no calendar library."""

from datetime import datetime

import msgspec

LARGEST_BYTES = 8_000_000  # a larger calendar is refused: a room's has a thousandth of that
MOST_EVENTS = 2000


class CalendarRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar by its address, and a span of days; times without a zone are in `zone`."""

    address: str
    zone: str
    since: datetime
    until: datetime
    timeout_s: float = 30.0


class CalendarEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of an event. `recurrence_id` is its beginning in the series, "" without a series."""

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


class CalendarAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the order of their beginnings; `notes` has a sentence for each unreadable part."""

    events: list[CalendarEvent] = []
    notes: list[str] = []
    error: str = ""
    hint: str = ""
