"""Makes the `CheckContext` of the checks from a command line and a plan's file."""

import threading
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.checks.check import CheckContext
from agent.features import with_request
from config.errors import UsageError
from config.settings.schema import PlannedSession, Settings, load_planned
from config.settings.value_kinds import did_you_mean
from devices.host.clock import Clock
from devices.monitor.snapshot import list_devices
from recorder.model.status import STATES_AFTER
from recorder.package.metadata import Consent
from recorder.running.client import running_recorders
from recorder.session.request import SessionRequest

plan_option = click.option(
    "--session",
    "plan",
    type=click.Path(path_type=Path),
    metavar="PLAN",
    help="A file with the plan of the session. Options here override it.",
)
_AS_PLANNED = {"video": "videos", "audio": "audios", "stream": "streams", "length_s": "duration_s"}
_NOTHING = msgspec.structs.asdict(SessionRequest(title=""))


def planned_request(
    plan: Path | None, given: SessionRequest, settings: Settings
) -> tuple[SessionRequest, PlannedSession | None]:
    """Return the session of the plan, overridden by `given` options. Raises SettingsError, DossierError."""
    if plan is None:
        return given, None
    planned = load_planned(plan)
    values = {_AS_PLANNED.get(name, name): value for name, value in msgspec.structs.asdict(planned).items()}
    del values["equipment"]
    request = values.pop("request")
    values["consent"] = msgspec.convert({"state": planned.consent}, Consent)
    given_alone = {name: value for name, value in msgspec.structs.asdict(given).items() if value != _NOTHING[name]}
    asked = SessionRequest(**(values | given_alone))
    return with_request(asked, None if asked.request else request, settings), planned


def check_context(
    asked: SessionRequest,
    planned: PlannedSession | None,
    settings: Settings,
    clock: Clock,
    *,
    have: Sequence[str] = (),
    quick: bool = False,
    public: bool = False,
) -> CheckContext:
    """Return the situation for the checks; raises UsageError for an unknown profile or item to tick off."""
    equipment = settings.check.equipment if planned is None or planned.equipment is None else planned.equipment
    if asked.request is not None:
        equipment = tuple(dict.fromkeys((*equipment, *asked.request.request.equipment)))
    for item in have:
        if item not in equipment:
            raise UsageError(
                f'"{item}" is nothing to tick off{did_you_mean(item, equipment)}',
                hint=f"there are {', '.join(equipment)}" if equipment else "add it to [check] equipment",
            )
    return CheckContext(
        streams=streams_of(asked, settings, is_planned=planned is not None),
        asked=asked,
        settings=settings,
        profile=settings.profile(asked.profile),
        clock=clock,
        stop=threading.Event(),
        devices=list_devices,
        held=[one for one in running_recorders() if one.state not in STATES_AFTER],
        quick=quick,
        public=public,
        equipment=equipment,
        ticked=frozenset(have),
    )


def streams_of(asked: SessionRequest, settings: Settings, *, is_planned: bool) -> Sequence[str]:
    """Return the destinations of a session; by default all of the settings except test destinations."""
    if asked.streams or asked.targets or is_planned:
        return asked.streams
    return [name for name, destination in settings.destinations.items() if not destination.test]
