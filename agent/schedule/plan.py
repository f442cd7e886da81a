"""Planned sessions as `plans.json` lists them; renaming or retyping a field makes a new version (docs/schedule.md)."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

type Moment = Annotated[datetime, Meta(tz=True)]


class PlanMode(StrEnum):
    """How far a plan is carried out."""

    REMIND = "remind"  # people are reminded
    ARM = "arm"  # its devices are opened too; people start and stop it
    RECORD = "record"  # it starts and stops by time


class PlanState(StrEnum):
    PLANNED = "planned"
    CANCELLED = "cancelled"  # by its calendar, or gone from it
    REMOVED = "removed"  # by hand: no calendar brings it back


class CalendarFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a planned session that a calendar gives. `zone` is the name of the zone of its times."""

    title: str
    room: str = ""
    starts_at: Moment
    ends_at: Moment
    zone: str = ""
    all_day: bool = False
    mode: PlanMode
    state: PlanState = PlanState.PLANNED


class CalendarSource(msgspec.Struct, frozen=True, kw_only=True):
    """The calendar and the event of a plan.

    `recurrence_id` is the event's beginning in its series, in UTC, "" without a series. `said` is the calendar's newest
    word; a field of the plan that differs was edited by hand, and stays.
    """

    feed: str
    uid: str
    recurrence_id: str = ""
    said: CalendarFields

    @property
    def key(self) -> tuple[str, str, str]:
        return self.feed, self.uid, self.recurrence_id


class Plan(CalendarFields, frozen=True, kw_only=True):
    """A planned session. An empty field takes its value from the settings, or the best device."""

    version: Literal[1] = 1
    id: str
    request: str | None = None
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    layout: str | None = None
    profile: str | None = None
    source: CalendarSource | None = None

    @property
    def holds(self) -> bool:
        """Whether it is carried out: it is planned, and has a time of day."""
        return self.state is PlanState.PLANNED and not self.all_day


CALENDAR_FIELDS = CalendarFields.__struct_fields__


SESSION_FIELDS = ("title", "request", "videos", "audios", "streams", "layout", "profile")


def session_hash(plan: Plan) -> str:
    """Return a hash of the fields that decide how its recorder begins."""
    asked = msgspec.json.encode([getattr(plan, field) for field in SESSION_FIELDS])
    return hashlib.sha256(asked).hexdigest()[:16]


def from_calendar(plan_id: str, source: CalendarSource) -> Plan:
    return Plan(id=plan_id, source=source, **msgspec.structs.asdict(source.said))


def updated_from_calendar(plan: Plan, source: CalendarSource) -> Plan:
    """Return a plan with its calendar's new values; fields edited by hand stay."""
    before = plan.source.said if plan.source else source.said
    changed = {
        field: getattr(source.said, field)
        for field in CALENDAR_FIELDS
        if getattr(plan, field) == getattr(before, field)
    }  # fmt: skip
    again = msgspec.structs.replace(plan, source=source, **changed)
    if again.ends_at <= again.starts_at:  # one time was edited by hand, the other by the calendar: keep both old ones
        times = {field: getattr(plan, field) for field in ("starts_at", "ends_at", "zone")}
        again = msgspec.structs.replace(again, **times)
    return again


def edited_fields(plan: Plan) -> tuple[str, ...]:
    """Return the fields of a calendar's plan that were edited by hand."""
    if plan.source is None:
        return ()
    return tuple(field for field in CALENDAR_FIELDS if getattr(plan, field) != getattr(plan.source.said, field))
