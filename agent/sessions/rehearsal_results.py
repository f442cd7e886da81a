"""Judges a rehearsal: results in the form of checks, with verdict, reason and advice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.checks.check import CheckFinding, CheckResult, Measured, error_facts, findings, make_result
from agent.checks.kinds.pictures import CODES as PICTURE_CODES
from agent.checks.kinds.pictures import OF_FAULTS as PICTURE_FAULTS
from agent.checks.kinds.pictures import picture_faults, picture_figures
from agent.checks.kinds.sounds import CODES as SOUND_CODES
from agent.checks.kinds.sounds import OF_FAULTS as SOUND_FAULTS
from agent.checks.kinds.sounds import sound_faults, sound_figures
from agent.health.alarm import (
    SOURCE_KINDS,
    explanation_rank,
    incident,
    remedy,
    trouble_key,
)
from capture.detectors.lipsync import AudioOffset
from config.events import Event
from config.locale.number_format import in_each, rate, size
from config.settings.schema import Profile
from devices.health.faults import Fault
from devices.model.device import DeviceKind
from recorder.features.rehearsal.rehearsal import RehearsalResult
from recorder.features.rehearsal.review import ReviewedRecording
from recorder.model.session_faults import HARMLESS_KINDS, REPORTED_BY_TRACKS, SOURCE_RECOVERED, ends_fault
from recorder.model.status import DestinationLine

CODES = findings("rehearsal-recording")
HAPPENED_CODES = findings("rehearsal-source")  # for events of the session, in the words of its alarms
RATE_CODES, SYNC_CODES = findings("rehearsal-rate"), findings("rehearsal-sync")
SIZE_CODES, DESTINATION_CODES = findings("rehearsal-size"), findings("rehearsal-destination")

SHORT_S = 1.0  # a recording may be this much shorter than asked
LEAST_RATE = 0.9  # share of the profile's frame rate; a camera in the dark gives less
MOST_MISSING = 0.01  # share of frames that may be repeats; more dropped ones explain the other losses
SOUND_EARLY_S, SOUND_LATE_S = 0.045, 0.125  # from here on people notice that lips and voice differ (ITU-R BT.1359-1)
CLAP_S = 0.07  # extra tolerance for a clap, which is seen to about two frames' time
MOST_RATE = 1.25  # factor on the profile's bit rates, above the variation of an encoder in ten seconds

_FAULTS_OF_TRACKS = {kind: str(fault) for fault, kind in REPORTED_BY_TRACKS.items()}
_OF_REASONS = {"missing": Fault.LOST, "silent": Fault.NO_DATA}
"""Reasons of a `source-missing` that are not names of faults."""
_JUDGED_APART = ("destination-", "frames-dropped", "stepped-down", "session-failed")
"""Prefixes of event kinds that other parts of the rehearsal report."""


def rehearsal_results(
    rehearsed: RehearsalResult, profile: Profile, *, asked_s: float, left_out: Sequence[str]
) -> Iterator[tuple[str, list[CheckResult]]]:
    """Yield the results for each part of the rehearsal, by its name."""
    happened = _trouble_results(rehearsed)
    yield "recording", [_recording(rehearsed, asked_s), *(one for one in happened if one.name == "recording")]
    yield "source", [one for one in happened if one.name != "recording"]
    film = rehearsed.film
    if film is not None:
        yield "rate", _rate(film, rehearsed, profile)
        yield "picture", _picture(film, rehearsed)
        yield "sound", _sound(film)
        yield "sync", [] if film.heard is None else [_sync(film.sync)]
        yield "size", [_size(film, profile)]
    destinations = [_destination(line) for line in rehearsed.destinations.values()]
    destinations += [make_result(DESTINATION_CODES, "left-out", f"destination: {name}") for name in left_out]
    yield "destination", destinations


def _recording(rehearsed: RehearsalResult, asked_s: float) -> CheckResult:
    film, problem = rehearsed.film, rehearsed.problem
    if rehearsed.result is None or film is None:
        code = "not-recorded" if rehearsed.result is None or rehearsed.result.package is None else "damaged"
        return make_result(CODES, code, "recording", **error_facts(problem))
    measured: Measured = {"duration_s": round(film.duration_s, 3), "asked_s": asked_s, "pictures": film.pictures}
    return make_result(CODES, "short" if film.duration_s < asked_s - SHORT_S else "ok", "recording", measured)


@dataclass(slots=True)
class _Trouble:
    """A trouble that began with `event`: whether it is over, and its length until then."""

    event: Event
    is_over: bool = False
    lasted_s: float = 0.0


def _trouble_results(rehearsed: RehearsalResult) -> list[CheckResult]:
    """Return the session's troubles, each once; one that is over is a warning."""
    troubles: dict[tuple[str, str], _Trouble] = {}
    for event in rehearsed.events:
        for begun, trouble in troubles.items():
            if not trouble.is_over and ends_fault(event.kind, event.subject, event.detail, begun):
                trouble.is_over = True
                trouble.lasted_s += (event.at - trouble.event.at).total_seconds()
        key = event.kind, event.subject
        is_told = event.kind not in HARMLESS_KINDS and not event.kind.startswith(_JUDGED_APART)
        if is_told or _code(event, rehearsed) is not None:
            before = troubles.get(key)
            if before is None or before.is_over:
                troubles[key] = _Trouble(event, lasted_s=before.lasted_s if before else 0.0)
    said: dict[tuple[str, str], CheckResult] = {}
    for trouble in sorted(troubles.values(), key=lambda one: (one.is_over, explanation_rank(one.event.kind))):
        said.setdefault((trouble.event.subject, trouble_key(trouble.event.kind)), _trouble_result(trouble, rehearsed))
    return list(said.values())


