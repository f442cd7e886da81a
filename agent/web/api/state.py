"""`GET /api/v1/state`: the room, the sessions that run, and what is wrong, as the page shows it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from agent.alarms.alarm import Alarm
from agent.schedule.store import change_number
from agent.sessions.steering import SessionLine, line_of
from agent.web.api.troubles import Trouble, troubles_of
from agent.web.http.endpoint import Call, Endpoint
from agent.web.http.house import House
from config.errors import LiputError
from config.settings.schema import General
from config.version import VERSION
from recorder.running.client import Running, running


class State(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="state"):
    """How it is now. `standing` are parts of the daemon that hang; `problem` is what is wrong with the settings.

    `troubles` are what is wrong, as the page shows it, `alarms` what people are told of that, `notices` what they are
    told of planned sessions. `devices` is another number when `GET /api/v1/devices` may answer otherwise; null where
    they are not watched.
    """

    room: str
    language: str
    version: str
    at: datetime
    sessions: list[SessionLine]
    troubles: Sequence[Trouble] = ()
    alarms: Sequence[Alarm] = ()
    notices: Sequence[object] = ()
    standing: list[str] = []
    problem: str | None = None
    devices: int | None = None
    schedule: int = 0
    """Another number when `GET /api/v1/schedule` may answer otherwise."""


def state_of(house: House, found: Sequence[Running]) -> State:
    """Return how it is, with the sessions in `found`."""
    general, problem = General(), None
    try:
        general = house.settings.read().general
    except LiputError as error:
        problem = error.message
    sessions, alarms = [line_of(one) for one in found], house.alarms()
    return State(
        room=general.room, language=general.language, version=VERSION, at=house.clock.now(),
        sessions=sessions, troubles=troubles_of(sessions, alarms), alarms=alarms, notices=house.notices(),
        standing=house.standing(), problem=problem, devices=house.devices.number() if house.devices else None,
        schedule=change_number(),
    )  # fmt: skip


def state(call: Call) -> State:
    """Ask every recorder, and return how it is."""
    return state_of(call.house, running())


ENDPOINTS = [Endpoint("GET", "/api/v1/state", state, "The room, and what runs in it")]
