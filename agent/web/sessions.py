"""Sessions by the API: begun, started, ended, and steered while they run; all of it as the command line does it."""

import re
import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from agent.reporters import storable_result
from agent.steering import LOOK_S, NOTHING, disarm, ended_before, gone_on_with, line_of, start, stop
from agent.web.answers import NOT_STORED, Refused
from agent.web.beginning import Begun, NewSession, begin, how_it_is, no_session, record_now
from agent.web.endpoint import Call, Endpoint
from agent.web.house import House
from agent.web.worker_pool import WorkerPool
from config.errors import NoSession, SessionError, UsageError
from recorder.archive.names import storable
from recorder.control import protocol
from recorder.control.client import PreviewClient, ask
from recorder.control.find import Running, running, running_as
from recorder.control.protocol import (
    LONGEST_NAME,
    AnyRequest,
    DestinationAdd,
    DestinationRemove,
    DestinationRestart,
    Layout,
    Look,
    Mark,
    MarkText,
    Mute,
    Name,
    PreRoll,
    Width,
)
from recorder.model.status import RECORDS, SessionResult, SessionState

OVER = (SessionState.SEALED, SessionState.FAILED)
ENDING_S = 10.0
"""How long a recorder may take to be gone whose session has ended."""
PICTURE_S = 5.0
"""How long a single picture may take."""
_ID = re.compile(r"[0-9a-f]{1,32}")


class StartBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to reach back."""

    pre_roll_s: PreRoll = 0.0


class StopBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether to wait until the recording is in the archive."""

    wait: bool = False


class MarkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to write to this moment."""

    text: MarkText


class MuteBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which input of sound, null for all; with `on` false it is heard again."""

    name: Name | None = None
    on: bool = True


class LayoutBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which layout, or card."""

    name: Name


class DestinationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination of the settings; `although_refused`: also where the speakers do not agree to being recorded."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)]
    although_refused: bool = False


class LookQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wide the picture may be."""

    width: Width = 640


class MarkLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mark"):
    """A moment that was marked."""

    at: datetime
    media_s: float
    text: str


class MuteLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mute"):
    """An input of sound, null for all, that is muted or heard again."""

    name: str | None
    on: bool


class LayoutLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="layout"):
    """The layout that is shown from the next picture on."""

    name: str


class DestinationChange(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="destination"):
    """A destination that was added, removed or restarted; `note`: what is to be known of it."""

    name: str
    change: str
    note: str


# Which session


def _session(call: Call) -> Running:
    return _called(_id(call))


def _called(key: str) -> Running:
    """Return the session of this very id: programs have no use for its beginning, and a slip would end another one."""
    if (found := running_as(key)) is None:
        raise no_session(key)
    return found


def _id(call: Call) -> str:
    key = call.path["id"]
    if not _ID.fullmatch(key):
        raise NoSession("no session is called so", hint="GET /api/v1/state lists those that run")
    return key


# What is done with it


def begin_session(call: Call) -> Begun:
    """Arm or record."""
    new: NewSession = call.body
    return begin(call.house, new)


def show_session(call: Call) -> Begun:
    """Return how a session is, or how it has ended."""
    found = how_it_is(_id(call))
    return storable_result(found) if isinstance(found, SessionResult) else found


def start_session(call: Call) -> Begun:
    """Record what is armed; one that records goes on."""
    found = _session(call)
    if found.state not in RECORDS:
        start(found, call.body.pre_roll_s)
    return how_it_is(found.info.id)


def stop_session(call: Call) -> Begun:
    """End a session; of one that has ended, say how."""
    try:
        found = _session(call)
    except NoSession:
        if end := ended_before(_id(call)):
            return storable_result(end)
        if (following := gone_on_with(_id(call), is_whole=True)) is None:
            raise
        found = following
    if found.state in OVER and (end := _end_of(found.info.id)):
        return storable_result(end)
    return _ended(found, wait=call.body.wait)


def _ended(found: Running, *, wait: bool) -> Begun:
    result = stop(found, wait=wait)
    if result is None and found.state is None:  # it hangs, or was just ending and does not answer any more
        result = _end_of(found.info.id)
    return line_of(found) if result is None else storable_result(result)


def disarm_session(call: Call) -> SessionResult:
    """Let the devices go of a session that is armed; of one that has ended, say how."""
    key = _id(call)
    try:
        return disarm(_session(call))
    except SessionError:
        if end := _end_of(key):
            return storable_result(end)
        raise


def _end_of(key: str) -> SessionResult | None:
    """Return how a session has ended; of one that is just ending, once it has."""
    deadline_s = time.monotonic() + ENDING_S
    while not (end := ended_before(key)) and _is_ending(key) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    return end


def _is_ending(key: str) -> bool:
    try:
        return _called(key).state not in RECORDS
    except NoSession:
        return False


def start_recording(call: Call) -> Begun:
    """Record, with one button."""
    return record_now(call.house, call.body.pre_roll_s)