def _code(event: Event, rehearsed: RehearsalResult) -> tuple[Mapping[str, CheckFinding], str] | None:
    """Return the code of an event's fault, with its table; None if it is no fault."""
    fault = _FAULTS_OF_TRACKS.get(event.kind, event.detail.get("fault"))
    if event.kind == "source-missing":
        reason = str(event.detail.get("reason"))
        fault = _OF_REASONS.get(reason, reason)
    if fault is None or event.kind == SOURCE_RECOVERED:
        return None
    is_sound = rehearsed.devices.get(event.subject) == DeviceKind.MICROPHONE or fault not in PICTURE_FAULTS
    of_faults, known = (SOUND_FAULTS, SOUND_CODES) if is_sound else (PICTURE_FAULTS, PICTURE_CODES)
    code = of_faults.get(str(fault))
    return None if code is None else (known, code)


def _trouble_result(trouble: _Trouble, rehearsed: RehearsalResult) -> CheckResult:
    event = trouble.event
    name = f"source: {event.subject}" if SOURCE_KINDS.match(event.kind) else "recording"
    if not trouble.is_over and (found_as := _code(event, rehearsed)) is not None:
        return make_result(*found_as, name, error=event.message, hint="")
    measured: Measured = {"lasted_s": round(trouble.lasted_s, 2)} if trouble.is_over else {}
    return make_result(
        HAPPENED_CODES, "passed" if trouble.is_over else "happened", name, measured,
        was=incident(event.kind, event.subject), do=remedy(event.kind, event.subject),
    )  # fmt: skip


