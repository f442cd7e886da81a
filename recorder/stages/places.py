"""Which stage a thread or a process works for, by its name."""

import re
from enum import Enum, auto
from functools import cache

from capture.timing import CpuStage


class Phase(Enum):
    """How far a session is: what its own threads do, and those that are gone again, is another stage in each."""

    STARTING = auto()
    RUNNING = auto()
    SEALING = auto()


OF_PHASE = {Phase.STARTING: CpuStage.START, Phase.RUNNING: CpuStage.OTHER, Phase.SEALING: CpuStage.SEALING}
_DECODERS = {
    Phase.STARTING: CpuStage.DECODE, Phase.RUNNING: CpuStage.DECODE, Phase.SEALING: CpuStage.SLIDES,
}  # fmt: skip
"""What FFmpeg's own threads are for: those of sources, then those that look through the recording."""

_THREADS = (
    (r"read-|grab |liput-closing", CpuStage.CAPTURE),
    (r"track-video", CpuStage.PICTURE),
    (r"track-audio", CpuStage.SOUND),
    (r"x264-live|stream-", CpuStage.LIVE_ENCODE),
    (r"x264|former-encoder", CpuStage.ENCODE_VIDEO),
    (r"recording-writer", CpuStage.WRITE),
    (r"recording-sync", CpuStage.SYNC),
    (r"storage-seal|request-", CpuStage.SEALING),
    (r"storage-|disk-", CpuStage.STORAGE),
    (r"event-log", CpuStage.LOG),
    (r"isolate-", CpuStage.ISOLATE),
    (r"live-|resolve-", CpuStage.DESTINATIONS),
    (r"preview", CpuStage.PREVIEWS),
    (r"conference-|virtual-microphone", CpuStage.CONFERENCE),
    (r"control", CpuStage.CONTROL),
    (
        r"device-|kernel-log|health-log|computer|presets-|ask-|idle-|sound-sources|awake",
        CpuStage.DEVICES,
    ),
    (r"derive-chapters", CpuStage.SLIDES),
    (r"derive-", CpuStage.REPORT),
    (r"stages", CpuStage.PROFILE),
)
_PROCESSES = (
    (r"capture\.", CpuStage.CAPTURE),
    (r"recorder\.live\.", CpuStage.DESTINATIONS),
    (r"recorder\.conference\.", CpuStage.CONFERENCE),
    (r"recorder\.report\.", CpuStage.REPORT),
    (r"tesseract", CpuStage.SLIDES),
    (r"journalctl", CpuStage.DEVICES),
)


@cache
def of_thread(name: str, phase: Phase) -> CpuStage:
    """Return what the thread called `name` works for, beside what is counted of it (recorder/stages/timers.py)."""
    if name.startswith("av:"):
        return _DECODERS[phase]
    return _found(_THREADS, name) or OF_PHASE[phase]


@cache
def of_process(name: str, phase: Phase) -> CpuStage:
    """Return what a child that runs the module or program `name` works for."""
    return _found(_PROCESSES, name) or OF_PHASE[phase]


def _found(places: tuple[tuple[str, CpuStage], ...], name: str) -> CpuStage | None:
    return next((stage for words, stage in places if re.match(words, name)), None)
