"""Sessions by the API: begin, start, stop and steer them, as on the command line."""

import re
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from agent.checks.history import recent_run
from agent.features import with_request
from agent.sessions.control import (
    LOOK_S,
    NOTHING_RUNS,
    SessionLine,
    disarm,
    earlier_end,
    line_of,
    make_spec,
    resumed_just_now,
    start,
    stop,
    successor_of,
    until_armed,
    until_it_records,
)
from agent.web.http.context import ApiContext
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import DossierError, SessionError, UsageError
from config.locale.number_format import recording_title
from config.settings.schema import RecordsSettings
from recorder.model.names import utf8_safe
from recorder.model.status import STATES_BEFORE, STATES_RECORDING, SessionResult, SessionState
from recorder.package.metadata import Consent, ConsentState
from recorder.running.client import (
    PreviewClient,
    RunningRecorder,
    find_running,
    running_recorders,
    select_session,
    send_command,
)
from recorder.running.protocol import (
    LONGEST_NAME,
    AddDestinationCommand,
    AnyRequest,
    EndCommand,
    EndsIn,
    LayoutCommand,
    MarkCommand,
    MarkText,
    MuteCommand,
    Name,
    PreRoll,
    PreviewCommand,
    RemoveDestinationCommand,
    RestartDestinationCommand,
    Title,
    TitleCommand,
    Width,
)
from recorder.running.protocol import DestinationChange as DestinationCommand
from recorder.session.request import SessionRequest

LONGEST_S = 30 * 86_400
TAKEN_UP_S = 5.0  # wait for a resumed session, briefly: two recordings are better than none
ROOT = Path("/")
_NODE = re.compile(r"/dev/(video\d+|snd/[\w-]+|v4l/by-(id|path)/[^/]+)")  # only nodes of the kernel and udev

type Word = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
type Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)]
type Text = Annotated[str, msgspec.Meta(max_length=256)]


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to arm or record; missing fields are as in the settings, a missing title has day and time.

    `videos`, `audios` and `streams` are those of `liput record`, but no names of files; a destination is one of the
    settings. `request`: the id of its request, which gives a missing title. `practice`: test pictures and
    sound instead of devices, for no request. `allow_missing`: begin without devices that
    are absent. `although_refused`: stream against the speakers' wish. `alone`: begin no second session beside one that
    runs, which is returned instead.
    """

    title: Title = ""
    arm_only: bool = False
    alone: bool = False
    streams: Words = ()
    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_S)] | None = None
    request: Word | None = None
    layout: Name | None = None
    videos: Words = ()
    audios: Words = ()
    profile: Word | None = None
    conference: bool | None = None
    practice: bool = False
    isolate: bool = False
    allow_missing: bool = False
    consent: ConsentState = "not-asked"
    consent_note: Text = ""
    although_refused: bool = False
    classification: Text | None = None
    security: Text | None = None
    retention_active: Text | None = None
    retention_inactive: Text | None = None
    disposition: Text | None = None


_RECORDS = RecordsSettings.__struct_fields__
_ALONE = threading.Lock()  # held while a session is begun that may have no other beside it

type Begun = SessionLine | SessionResult


def begin_session(call: ApiCall, new: NewSession) -> Begun:
    """Arm or record a session; return when it does."""
    if not new.alone:
        return _begin(call.house, new)
    with _ALONE:
        there = running_recorders()
        return line_of(there[0]) if there else _begin(call.house, new)


def _begin(house: ApiContext, new: NewSession) -> Begun:
    asked = _asked(house, new)
    spec = make_spec(asked, house.settings.file, arm_only=new.arm_only)
    recorder = house.spawn(msgspec.structs.replace(spec, folder=ROOT))
    house.recorders.append(recorder)
    try:
        folder = recorder.ready()
        (until_armed if new.arm_only else until_it_records)(folder)
    except BaseException:
        recorder.terminate()
        raise
    return session_state(folder.id)


def session_state(recorder_id: str) -> Begun:
    """Return a session's state or result. Raises SessionError."""
    if (found := find_running(recorder_id)) is not None:
        return line_of(found)
    if (end := earlier_end(recorder_id)) is None:
        raise _unknown_session(recorder_id)
    return end


