"""A live frame of every source: it arrives, shows something, moves, is sharp, and neither dark nor burnt out."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from fractions import Fraction

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result
from agent.checks.kinds.sources import HeldSource, SourceFailure, holding_session, inspect_sources
from capture.detectors.picture_measures import PICTURE_CHECK_SIZE, PictureCheck, PictureCheckResult
from capture.detectors.source_health import SILENT_FRAMES, SILENT_S
from capture.media.preview import decode_jpeg
from capture.source import SourceEnded, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.sources.worker import VideoWorker
from config.errors import LiputError, MediaError
from config.locale.lookup import words
from devices.health.faults import Fault
from devices.host.clock import NANOSECONDS
from devices.model.device import DeviceKind
from recorder.running.client import fetch_preview

WORDS = words("check-pictures")

CODES = findings("check-source") | findings("check-pictures")

NAME = "picture"
FIRST_PICTURE_S = 3.0  # limit for the first frame, as in a session
LOOK_S = 2.0  # how long frames are inspected after the first one
EVERY_S = 0.09  # ten frames a second are enough
PREVIEW_S = 2.0
MOST_DAMAGED = 2  # one frame may be damaged, and the first one often is

DARK = 70
"""Limit for the 95th percentile of limited-range luma (16 to 235): below it, faces are hardly visible.

The synthetic speaker has 229, photographs (see BLURRED) have 107 to 202, the rig's camera has 218, and 66 with a
quarter of its levels.
"""
BURNT = 0.35
"""Limit for the share of white pixels. A camera sees more than a projected slide."""
BLURRED = 0.5
"""Limit for `Seen.blur`. It is for sharp pictures, and for the same ones behind a Gaussian blur of 8 in 1920 pixels,
with which letters of a slide are unreadable:

    the synthetic speaker                                               0.11    0.69
    the rig's camera                                                    0.10    0.79
    six photographs of people and things, from scikit-image's     0.09 - 0.25    0.52 - 0.68
