"""Sessions by the API: begun, started, ended, and steered while they run; all of it as the command line does it."""

import re
import time
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from agent.sessions.steering import LOOK_S, NOTHING, disarm, ended_before, gone_on_with, line_of, start, stop
from agent.terminal.reporters import storable_result
from agent.web.api.beginning import Begun, NewSession, begin, how_it_is, no_session, record_now
from agent.web.http.answers import NOT_STORED, Refused
from agent.web.http.endpoint import Call, Endpoint
from config.errors import SessionError, UsageError
from recorder.model.names import storable
from recorder.model.status import RECORDS, SessionResult, SessionState
from recorder.running import protocol
from recorder.running.client import PreviewClient, Running, ask, running, running_as
from recorder.running.protocol import (
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

OVER = (SessionState.SEALED, SessionState.FAILED)
ENDING_S = 10.0
"""How long a recorder may take to be gone whose session has ended."""
PICTURE_S = 5.0
"""How long a single picture may take."""
_ID = re.compile(r"[0-9a-f]{1,32}")


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
        raise SessionError("no session is called so", hint="GET /api/v1/state lists those that run", why="missing")
    return key


# What is done with it


def begin_session(call: Call, new: NewSession) -> Begun:
    """Arm or record."""
    return begin(call.house, new)


def show_session(call: Call) -> Begun:
    """Return how a session is, or how it has ended."""
    found = how_it_is(_id(call))
    return storable_result(found) if isinstance(found, SessionResult) else found


def start_session(call: Call, *, pre_roll_s: PreRoll = 0.0) -> Begun:
    """Record what is armed, reaching back `pre_roll_s`; one that records goes on."""
    found = _session(call)
    if found.state not in RECORDS:
        start(found, pre_roll_s)
    return how_it_is(found.info.id)


def stop_session(call: Call, *, wait: bool = False) -> Begun:
    """End a session, and `wait` until it is in the archive; of one that has ended, say how."""
    try:
        found = _session(call)
    except SessionError:
        if end := ended_before(_id(call)):
            return storable_result(end)
        if (following := gone_on_with(_id(call), is_whole=True)) is None:
            raise
        found = following
    if found.state in OVER and (end := _end_of(found.info.id)):
        return storable_result(end)
    return _ended(found, wait=wait)


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
    except SessionError:
        return False


def start_recording(call: Call, *, pre_roll_s: PreRoll = 0.0) -> Begun:
    """Record, with one button."""
    return record_now(call.house, pre_roll_s)


def stop_recording(_call: Call, *, wait: bool = False) -> Begun:
    """End the one session that records, with one button; else the one that does not answer, or was killed just now."""
    found = running()
    recording = [one for one in found if one.state in RECORDS] or [one for one in found if one.state is None]
    if len(recording) > 1:
        raise UsageError(f"{len(recording)} sessions record", hint="POST /api/v1/sessions/ID/stop ends one of them")
    if not (one := recording[0] if recording else gone_on_with(None)):
        return NOTHING
    return _ended(one, wait=wait)


def mark(call: Call, *, text: MarkText) -> MarkLine:
    """Mark this moment."""
    reply: Any = _tell(call, Mark(text=storable(text)))
    return msgspec.convert({**reply, "type": "mark"}, MarkLine)


def mute(call: Call, *, name: Name | None = None, on: bool = True) -> MuteLine:
    """Mute an input of sound, null for all; with `on` false it is heard again."""
    _tell(call, Mute(name=name, on=on))
    return MuteLine(name=name, on=on)


def layout(call: Call, *, name: Name) -> LayoutLine:
    """Show another layout."""
    _tell(call, Layout(name=name))
    return LayoutLine(name=name)


def _tell(call: Call, request: AnyRequest) -> object:
    return ask(_session(call).folder, request).mark


def add_destination(
    call: Call, *, name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)],
    although_refused: bool = False,
) -> DestinationChange:  # fmt: skip
    """Stream to one more of the settings; `although_refused`: also where the speakers do not agree to it."""
    return _change(call, DestinationAdd(name=name, although_refused=although_refused), "added")


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


def preview(call: Call, *, width: Width = 640) -> Response:
    """Return one picture of a source, at most so wide."""
    source = call.path["source"].removesuffix(".jpg")
    if len(source) > LONGEST_NAME:
        raise UsageError("there is no such source")
    with PreviewClient(_session(call).folder) as client:
        client.look(Look(source=source, fps=5, width=width))
        picture = client.picture(PICTURE_S)
    if picture is None:
        raise Refused(409, f"there is no picture of {source} now", hint="a session that is armed or records has them")
    return Response(picture, headers=NOT_STORED, media_type="image/jpeg")


_AT, _TO = "/api/v1/sessions/{id}", "/api/v1/sessions/{id}/destinations"
_ERRORS = (404, 409)
ENDPOINTS = [
    Endpoint("POST", "/api/v1/sessions", begin_session, "Arm a session, or record it", pool="slow", errors=_ERRORS),
    Endpoint("GET", _AT, show_session, "How a session is, or how it has ended", errors=_ERRORS),
    Endpoint("POST", f"{_AT}/start", start_session, "Record what is armed", pool="slow", errors=_ERRORS),
    Endpoint("POST", f"{_AT}/stop", stop_session, "End a session", pool="slow", errors=_ERRORS),
    Endpoint(
        "POST", f"{_AT}/disarm", disarm_session, "Let the devices go of a session that is armed",
        pool="slow", errors=_ERRORS,
    ),
    Endpoint("POST", f"{_AT}/mark", mark, "Mark this moment", errors=_ERRORS),
    Endpoint("POST", f"{_AT}/mute", mute, "Mute an input of sound, or let it be heard", errors=_ERRORS),
    Endpoint("POST", f"{_AT}/layout", layout, "Show another layout, or a card", errors=_ERRORS),
    Endpoint("POST", _TO, add_destination, "Stream to one more destination", errors=_ERRORS),
    Endpoint("DELETE", f"{_TO}/{{name}}", remove_destination, "Stream to a destination no more", errors=_ERRORS),
    Endpoint("POST", f"{_TO}/{{name}}/restart", restart_destination, "Connect to a destination anew", errors=_ERRORS),
    Endpoint(
        "GET", f"{_AT}/preview/{{source}}", preview, "One picture of a source: program.jpg, or an input's name",
        media="image/jpeg", errors=_ERRORS,
    ),
    Endpoint(
        "POST", "/api/v1/recording/start", start_recording,
        "Record, with one button: starts what is armed, or begins a session", pool="slow", errors=(409,),
    ),
    Endpoint(
        "POST", "/api/v1/recording/stop", stop_recording, "End the session that records", pool="slow", errors=(409,)
    ),
]  # fmt: skip
