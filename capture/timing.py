"""The stages of a session's work; recorder/features/profiler counts the CPU of each through a Timing."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class CpuStage(StrEnum):
    """The stages that a session's CPU time is counted by."""

    START = "start"
    """Python, its modules, the devices and the encoder, until the session is armed."""
    CAPTURE = "capture"
    WATCHES = "watches"
    DECODE = "decode"
    COMPOSE = "compose"
    PICTURE = "picture"
    """What the picture's thread does beside decoding, composing and encoding."""
    ENCODE_VIDEO = "encode-video"
    SOUND = "sound"
    """Placing, mixing and measuring it."""
    ENCODE_SOUND = "encode-sound"
    PREVIEWS = "previews"
    WRITE = "write"
    """Muxing packets into the recording."""
    SYNC = "sync"
    STORAGE = "storage"
    LOG = "log"
    ISOLATE = "isolate"
    LIVE_ENCODE = "live-encode"
    DESTINATIONS = "destinations"
    CONFERENCE = "conference"
    DEVICES = "devices"
    """What comes and goes, what the kernel says of it, the health log."""
    CONTROL = "control"
    PROFILE = "profile"
    """Counting all this."""
    OTHER = "other"
    SEALING = "sealing"
    SLIDES = "slides"
    REPORT = "report"


class Timing(Protocol):
    """Counts the CPU time of calls; from any thread."""

    def __call__[**Given, Made](self, stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
        """Return a callable that does as `call` does, and is counted as work of `stage`."""
        ...


def untimed[**Given, Made](_stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
    """Return `call` itself; a Timing."""
    return call
