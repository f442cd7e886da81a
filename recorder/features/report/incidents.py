"""The incidents of a session and their lengths, from its log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from config.events import Event
from config.files import json_number
from recorder.model.eventlog import RecordingRun, event_number, recorder_runs
from recorder.model.session_faults import (
    AWAY_KINDS,
    HARMLESS_KINDS,
    LASTING_KINDS,
    NOT_OPENED_KINDS,
    SESSION_LIVE,
    SOURCE_AWAY,
    can_end,
    ends_fault,
    kind_and_subject,
)
from recorder.package.metadata import UNREADABLE, Recording
from recorder.package.request import INCOMPLETE_REASONS

GAP = "gap"
NEVER_LIVE = "never-live"
OTHER = "other"
OF_THE_DESCRIPTION = INCOMPLETE_REASONS | {UNREADABLE}
"""Reasons without an event: they arise while the session is sealed."""
_MISSED = "source-missing"  # the end of this fault ends a source outage: the source is seen or heard again
_COUNTED = {
    "frames-dropped": "count", "sound-lost": "count", "isolated-dropped": "count", "stream-encode-late": "count",
    "destination-dropped": "frames",
}  # fmt: skip
"""Kinds with a count of new losses in this field."""
_SO_FAR = {"picture-damaged": "count", "source-hung": "count"}  # kinds with a total in this field
_SAMPLES_A_SECOND = 48_000
_FIRST = {GAP: 0, "recording-gap": 0, NEVER_LIVE: 1}
"""Missing recording comes first, however short; then streams that never were live."""


@dataclass(slots=True)
class Incident:
    """All incidents of one kind and subject; `seconds` and `count` are None without a figure in the log."""

    kind: str
    subject: str
    first_at: datetime | None
    times: int = 0
    seconds: float | None = None
    count: int | None = None
    is_open: bool = False


type _Begun = tuple[Incident, datetime, float | None]
"""An incident, its start, and its start in media time, if the log has it."""


@dataclass(slots=True)
class _Log:
    found: dict[tuple[str, str], Incident] = field(default_factory=dict)
    begun: dict[tuple[str, str], _Begun] = field(default_factory=dict)
    last_at: datetime | None = None


def incidents(events: Iterable[Event], recording: Recording | None = None) -> list[Incident]:
    """Return missing recording first, then streams never live, then the longest incidents."""
    found: dict[tuple[str, str], Incident] = {}
    recorders = recorder_runs(events)
    for run in recorders:
        for one in _of_run(run, recording.ended_at if recording else None):
            found[one.kind, one.subject] = _merged(found.get((one.kind, one.subject)), one)
    _never_live(found, recorders)
    if recording:
        _described(found, recording)
    return sorted(
        found.values(),
        key=lambda one: (_FIRST.get(one.kind, len(_FIRST)), -(one.seconds or 0.0), -(one.count or 0), one.kind),
    )


def _of_run(run: RecordingRun, ended_at: datetime | None) -> Iterable[Incident]:
    """Return the incidents of one recorder. Faults that ended before it recorded do not count."""
    armed, log = _Log(), _Log()
    _read(armed, run.armed)
    for kind, subject in armed.found:
        if kind in LASTING_KINDS:
            _incident(log, kind, subject, run.began_at)
    for (kind, subject), (_, begun_at, _) in armed.begun.items():
        if ends_fault(SESSION_LIVE, "", {}, (kind, subject)):
            continue
        at = run.began_at or begun_at
        log.begun[kind, subject] = _incident(log, kind, subject, at), at, 0.0
    _read(log, run.recording)
    end_at = run.killed_at or ended_at or log.last_at
    for incident, at, _ in log.begun.values():
        incident.is_open = run.killed_at is None
        if end_at is not None:
            _add_seconds(incident, max(0.0, (end_at - at).total_seconds()))
    return log.found.values()


def _merged(before: Incident | None, after: Incident) -> Incident:
    if before is None:
        return after
    seconds, count = (
        None if one is None and other is None else (one or 0) + (other or 0)
        for one, other in ((before.seconds, after.seconds), (before.count, after.count))
    )
    return Incident(
        before.kind, before.subject, before.first_at, before.times + after.times, seconds,
        None if count is None else round(count), after.is_open,
    )  # fmt: skip


def _never_live(found: Mapping[tuple[str, str], Incident], recorders: Iterable[RecordingRun]) -> None:
    events = [event for run in recorders for event in (*run.armed, *run.recording)]
    seen = {event.subject for event in events if _says_it_was_live(event)}
    for (kind, subject), incident in found.items():
        if kind == "destination-lost" and subject not in seen:
            incident.kind, incident.seconds, incident.is_open = NEVER_LIVE, None, False


def _says_it_was_live(event: Event) -> bool:
    return event.kind == "destination-live" or (
        event.kind == "destination-lost" and json_number(event.detail.get("live_s")) != 0
    )


def _described(found: dict[tuple[str, str], Incident], recording: Recording) -> None:
    if gaps := [gap for gap in recording.gaps if gap.part is None]:
        for key in [key for key in found if key[0] == "recording-gap"]:
            del found[key]  # the log's own entry of the gap
        first = min(gaps, key=lambda gap: gap.start_s)
        found[GAP, ""] = Incident(
            GAP, "", recording.started_at + timedelta(seconds=first.start_s), len(gaps),
            sum(gap.duration_s for gap in gaps),
        )  # fmt: skip
    for reason in recording.degraded:
        kind, subject = kind_and_subject(reason)
        if kind in OF_THE_DESCRIPTION:
            found.setdefault((kind, subject), Incident(kind, subject, None, times=1))


def _read(log: _Log, events: Iterable[Event]) -> None:
    for event in events:
        log.last_at = event.at
        _end(log, event)
        if event.kind not in HARMLESS_KINDS and event.kind not in NOT_OPENED_KINDS:
            _begin(log, event)


def _begin(log: _Log, event: Event) -> None:
    kind, subject, detail = event.kind, event.subject, event.detail
    name = SOURCE_AWAY if kind in AWAY_KINDS else kind
    if (name, subject) in log.begun:
        return  # a silent source that is lost is one outage
    incident = _incident(log, name, subject, event.at)
    if can_end(kind, detail):
        log.begun[name, subject] = incident, event.at, json_number(detail.get("since_s"))
    elif kind in _COUNTED:
        incident.count = (incident.count or 0) + round(event_number(event, _COUNTED[kind]))
    elif kind in _SO_FAR:
        incident.count = max(incident.count or 0, round(event_number(event, _SO_FAR[kind])))
    elif kind == "sound-gap":
        _add_seconds(incident, event_number(event, "samples") / _SAMPLES_A_SECOND)
    elif kind == "recording-gap":
        _add_seconds(incident, event_number(event, "duration_s"))


def _end(log: _Log, event: Event) -> None:
    for (name, whose), (incident, begun_at, since_s) in list(log.begun.items()):
        if ends_fault(event.kind, event.subject, event.detail, (_MISSED if name == SOURCE_AWAY else name, whose)):
            back_s = json_number(event.detail.get("at_s"))
            seconds = (event.at - begun_at).total_seconds()
            if since_s is not None and back_s is not None:
                seconds = back_s - since_s
            _add_seconds(incident, max(0.0, seconds))
            del log.begun[name, whose]


def _incident(log: _Log, kind: str, subject: str, at: datetime | None) -> Incident:
    found = log.found.setdefault((kind, subject), Incident(kind, subject, at))
    found.times += 1
    return found


def _add_seconds(incident: Incident, seconds: float) -> None:
    incident.seconds = (incident.seconds or 0.0) + seconds
