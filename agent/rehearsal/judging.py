"""What a rehearsal found, said as checks say it: each thing with its verdict, the reason, and what to do."""

from collections.abc import Iterator, Sequence

from agent.checks import pictures, pictures_codes, sounds, sounds_codes
from agent.checks.result import Measured, Result, found
from agent.rehearsal.codes import CODES, DESTINATION_CODES, RATE_CODES, SIZE_CODES, SYNC_CODES
from capture.watch.lipsync import Sync
from config.quantities import brief_rate, brief_size
from config.schema import Profile
from devices.health.faults import Fault
from devices.model import DeviceKind
from recorder.faults import TOLD_BY_TRACKS, kind_of
from recorder.rehearsal.film import Film
from recorder.rehearsal.run import Rehearsed
from recorder.status import DestinationLine, SessionStatus

SHORT_S = 1.0
"""How much shorter than asked for a recording may be."""
LEAST_RATE = 0.9
"""Of the profile's pictures a second; a camera in the dark gives fewer."""
MOST_MISSING = 0.01
"""The part of all pictures that may be dropped, or repeated for want of one."""
SOUND_EARLY_S, SOUND_LATE_S = 0.045, 0.125
"""From here on people notice that lips and voice are apart (ITU-R BT.1359-1)."""
CLAP_S = 0.07
"""A clap is seen to about two pictures' time: so much more is allowed."""
MOST_SIZE = 1.25
"""Times the profile's bit rates: more than an encoder goes beyond them in ten seconds."""

_FAULTS_OF_TRACKS = {kind: fault for fault, kind in TOLD_BY_TRACKS.items()} | {"source-missing": Fault.LOST}
"""Events by which a session's tracks tell of a source, and the fault that it is."""


def judge(
    rehearsed: Rehearsed, profile: Profile, *, asked_s: float, left_out: Sequence[str]
) -> Iterator[tuple[str, list[Result]]]:
    """Give, by the name of each part of the way, what is to be said of it."""
    yield "recording", [_recording(rehearsed, asked_s)]
    yield "source", _sources(rehearsed)
    film, status = rehearsed.film, rehearsed.status
    if film is not None:
        yield "rate", _rate(film, status, profile)
        yield "picture", _picture(film, rehearsed)
        yield "sound", _sound(film)
        yield "sync", [] if film.heard is None else [_sync(film.sync)]
        yield "size", [_size(film, profile)]
    destinations = [_destination(line) for line in rehearsed.destinations.values()]
    destinations += [found(DESTINATION_CODES, "left-out", f"destination: {name}") for name in left_out]
    yield "destination", destinations


def _recording(rehearsed: Rehearsed, asked_s: float) -> Result:
    film, problem = rehearsed.film, rehearsed.problem
    if rehearsed.result is None or film is None:
        code = "not-recorded" if rehearsed.result is None or rehearsed.result.package is None else "damaged"
        error, hint = (problem.message, problem.hint) if problem else ("?", "")
        return found(CODES, code, "recording", error=error, hint=hint)
    measured: Measured = {"duration_s": round(film.duration_s, 3), "asked_s": asked_s, "pictures": film.pictures}
    return found(CODES, "short" if film.duration_s < asked_s - SHORT_S else "ok", "recording", measured)


def _sources(rehearsed: Rehearsed) -> list[Result]:
    """Return what the watches found on the way, once for each source and fault."""
    results: dict[tuple[str, str], Result] = {}
    for event in rehearsed.events:
        is_sound = rehearsed.devices.get(event.subject) == DeviceKind.MICROPHONE
        fault = _FAULTS_OF_TRACKS.get(event.kind, event.detail.get("fault"))
        if fault is None or event.kind not in {*_FAULTS_OF_TRACKS, kind_of(str(fault))}:
            continue  # it has recovered, or it is no fault
        is_of_sound = is_sound or Fault(str(fault)) not in pictures.OF_FAULTS
        of_faults = sounds.OF_FAULTS if is_of_sound else pictures.OF_FAULTS
        codes = sounds_codes.CODES if is_of_sound else pictures_codes.CODES
        code = of_faults.get(Fault(str(fault)))
        if code is not None and (event.subject, code) not in results:
            results[event.subject, code] = found(codes, code, f"source: {event.subject}", error=event.message, hint="")
    return list(results.values())


