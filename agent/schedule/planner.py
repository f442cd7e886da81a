"""What the commands of `liput schedule` work with, and how they read what they are given."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import click

from agent.moments import parse_when
from agent.requests.options import text_of
from agent.schedule.plan import Plan
from agent.schedule.store import Plans
from config.errors import UsageError
from config.kinds import did_you_mean
from config.office import zone_of
from config.quantities import NotAllowed
from config.schema import Settings
from config.settings import load_settings
from devices.clock import SystemClock

LONGEST = timedelta(days=7)
_TIME_ALONE = re.compile(r"\s*\d{1,2}[:.]\d{2}(:\d{2})?\s*")
type Command[Answer] = Callable[..., Answer]

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file."
)
id_argument = click.argument("key", metavar="ID")


@dataclass(frozen=True)
class Planner:
    """The settings, the plans, and what the time is in the zone of the office."""

    settings: Settings
    plans: Plans
    now: datetime

    @property
    def zone(self) -> tzinfo:
        """The zone in which times are given and shown."""
        return zone_of(self.settings.office.time_zone)

    def when(self, option: str, text: str, day: datetime | None = None) -> datetime:
        """Return the moment that was given with `option`; a time alone is of `day`, or today. Raises UsageError."""
        is_time_alone = _TIME_ALONE.fullmatch(text) is not None
        try:
            return parse_when(text, day if day and is_time_alone else self.now, self.zone).replace(microsecond=0)
        except NotAllowed as error:
            raise UsageError(f"{option} {text!r} {error}") from None


def planner(config_file: Path | None) -> Planner:
    """Return what a command works with; raises SettingsError."""
    settings = load_settings(config_file)
    return Planner(settings, Plans(), SystemClock().now().astimezone(zone_of(settings.office.time_zone)))


def check_plan(plan: Plan, settings: Settings) -> Plan:
    """Return a plan that can be carried out as far as is known now; raises UsageError for one that cannot."""
    if not text_of("title", plan.title):
        raise UsageError("there is no title", hint='say what the session is: --title "Rapat senat", or --request ID')
    length = plan.ends_at - plan.starts_at
    if length <= timedelta(0):
        raise UsageError("the session ends before it begins", hint="check --starts and --ends, or say --for 2h")
    if length > LONGEST:
        raise UsageError(f"the session is {length.days} days long; {LONGEST.days} at most", hint="check --ends")
    settings.profile(plan.profile)
    settings.layout(plan.layout)
    for name in plan.streams:
        if name not in settings.destinations:
            known = ", ".join(settings.destinations)
            raise UsageError(
                f'there is no destination "{name}"{did_you_mean(name, settings.destinations)}'
                if "://" not in name
                else "a stream's address does not belong on the command line",
                hint=f"the destinations are {known}" if known else "add [destinations.NAME] to the settings",
            )
    return plan
