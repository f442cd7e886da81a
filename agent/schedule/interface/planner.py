"""Makes and edits plans, for commands and the API, and reads the times people type."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from agent.features import find_request
from agent.schedule.plan import Plan, PlanMode, PlanState
from agent.schedule.store import Plans, new_id
from agent.schedule.zones import zone_name_of, zone_named
from agent.terminal.moments import parse_when
from agent.terminal.parameters import checked_text
from config.errors import UsageError
from config.settings.office import zone_name, zone_of
from config.settings.quantities import NotAllowed
from config.settings.schema import Settings, load_settings
from devices.host.clock import SystemClock
from recorder.package.request import Request

LONGEST = timedelta(days=7)
_TIME_ALONE = re.compile(r"\s*\d{1,2}[:.]\d{2}(:\d{2})?\s*")

id_argument = click.argument("key", metavar="ID")


@dataclass(frozen=True)
class Planner:
    """Settings, plans and the time in the office's zone; `by_options`: messages name fields as options."""

    settings: Settings
    plans: Plans
    now: datetime
    by_options: bool = True

    @property
    def zone(self) -> tzinfo:
        """The zone of times typed and shown."""
        return zone_of(self.settings.office.time_zone)

    @property
    def zone_key(self) -> str:
        """The IANA name of that zone; "" if unknown."""
        return str(zone_named(zone_name(self.settings.office.time_zone)) or "")

    def label(self, field: str) -> str:
        return f"--{field.removesuffix('_s')}" if self.by_options else field

    def when(self, field: str, text: str, day: datetime | None = None) -> datetime:
        """Return the moment typed for `field`; a time alone is on `day`, or today. Raises UsageError."""
        is_time_alone = _TIME_ALONE.fullmatch(text) is not None
        try:
            return parse_when(text, day if day and is_time_alone else self.now, self.zone).replace(microsecond=0)
        except NotAllowed as error:
            raise UsageError(f"{self.label(field)} {text!r} {error}") from None


def command_planner(config_file: Path | None) -> Planner:
    """Return the planner of a command; raises SettingsError."""
    return make_planner(load_settings(config_file))


def make_planner(settings: Settings, *, by_options: bool = True) -> Planner:
    now = SystemClock().now().astimezone(zone_of(settings.office.time_zone))
    return Planner(settings, Plans(), now, by_options)


def check_plan(plan: Plan, desk: Planner) -> Plan:
    """Return the plan if it can be carried out, as far as is known now; raises UsageError."""
    settings, label = desk.settings, desk.label
    if not checked_text("title", plan.title):
        hint = f"name the session ({label('title')}), or its request ({label('request')})"
        raise UsageError("there is no title", hint=hint, why="no-title")
    length = plan.ends_at - plan.starts_at
    if length <= timedelta(0):
        hint = f"check {label('starts')} and {label('ends')}, or say how long it is ({label('for_s')})"
        raise UsageError("the session ends before it begins", hint=hint, why="backwards")
    if length > LONGEST:
        hint = f"check {label('ends')}"
        raise UsageError(f"the session is {length.days} days long; {LONGEST.days} at most", hint=hint, why="too-long")
    settings.profile(plan.profile)
    settings.layout(plan.layout)
    for name in plan.streams:
        if "://" in name:
            raise UsageError("a stream's address does not belong on the command line", hint="name a destination")
        settings.destination(name)
    return plan


