"""`GET /api/v1/state`: room, sessions and troubles, as the page shows them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import asdict

from agent.features import FEATURES, load
from agent.health.alarm import (
    Alarm,
    before_recording,
    end_sentence,
    explanation_rank,
    incident,
    is_grave,
    trouble_key,
    trouble_sentence,
    without_recording,
)
from agent.sessions.control import SessionLine, line_of
from agent.web.http.context import ApiContext
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import LiputError
from config.locale.lookup import BilingualText, words
from config.settings.schema import GeneralSettings
from config.version import VERSION
from devices.health.faults import Fault
from devices.model.device import Device
from recorder.model.session_faults import REPORTED_BY_TRACKS, kind_and_subject, kind_of_fault
from recorder.model.status import STATES_BEFORE
from recorder.package.metadata import INTERRUPTED, Package
from recorder.running.client import RunningRecorder, running_recorders


class Trouble(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="trouble"):
    """A present trouble; `kind` and `subject` of the event that explains most, `text` with the remedy.

    `id` stays while the trouble lasts. `session` is "" for a trouble of none. `is_grave`: the recording is in danger or
    lacks a whole source. `over` is for its end; null if people need none.
    """

    id: str
    session: str
    kind: str
    subject: str
    is_grave: bool
    text: BilingualText
    over: BilingualText | None


class DeviceShown(Device, frozen=True, kw_only=True):
    """A device with the sentence for its fault; null without a known fault."""

    text: BilingualText | None = None


class PackageShown(Package, frozen=True, kw_only=True):
    """A package with sentences for gaps of its recording."""

    lacks: tuple[BilingualText, ...] = ()


def troubles_of(sessions: Sequence[SessionLine], alarms: Sequence[Alarm]) -> list[Trouble]:
    """Return each trouble once, by the device's role; alarms know reasons, sessions the newest state."""
    found: dict[str, Trouble] = {}
    roles = {(line.id, source.name): source.role for line in sessions if line.status for source in line.status.sources}
    waiting = {line.id for line in sessions if line.state in STATES_BEFORE}
    told = [(alarm.session, alarm.kind, alarm.subject, alarm.text) for alarm in alarms]
    seen = [(line.id, kind, subject, None) for line in sessions for kind, subject in _of_session(line)]
    for session, kind, subject, text in (*told, *seen):
        role = roles.get((session, subject))
        trouble = _trouble(session, kind, role or subject, None if role else text)
        if session in waiting:
            trouble = msgspec.structs.replace(trouble, text=before_recording(trouble.text))
        if (other := found.get(trouble.id)) is None or explanation_rank(kind) < explanation_rank(other.kind):
            found[trouble.id] = trouble
    return list(found.values())


def _trouble(session: str, kind: str, subject: str, text: BilingualText | None) -> Trouble:
    over = end_sentence(kind, subject)
    return Trouble(
        id=f"{trouble_key(kind)}: {subject}", session=session, kind=kind, subject=subject, is_grave=is_grave(kind),
        text=text or BilingualText(*trouble_sentence(kind, subject)),
        over=None if over is None else BilingualText(*over),
    )  # fmt: skip


def _of_session(line: SessionLine) -> Iterable[tuple[str, str]]:
    if line.status is None:
        return
    for trouble in line.status.troubles:
        yield kind_and_subject(trouble)
    for source in line.status.sources:
        if (fault := source.health.fault) and fault not in REPORTED_BY_TRACKS:  # the session's troubles have these
            yield kind_of_fault(fault), source.role or source.name


def device_shown(device: Device) -> DeviceShown:
    """Return a device with the sentence for its fault."""
    fault = device.health.fault
    if not fault or fault not in set(Fault):
        return DeviceShown(**asdict(device))
    told = without_recording(trouble_sentence(kind_of_fault(fault), device.role or device.name))
    return DeviceShown(**asdict(device), text=BilingualText(*told))


def package_shown(package: Package) -> PackageShown:
    """Return a package with sentences for gaps of its recording."""
    recording = package.recording
    degraded = () if recording is msgspec.UNSET else recording.degraded
    return PackageShown(**asdict(package), lacks=tuple(map(_lack, degraded)))


def _lack(reason: str) -> BilingualText:
    kind, subject = kind_and_subject(reason)
    return BilingualText(*(words("report")[INTERRUPTED] if reason == INTERRUPTED else incident(kind, subject)))


class State(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="state"):
    """The present state. `standing`: hanging parts of the daemon; `problem`: an error of the settings.

    The page shows `troubles`; people get `alarms`, and `notices` of plans. `devices` changes
    when `GET /api/v1/devices` may; null while nothing watches them. `preview` shows the devices while no session runs.
    """

    room: str
    language: str
    version: str
    at: datetime
    sessions: list[SessionLine]
    preview: SessionLine | None = None
    troubles: Sequence[Trouble] = ()
    alarms: Sequence[Alarm] = ()
    notices: Sequence[object] = ()
    standing: list[str] = []
    problem: str | None = None
    devices: int | None = None
    schedule: int = 0  # changes when `GET /api/v1/schedule` may


def state_of(house: ApiContext, found: Sequence[RunningRecorder], preview: RunningRecorder | None = None) -> State:
    """Return the state with the sessions in `found`."""
    general, problem = GeneralSettings(), None
    try:
        general = house.settings.read().general
    except LiputError as error:
        problem = error.message
    sessions, alarms = [line_of(one) for one in found], house.alarms()
    shown = State(
        room=general.room, language=general.language, version=VERSION, at=house.clock.now(),
        sessions=sessions, preview=line_of(preview) if preview else None,
        troubles=troubles_of(sessions, alarms), alarms=alarms, notices=house.notices(),
        standing=house.standing(), problem=problem, devices=house.devices.number() if house.devices else None,
    )  # fmt: skip
    versions = {name: load(place)() for feature in FEATURES.values() for name, place in feature.versions.items()}
    return msgspec.structs.replace(shown, **versions)


def state(call: ApiCall) -> State:
    """Ask every recorder; return the state."""
    return state_of(call.house, running_recorders())


ENDPOINTS = [Endpoint("GET", "/api/v1/state", state, "The room and its running sessions", errors=())]