def stop_recording(call: Call) -> Begun:
    """End the one session that records, with one button; else the one that does not answer, or was killed just now."""
    found = running()
    recording = [one for one in found if one.state in RECORDS] or [one for one in found if one.state is None]
    if len(recording) > 1:
        raise UsageError(f"{len(recording)} sessions record", hint="POST /api/v1/sessions/ID/stop ends one of them")
    if not (one := recording[0] if recording else gone_on_with(None)):
        return NOTHING
    return _ended(one, wait=call.body.wait)


def mark(call: Call) -> MarkLine:
    """Mark this moment."""
    reply: Any = _tell(call, Mark(text=storable(call.body.text)))
    return msgspec.convert({**reply, "type": "mark"}, MarkLine)


def mute(call: Call) -> MuteLine:
    """Mute, or let be heard again."""
    _tell(call, Mute(name=call.body.name, on=call.body.on))
    return MuteLine(name=call.body.name, on=call.body.on)


def layout(call: Call) -> LayoutLine:
    """Show another layout."""
    _tell(call, Layout(name=call.body.name))
    return LayoutLine(name=call.body.name)


def _tell(call: Call, request: AnyRequest) -> object:
    return ask(_session(call).folder, request).mark


def add_destination(call: Call) -> DestinationChange:
    """Stream to one more."""
    return _change(call, DestinationAdd(name=call.body.name, although_refused=call.body.although_refused), "added")


def remove_destination(call: Call) -> DestinationChange:
    """Stream to it no more."""
    return _change(call, DestinationRemove(name=_name(call)), "removed")


def restart_destination(call: Call) -> DestinationChange:
    """Connect to it anew."""
    return _change(call, DestinationRestart(name=_name(call)), "restarted")


def _name(call: Call) -> str:
    name = call.path["name"]
    if len(name) > LONGEST_NAME:
        raise UsageError("that is no name of a destination")
    return name


def _change(call: Call, request: protocol.DestinationChange, word: str) -> DestinationChange:
    note = ask(_session(call).folder, request).note
    return DestinationChange(name=request.name, change=word, note=note)


def preview(call: Call) -> Response:
    """Return one picture of a source."""
    source = call.path["source"].removesuffix(".jpg")
    if len(source) > LONGEST_NAME:
        raise UsageError("there is no such source")
    with PreviewClient(_session(call).folder) as client:
        client.look(Look(source=source, fps=5, width=call.query.width))
        picture = client.picture(PICTURE_S)
    if picture is None:
        raise Refused(409, f"there is no picture of {source} now", hint="a session that is armed or records has them")
    return Response(picture, headers=NOT_STORED, media_type="image/jpeg")


def _slow(house: House) -> WorkerPool:
    return house.slow


_AT, _TO = "/api/v1/sessions/{id}", "/api/v1/sessions/{id}/destinations"
ENDPOINTS = [
    Endpoint(
        method="POST", path="/api/v1/sessions", does=begin_session, body=NewSession, answers=Begun, pool=_slow,
        summary="Arm a session, or record it", errors=(404, 409),
    ),
    Endpoint(
        method="GET", path=_AT, does=show_session, answers=Begun,
        summary="How a session is, or how it has ended", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/start", does=start_session, body=StartBody, answers=Begun, pool=_slow,
        summary="Record what is armed", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/stop", does=stop_session, body=StopBody, answers=Begun, pool=_slow,
        summary="End a session", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/disarm", does=disarm_session, answers=SessionResult, pool=_slow,
        summary="Let the devices go of a session that is armed", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/mark", does=mark, body=MarkBody, answers=MarkLine,
        summary="Mark this moment", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/mute", does=mute, body=MuteBody, answers=MuteLine,
        summary="Mute an input of sound, or let it be heard", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_AT}/layout", does=layout, body=LayoutBody, answers=LayoutLine,
        summary="Show another layout, or a card", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=_TO, does=add_destination, body=DestinationBody, answers=DestinationChange,
        summary="Stream to one more destination", errors=(404, 409),
    ),
    Endpoint(
        method="DELETE", path=f"{_TO}/{{name}}", does=remove_destination, answers=DestinationChange,
        summary="Stream to a destination no more", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path=f"{_TO}/{{name}}/restart", does=restart_destination, answers=DestinationChange,
        summary="Connect to a destination anew", errors=(404, 409),
    ),
    Endpoint(
        method="GET", path=f"{_AT}/preview/{{source}}", does=preview, query=LookQuery, answers=None,
        media="image/jpeg", summary="One picture of a source: program.jpg, or an input's name", errors=(404, 409),
    ),
    Endpoint(
        method="POST", path="/api/v1/recording/start", does=start_recording, body=StartBody, answers=Begun, pool=_slow,
        summary="Record, with one button: starts what is armed, or begins a session", errors=(409,),
    ),
    Endpoint(
        method="POST", path="/api/v1/recording/stop", does=stop_recording, body=StopBody, answers=Begun, pool=_slow,
        summary="End the session that records", errors=(409,),
    ),
]  # fmt: skip