type Text = Annotated[str, Meta(max_length=300)]
type Word = Annotated[str, Meta(min_length=1, max_length=256)]
type Words = Annotated[tuple[Word, ...], Meta(max_length=16)]
type Length = Annotated[float, Meta(gt=0, le=LONGEST.total_seconds())]


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields of a new or edited plan; null or absent: unchanged.

    Times are as people write them ("besok 09:00", ISO 8601), in the office's zone by default; a time alone in `ends` is
    on the first day. `for_s` is the length in seconds, instead of `ends`.
    """

    title: Text | None = None
    starts: Text | None = None
    ends: Text | None = None
    for_s: Length | None = None
    mode: PlanMode | None = None
    room: Text | None = None
    request: Word | None = None
    videos: Words | None = None
    audios: Words | None = None
    streams: Words | None = None
    layout: Word | None = None
    profile: Word | None = None


def add_plan(desk: Planner, asked: PlanRequest) -> Plan:
    """Add a plan and return it. Raises UsageError, DossierError, StateError."""
    request = _request(desk, asked.request)
    of_request = request.starts_at if request else None
    starts_at = desk.when("starts", asked.starts) if asked.starts else of_request
    if starts_at is None:
        hint = f'say it: {desk.label("starts")} "besok 09:00"'
        raise UsageError("the session has no start", hint=hint, why="no-time")
    ends_at = _end(desk, asked, starts_at) or (None if asked.starts or request is None else request.ends_at)
    if ends_at is None:
        hint = f"say it: {desk.label('ends')} 11:00, or how long it is ({desk.label('for_s')})"
        raise UsageError("the session has no end", hint=hint, why="no-time")
    if ends_at <= desk.now:
        hint = f"check {desk.label('starts')}"
        raise UsageError(f"the session is over already: {ends_at:%Y-%m-%d %H:%M}", hint=hint, why="past")
    title = checked_text("title", asked.title or (request.event if request else ""))
    plan = Plan(
        id=new_id(title, starts_at),
        title=title,
        room=desk.settings.general.room,
        starts_at=starts_at,
        ends_at=ends_at,
        zone=zone_name_of(starts_at),
        mode=PlanMode(desk.settings.schedule.mode),
    )
    plan = check_plan(msgspec.structs.replace(plan, **_fields(asked, request)), desk)
    desk.plans.add(plan)
    return plan


def edit_plan(desk: Planner, plan: Plan, asked: PlanRequest) -> Plan:
    """Edit a plan and return it; a removed one is planned again. Raises UsageError, DossierError, StateError."""
    if asked == PlanRequest():
        hint = f"name a change, such as {desk.label('starts')} or {desk.label('mode')}"
        raise UsageError("nothing is to be changed", hint=hint)
    request = _request(desk, asked.request)

    def change(plan: Plan) -> Plan:
        starts_at = desk.when("starts", asked.starts, plan.starts_at) if asked.starts else plan.starts_at
        ends_at = _end(desk, asked, starts_at) or starts_at + (plan.ends_at - plan.starts_at)
        fields = _fields(asked, request)
        if asked.starts or asked.ends or asked.for_s:
            fields |= {"starts_at": starts_at, "ends_at": ends_at, "zone": zone_name_of(starts_at), "all_day": False}
        if plan.state is PlanState.REMOVED:
            fields["state"] = PlanState.PLANNED
        return check_plan(msgspec.structs.replace(plan, **fields), desk)

    return desk.plans.replace(plan.id, change)


def _request(desk: Planner, key: str | None) -> Request | None:
    return None if key is None else find_request(key, desk.settings)


def _end(desk: Planner, asked: PlanRequest, starts_at: datetime) -> datetime | None:
    """Return the end from a time or a length; None without either. Raises UsageError."""
    if asked.ends and asked.for_s:
        both = f"both {desk.label('ends')} and {desk.label('for_s')} are given"
        raise UsageError(both, hint="one of them says when it ends")
    if asked.for_s:
        return starts_at + timedelta(seconds=asked.for_s)
    return desk.when("ends", asked.ends, starts_at) if asked.ends else None


def _fields(asked: PlanRequest, request: Request | None) -> dict[str, Any]:
    plain = ("mode", "videos", "audios", "streams", "layout", "profile")
    fields = {name: value for name in plain if (value := getattr(asked, name)) is not None}
    fields |= {
        name: checked_text(name, text) for name in ("title", "room") if (text := getattr(asked, name)) is not None
    }
    return fields | ({"request": request.id} if request else {})