def _unknown_session(recorder_id: str) -> SessionError:
    return SessionError(
        f"no running session is called {recorder_id}", hint="GET /api/v1/state lists running sessions", why="no-session"
    )


def start_recording(call: ApiCall, *, pre_roll_s: PreRoll = 0.0) -> Begun:
    """Start the armed session, or begin one. A session that records goes on: pressing twice does no harm."""
    with _ALONE:
        there = running_recorders()
        recording = [one for one in there if one.state in STATES_RECORDING]
        armed = [one for one in there if one.state in STATES_BEFORE]
        if recording:
            return line_of(recording[0])
        if armed:
            one = select_session(None, (STATES_BEFORE,)) if len(armed) > 1 else armed[0]
            start(one, pre_roll_s)
            return session_state(one.info.id)
        following = resumed_just_now(TAKEN_UP_S)
        if following is not None and following.state in STATES_RECORDING:  # it may have ended since
            return line_of(following)
        return begin_session(call, NewSession())


def _asked(house: ApiContext, new: NewSession) -> SessionRequest:
    """Return the request for a recorder. Raises UsageError, DossierError, SettingsError."""
    settings = house.settings.read()
    for word in (*new.streams, *new.videos, *new.audios):
        refuse_file_names(word)
    if new.consent == "refused" and new.streams and not new.although_refused:
        raise UsageError(
            f"the speakers do not agree to being recorded, and {', '.join(new.streams)} would show them",
            hint="leave out the stream, or confirm it with although_refused",
            why="speakers",
        )
    if new.practice and new.request:
        raise UsageError("practice counts for no request", hint="leave out the request, or the practice")
    made = ("synthetic",) if new.practice else ()
    now, is_said = house.clock.now(), new.consent != "not-asked" or bool(new.consent_note)
    asked = SessionRequest(
        title=new.title.strip() or ("" if new.request else recording_title(now, settings.general.language)),
        videos=made * 2 or new.videos, audios=made or new.audios, practice=new.practice,
        allow_missing=new.allow_missing, layout=new.layout, conference=new.conference, isolate=new.isolate,
        duration_s=new.for_s, streams=new.streams, profile=new.profile, archive=house.folder,
        checked=recent_run(settings.general.language),
        records={name: value for name in _RECORDS if (value := getattr(new, name)) is not None},
        consent=Consent(
            state=new.consent, note=new.consent_note, noted_at=now if is_said else None
        ),
    )  # fmt: skip
    return with_request(asked, None if new.request is None else request_key(new.request), settings)


def refuse_file_names(word: str) -> None:
    """Refuse names of files: users of the page must not read this user's files. Raises UsageError."""
    is_file = "/" in word or "\0" in word or (ROOT / word).is_file()  # relative to the recorder's folder
    if word.startswith(("@", "-")) or (is_file and not _NODE.fullmatch(word)):
        raise UsageError("that is no device and no destination of the settings", hint="GET /api/v1/devices lists them")


def request_key(key: str) -> str:
    """Return the id of a request from an address. Raises DossierError if it names a file."""
    if "/" in key or "\0" in key or len(key) > 255:
        raise DossierError("there is no such request", hint="GET /api/v1/requests lists them", why="no-request")
    return key


OVER = (SessionState.SEALED, SessionState.FAILED)
ENDING_S = 10.0  # longest time for a recorder to exit after its session
PICTURE_S = 5.0  # longest time for one picture
_ID = re.compile(r"[0-9a-f]{1,32}")


class MarkLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mark"):
    """A mark."""

    at: datetime
    media_s: float
    text: str


class MuteLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="mute"):
    """A muted or unmuted audio input; null for all."""

    name: str | None
    on: bool


class LayoutLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="layout"):
    """The layout from the next frame on."""

    name: str


class DestinationChange(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="destination"):
    """A destination added, removed or restarted, with a note."""

    name: str
    change: str
    note: str


def _session(call: ApiCall) -> RunningRecorder:
    """Return the session of this whole id: after a slip, a prefix would end another session."""
    key = _id(call)
    if (found := find_running(key)) is None:
        raise _unknown_session(key)
    return found


def _id(call: ApiCall) -> str:
    key = call.path["id"]
    if not _ID.fullmatch(key):
        raise SessionError(
            "there is no such session", hint="GET /api/v1/state lists running sessions", why="no-session"
        )
    return key


def show_session(call: ApiCall) -> Begun:
    """Return a session's state or result."""
    return session_state(_id(call))


def start_session(call: ApiCall, *, pre_roll_s: PreRoll = 0.0) -> Begun:
    """Start an armed session, `pre_roll_s` before now; one that records goes on."""
    found = _session(call)
    if found.state not in STATES_RECORDING:
        start(found, pre_roll_s)
    return session_state(found.info.id)


def stop_session(call: ApiCall, *, wait: bool = False) -> Begun:
    """End a session; with `wait` return once it is in the archive. A past one returns its result."""
    try:
        found = _session(call)
    except SessionError:
        if end := earlier_end(_id(call)):
            return end
        if (following := successor_of(_id(call), is_whole=True)) is None:
            raise
        found = following
    if found.state in OVER and (end := _end_of(found.info.id)):
        return end
    return _ended(found, wait=wait)


def _ended(found: RunningRecorder, *, wait: bool) -> Begun:
    result = stop(found, wait=wait)
    if result is None and found.state is None:  # it hangs, or was about to end
        result = _end_of(found.info.id)
    return line_of(found) if result is None else result


def disarm_session(call: ApiCall) -> SessionResult:
    """End an armed session and release its devices. A past one returns its result."""
    key = _id(call)
    try:
        return disarm(_session(call))
    except SessionError:
        if end := _end_of(key):
            return end
        raise


def _end_of(key: str) -> SessionResult | None:
    """Return a session's result; wait for one that is about to end."""
    deadline_s = time.monotonic() + ENDING_S
    while not (end := earlier_end(key)) and time.monotonic() < deadline_s:
        found = find_running(key)
        if found is None or found.state in STATES_RECORDING:
            break
        time.sleep(LOOK_S)
    return end


def stop_recording(_call: ApiCall, *, wait: bool = False) -> Begun:
    """End the only session that records, else one that does not answer, or was killed just now."""
    found = running_recorders()
    recording = [one for one in found if one.state in STATES_RECORDING] or [one for one in found if one.state is None]
    if len(recording) > 1:
        raise UsageError(
            f"{len(recording)} sessions record", hint="POST /api/v1/sessions/ID/stop ends one of them", why="several"
        )
    if not (one := recording[0] if recording else successor_of(None)):
        return NOTHING_RUNS
    return _ended(one, wait=wait)


def mark(call: ApiCall, *, text: MarkText) -> MarkLine:
    """Set a mark now."""
    reply: Any = _tell(call, MarkCommand(text=utf8_safe(text)))
    return msgspec.convert({**reply, "type": "mark"}, MarkLine)


def rename(call: ApiCall, *, title: Title) -> Begun:
    """Give the session another title."""
    _tell(call, TitleCommand(title=utf8_safe(title)))
    return session_state(_id(call))


def move_end(call: ApiCall, *, ends_in_s: EndsIn) -> Begun:
    """Move the planned end of a recording."""
    _tell(call, EndCommand(ends_in_s=ends_in_s))
    return session_state(_id(call))


def mute(call: ApiCall, *, name: Name | None = None, on: bool = True) -> MuteLine:
    """Mute an audio input, null for all; `on` false unmutes it."""
    _tell(call, MuteCommand(name=name, on=on))
    return MuteLine(name=name, on=on)


