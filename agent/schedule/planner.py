"""What those work with who plan sessions, by commands or by the API, and how they read what they are given."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import click

from agent.requests.options import text_of
from agent.schedule.decide import Rules
from agent.schedule.plan import Plan
from agent.schedule.store import Plans
from agent.schedule.zones import zone_named
from agent.terminal.moments import parse_when
from config.errors import UsageError
from config.settings.loading import load_settings
from config.settings.office import zone_name, zone_of
from config.settings.quantities import NotAllowed
from config.settings.schema import Settings
from devices.host.clock import SystemClock, boot_id

LONGEST = timedelta(days=7)
_TIME_ALONE = re.compile(r"\s*\d{1,2}[:.]\d{2}(:\d{2})?\s*")

id_argument = click.argument("key", metavar="ID")


@dataclass(frozen=True)
class Planner:
    """The settings, the plans and the time in the office's zone; `by_options`: messages name fields as options."""

    settings: Settings
    plans: Plans
    now: datetime
    rules: Rules
    by_options: bool = True

    @property
    def zone(self) -> tzinfo:
        """The zone in which times are given and shown."""
        return zone_of(self.settings.office.time_zone)

    @property
    def zone_key(self) -> str:
        """What the IANA database calls that zone; "" where that is not known."""
        return str(zone_named(zone_name(self.settings.office.time_zone)) or "")

    def named(self, field: str) -> str:
        """Return what people call a field of what they ask for."""
        return f"--{field.removesuffix('_s')}" if self.by_options else field

    def when(self, field: str, text: str, day: datetime | None = None) -> datetime:
        """Return the moment that was given as `field`; a time alone is of `day`, or today. Raises UsageError."""
        is_time_alone = _TIME_ALONE.fullmatch(text) is not None
        try:
            return parse_when(text, day if day and is_time_alone else self.now, self.zone).replace(microsecond=0)
        except NotAllowed as error:
            raise UsageError(f"{self.named(field)} {text!r} {error}") from None


def planner(config_file: Path | None) -> Planner:
    """Return what a command works with; raises SettingsError."""
    return planner_of(load_settings(config_file))


def planner_of(settings: Settings, *, by_options: bool = True) -> Planner:
    """Return what is worked with now."""
    now = SystemClock().now().astimezone(zone_of(settings.office.time_zone))
    return Planner(settings, Plans(), now, Rules.of(settings.schedule, boot_id()), by_options)


def check_plan(plan: Plan, desk: Planner) -> Plan:
    """Return a plan that can be carried out as far as is known now; raises UsageError for one that cannot."""
    settings, named = desk.settings, desk.named
    if not text_of("title", plan.title):
        hint = f"say what the session is ({named('title')}), or for which request it is ({named('request')})"
        raise UsageError("there is no title", hint=hint)
    length = plan.ends_at - plan.starts_at
    if length <= timedelta(0):
        hint = f"check {named('starts')} and {named('ends')}, or say how long it is ({named('for_s')})"
        raise UsageError("the session ends before it begins", hint=hint)
    if length > LONGEST:
        hint = f"check {named('ends')}"
        raise UsageError(f"the session is {length.days} days long; {LONGEST.days} at most", hint=hint)
    settings.profile(plan.profile)
    settings.layout(plan.layout)
    for name in plan.streams:
        if "://" in name:
            raise UsageError("a stream's address does not belong on the command line", hint="name a destination")
        settings.destination(name)
    return plan