def _rate(film: ReviewedRecording, rehearsed: RehearsalResult, profile: Profile) -> list[CheckResult]:
    """Judge the frame rate; a PC that is too slow explains all other losses."""
    status = rehearsed.status
    repeated = status.repeated if status else 0
    dropped = sum(int(str(event.detail["count"])) for event in rehearsed.events if event.kind == "frames-dropped")
    # Static frames were seen, but not encoded.
    shown = film.rate + (status.still / film.duration_s if status and film.duration_s else 0.0)
    measured: Measured = {
        "rate_fps": round(shown, 2), "wanted_fps": round(float(profile.fps), 2), "dropped": dropped,
        "repeated": repeated, "longest_gap_s": round(film.longest_gap_s, 3),
    }  # fmt: skip
    few = MOST_MISSING * max(1, film.pictures)
    of_source = ["slow"] if shown < LEAST_RATE * profile.fps else []
    of_source += ["repeated"] if repeated > few else []
    is_busy = any(event.kind == "stepped-down" for event in rehearsed.events)
    has_device = any(kind != DeviceKind.MICROPHONE for kind in rehearsed.devices.values())
    wrong = ["dropped"] if dropped else []
    if is_busy or (of_source and not has_device):
        wrong += [] if dropped else ["overloaded"]
    elif dropped <= few:
        wrong += of_source
    return [make_result(RATE_CODES, code, "rate", measured) for code in wrong or ["ok"]]


def _picture(film: ReviewedRecording, rehearsed: RehearsalResult) -> list[CheckResult]:
    """Judge the program's picture; it may stand still with a capture card's slide in it."""
    seen = film.seen
    if seen is None:
        return [make_result(PICTURE_CODES, "no-picture", "picture")]
    sounds = {line.name for line in rehearsed.status.sounds} if rehearsed.status else set[str]()
    if any(event.kind == "source-missing" and event.subject not in sounds for event in rehearsed.events):
        return []  # a slate is no picture to judge; its source's own result says that it is missing
    cameras_only = set(rehearsed.devices.values()) <= {DeviceKind.CAMERA, DeviceKind.MICROPHONE}
    is_camera = cameras_only and DeviceKind.CAMERA in rehearsed.devices.values()
    wrong = picture_faults(seen, is_camera=is_camera, damaged=0)
    return [make_result(PICTURE_CODES, code, "picture", picture_figures(seen)) for code in wrong or ["ok"]]


def _sound(film: ReviewedRecording) -> list[CheckResult]:
    heard = film.heard
    if heard is None:
        return [make_result(SOUND_CODES, "no-sound", "sound")]
    return [make_result(SOUND_CODES, code, "sound", sound_figures(heard)) for code in sound_faults(heard) or ["ok"]]


def _sync(sync: AudioOffset | None) -> CheckResult:
    if sync is None:
        return make_result(SYNC_CODES, "not-seen", "sync")
    measured: Measured = {"offset_s": round(sync.offset_s, 4), "times": sync.times, "from": sync.kind}
    more_s = CLAP_S if sync.kind == "clap" else 0.0
    code = "ok"
    if sync.offset_s < -SOUND_EARLY_S - more_s:
        code = "sound-early"
    elif sync.offset_s > SOUND_LATE_S + more_s:
        code = "sound-late"
    offset_ms = 1000 * sync.offset_s
    return make_result(SYNC_CODES, code, "sync", measured, offset_ms=offset_ms, early_ms=-offset_ms, late_ms=offset_ms)


def _size(film: ReviewedRecording, profile: Profile) -> CheckResult:
    wanted = profile.max_bitrate + profile.audio_bitrate
    measured: Measured = {"size_bytes": film.bytes, "rate_bps": round(film.bit_rate), "wanted_bps": wanted}
    facts = {
        "size": in_each(size, film.bytes),
        "rate": in_each(rate, film.bit_rate),
        "wanted_rate": in_each(rate, wanted),
    }
    return make_result(SIZE_CODES, "large" if film.bit_rate > MOST_RATE * wanted else "ok", "size", measured, **facts)


def _destination(line: DestinationLine) -> CheckResult:
    measured: Measured = {"reconnects": line.reconnects, "dropped": line.dropped}
    name = f"destination: {line.name}"
    if line.state != "live":
        return make_result(
            DESTINATION_CODES, "not-live", name, measured, error=line.message or line.reason or line.state
        )
    return make_result(DESTINATION_CODES, "interrupted" if line.reconnects else "ok", name, measured)