def _rate(film: Film, status: SessionStatus | None, profile: Profile) -> list[Result]:
    dropped, repeated = (status.dropped, status.repeated) if status else (0, 0)
    # What stood still was seen, and not encoded.
    shown = film.rate + (status.still / film.duration_s if status and film.duration_s else 0.0)
    measured: Measured = {
        "rate_fps": round(shown, 2), "wanted_fps": round(float(profile.fps), 2), "dropped": dropped,
        "repeated": repeated, "longest_gap_s": round(film.longest_gap_s, 3),
    }  # fmt: skip
    wrong = ["slow"] if shown < LEAST_RATE * profile.fps else []
    wrong += [
        code
        for code, count in (("dropped", dropped), ("repeated", repeated))
        if count > MOST_MISSING * max(1, film.pictures)
    ]
    return [found(RATE_CODES, code, "rate", measured) for code in wrong or ["ok"]]


def _picture(film: Film, rehearsed: Rehearsed) -> list[Result]:
    """Return how the program looks; it may stand still where a capture card's slide is part of it."""
    seen = film.seen
    if seen is None:
        return [found(pictures_codes.CODES, "no-picture", "picture")]
    cameras_only = set(rehearsed.devices.values()) <= {DeviceKind.CAMERA, DeviceKind.MICROPHONE}
    is_camera = cameras_only and DeviceKind.CAMERA in rehearsed.devices.values()
    wrong = pictures.wrong_with(seen, is_camera=is_camera, damaged=0)
    return [found(pictures_codes.CODES, code, "picture", pictures.measured(seen)) for code in wrong or ["ok"]]


def _sound(film: Film) -> list[Result]:
    heard = film.heard
    if heard is None:
        return [found(sounds_codes.CODES, "no-sound", "sound")]
    return [
        found(sounds_codes.CODES, code, "sound", sounds.measured(heard)) for code in sounds.wrong_with(heard) or ["ok"]
    ]


def _sync(sync: Sync | None) -> Result:
    if sync is None:
        return found(SYNC_CODES, "not-seen", "sync")
    measured: Measured = {"offset_s": round(sync.offset_s, 4), "times": sync.times, "from": sync.kind}
    more_s = CLAP_S if sync.kind == "clap" else 0.0
    code = "ok"
    if sync.offset_s < -SOUND_EARLY_S - more_s:
        code = "sound-early"
    elif sync.offset_s > SOUND_LATE_S + more_s:
        code = "sound-late"
    offset_ms = 1000 * sync.offset_s
    return found(SYNC_CODES, code, "sync", measured, offset_ms=offset_ms, early_ms=-offset_ms, late_ms=offset_ms)


def _size(film: Film, profile: Profile) -> Result:
    wanted = profile.max_bitrate + profile.audio_bitrate
    measured: Measured = {"size_bytes": film.bytes, "rate_bps": round(film.bit_rate), "wanted_bps": wanted}
    facts = {"size": brief_size(film.bytes), "rate": brief_rate(film.bit_rate), "wanted_rate": brief_rate(wanted)}
    return found(SIZE_CODES, "large" if film.bit_rate > MOST_SIZE * wanted else "ok", "size", measured, **facts)


def _destination(line: DestinationLine) -> Result:
    measured: Measured = {"reconnects": line.reconnects, "dropped": line.dropped}
    name = f"destination: {line.name}"
    if line.state != "live":
        return found(DESTINATION_CODES, "not-live", name, measured, error=line.message or line.reason or line.state)
    return found(DESTINATION_CODES, "interrupted" if line.reconnects else "ok", name, measured)