def layout(call: ApiCall, *, name: Name) -> LayoutLine:
    """Change the layout."""
    _tell(call, LayoutCommand(name=name))
    return LayoutLine(name=name)


def _tell(call: ApiCall, request: AnyRequest) -> object:
    return send_command(_session(call).folder, request).mark


def add_destination(
    call: ApiCall, *,
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=LONGEST_NAME)],
    although_refused: bool = False,
) -> DestinationChange:  # fmt: skip
    """Add a destination of the settings; `although_refused`: against the speakers' wish."""
    return _change(call, AddDestinationCommand(name=name, although_refused=although_refused), "added")


def remove_destination(call: ApiCall) -> DestinationChange:
    """Remove a destination."""
    return _change(call, RemoveDestinationCommand(name=_name(call)), "removed")


def restart_destination(call: ApiCall) -> DestinationChange:
    """Reconnect a destination."""
    return _change(call, RestartDestinationCommand(name=_name(call)), "restarted")


def _name(call: ApiCall) -> str:
    name = call.path["name"]
    if len(name) > LONGEST_NAME:
        raise UsageError("that is no name of a destination")
    return name


def _change(call: ApiCall, request: DestinationCommand, word: str) -> DestinationChange:
    note = send_command(_session(call).folder, request).note
    return DestinationChange(name=request.name, change=word, note=note)


def preview(call: ApiCall, *, width: Width = 640) -> Response:
    """Return one picture of a source, at most `width` pixels wide."""
    source = call.path["source"].removesuffix(".jpg")
    if len(source) > LONGEST_NAME:
        raise UsageError("there is no such source")
    with PreviewClient(_session(call).folder) as client:
        client.look(PreviewCommand(source=source, fps=5, width=width))
        picture = client.picture(PICTURE_S)
    if picture is None:
        raise SessionError(
            f"there is no picture of {source} now", hint="only armed and recording sessions have pictures"
        )
    return Response(picture, media_type="image/jpeg")


_AT, _TO = "/api/v1/sessions/{id}", "/api/v1/sessions/{id}/destinations"
ENDPOINTS = [
    Endpoint("POST", "/api/v1/sessions", begin_session, "Arm a session, or record it", pool="slow"),
    Endpoint("GET", _AT, show_session, "The state of a session, or its result"),
    Endpoint("POST", f"{_AT}/start", start_session, "Start to record the armed session", pool="slow"),
    Endpoint("POST", f"{_AT}/stop", stop_session, "End a session", pool="slow"),
    Endpoint("POST", f"{_AT}/disarm", disarm_session, "Close the devices of an armed session", pool="slow"),
    Endpoint("POST", f"{_AT}/mark", mark, "Mark this moment"),
    Endpoint("POST", f"{_AT}/end", move_end, "Move the planned end of a recording"),
    Endpoint("POST", f"{_AT}/title", rename, "Give a session another title"),
    Endpoint("POST", f"{_AT}/mute", mute, "Mute or unmute a sound input"),
    Endpoint("POST", f"{_AT}/layout", layout, "Change to another layout or a card"),
    Endpoint("POST", _TO, add_destination, "Add a destination"),
    Endpoint("DELETE", f"{_TO}/{{name}}", remove_destination, "Remove a destination"),
    Endpoint("POST", f"{_TO}/{{name}}/restart", restart_destination, "Reconnect to a destination"),
    Endpoint(
        "GET", f"{_AT}/preview/{{source}}", preview, "One frame of a source: program.jpg, or an input's name",
        media="image/jpeg",
    ),
    Endpoint(
        "POST", "/api/v1/recording/start", start_recording,
        "Record with one button: start the armed session, or begin one", pool="slow", errors=(409,),
    ),
    Endpoint("POST", "/api/v1/recording/stop", stop_recording, "End the recording session", pool="slow", errors=(409,)),
]  # fmt: skip