"""

OF_FAULTS: Mapping[str, str] = {
    Fault.NO_DATA: "no-picture",
    Fault.NO_SIGNAL: "no-signal",
    Fault.FROZEN: "frozen",
    Fault.BLACK: "black",
    Fault.DAMAGED: "damaged",
    Fault.LOST: "lost",
    Fault.BUSY: "busy",
    Fault.DENIED: "denied",
    Fault.BUS_FULL: "bus-full",
}
"""Codes by the fault that a session reports of its source. Other faults do not concern the picture."""


def look(situation: CheckContext) -> Iterable[CheckResult]:
    """Return the results for each video source of the session."""
    situation.tell(0.1, WORDS["opening-cameras"])
    return inspect_sources(situation, NAME, CODES, lambda chosen: chosen.pictures, _source_results)


def _source_results(situation: CheckContext, picture: ChosenSource[VideoSource], ends_ns: int) -> Sequence[CheckResult]:
    name, device = f"{NAME}: {picture.name}", picture.device
    is_camera = device is not None and device.kind is DeviceKind.CAMERA
    if held := holding_session(situation, device):
        return _session_results(name, picture.name, held, is_camera=is_camera)
    glance = PictureCheck()
    worker = VideoWorker(picture.source, situation.clock, supervision=picture.supervision)
    with closing(worker):
        form = worker.open()
        damaged, first_s = _watch(worker, glance, form.rate, situation, ends_ns)
        is_h264 = (coded := picture.source.coded) is not None and coded.codec == "h264"
    seen = glance.seen()
    if situation.stop.is_set():
        raise SourceFailure("cancelled")
    if seen is None:
        raise SourceFailure("damaged" if damaged else "no-picture", {"damaged": damaged})
    every = {
        "width_px": form.width, "height_px": form.height, "rate_fps": round(float(form.rate), 2),
        "first_picture_s": round(first_s, 2), "damaged": damaged, **picture_figures(seen),
    }  # fmt: skip
    wrong = picture_faults(seen, is_camera=is_camera, damaged=damaged, predicts=is_h264)
    return [make_result(CODES, code, name, every) for code in wrong or ["ok"]]


def _watch(
    worker: VideoWorker, glance: PictureCheck, rate: Fraction, situation: CheckContext, ends_ns: int
) -> tuple[int, float]:
    """Inspect a source; return the number of damaged frames and the seconds to the first one. Raises SourceFailure."""
    clock, stop = situation.clock, situation.stop
    opened_ns = clock.now_ns()
    until_ns = min(opened_ns + round(FIRST_PICTURE_S * NANOSECONDS), ends_ns)
    first_ns: int | None = None
    last_ns, next_ns, damaged = opened_ns, 0, 0
    while clock.now_ns() < until_ns and not stop.is_set():
        try:
            frame = worker.read(0.1)
        except SourceEnded:
            last_ns = clock.now_ns()
            break
        if frame is None:
            continue
        last_ns = clock.now_ns()
        if first_ns is None:
            first_ns = last_ns
            until_ns = min(first_ns + round(LOOK_S * NANOSECONDS), ends_ns)
        try:
            if frame.timestamp_ns >= next_ns:
                glance.see(worker.decode(frame, PICTURE_CHECK_SIZE), frame.timestamp_ns)
                next_ns = frame.timestamp_ns + round(EVERY_S * NANOSECONDS)
        except MediaError:
            damaged += 1
    if worker.outage:
        raise SourceFailure("lost")
    silent_s = (clock.now_ns() - last_ns) / NANOSECONDS
    if not stop.is_set() and silent_s > max(SILENT_S, SILENT_FRAMES / float(rate)):
        raise SourceFailure("no-picture", {"silent_s": round(silent_s, 1)})
    return damaged, ((first_ns or clock.now_ns()) - opened_ns) / NANOSECONDS


def _session_results(name: str, source: str, held: HeldSource, *, is_camera: bool) -> Sequence[CheckResult]:
    """Return the results for a source that a session has open, from its status and its preview."""
    by, line = held
    every: dict[str, str | float | bool | None] = {"held_by": by.info.title}
    if code := OF_FAULTS.get(line.health.fault or ""):
        return [make_result(CODES, code, name, every, error=line.health.reason, hint="")]
    glance = PictureCheck()
    with suppress(LiputError):  # the status is enough
        glance.see(decode_jpeg(fetch_preview(by.folder, source, PREVIEW_S)), 0)
    wrong: list[str] = []
    if (seen := glance.seen()) is not None:
        every |= picture_figures(seen)
        wrong = _image_faults(seen) if is_camera else []
    return [make_result(CODES, code, name, every, session=by.info.title) for code in wrong or ["ok-held"]]


def picture_faults(seen: PictureCheckResult, *, is_camera: bool, damaged: int, predicts: bool = False) -> list[str]:
    """Return the codes of all faults seen; a fault that explains the others comes alone.

    A camera's picture must change; a capture card may show a still slide. H.264 (`predicts`) may repeat frames.
    """
    if seen.slate:
        return ["no-signal"]
    if seen.is_black:
        return ["black"]
    if is_camera and seen.is_same and not predicts:
        return ["frozen"]
    return (["damaged"] if damaged > MOST_DAMAGED else []) + (_image_faults(seen) if is_camera else [])


def _image_faults(seen: PictureCheckResult) -> list[str]:
    wrong = []
    if seen.light_luma < DARK:
        wrong.append("dark")
    if seen.burnt > BURNT:
        wrong.append("burnt-out")
    if seen.blur is not None and seen.blur > BLURRED:
        wrong.append("blurred")
    return wrong


def picture_figures(seen: PictureCheckResult) -> dict[str, str | float | bool | None]:
    """Return the figures in JSON types."""
    return {
        "pictures": seen.pictures,
        "luma_levels": round(seen.luma, 1),
        "light_luma_levels": round(seen.light_luma, 1),
        "burnt_percent": round(100 * seen.burnt, 1),
        "blur_percent": None if seen.blur is None else round(100 * seen.blur, 1),
    }


CHECKS = [Check(NAME, WORDS["picture"], look, CODES, place=20)]
