"""The stages of a session's work; recorder/features/profiler counts the CPU time of each through a CpuTimer."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol


class CpuStage(StrEnum):
    """A stage that CPU time is counted for."""

    START = "start"  # Python, its modules, the devices and the encoder, until the session is armed
    CAPTURE = "capture"
    WATCHES = "watches"
    DECODE = "decode"
    COMPOSE = "compose"
    PICTURE = "picture"  # the thread of the picture, without decoding, composing and encoding
    ENCODE_VIDEO = "encode-video"
    SOUND = "sound"  # placing, mixing and metering audio
    ENCODE_SOUND = "encode-sound"
    PREVIEWS = "previews"
    WRITE = "write"  # muxing packets into the recording
    SYNC = "sync"
    STORAGE = "storage"
    LOG = "log"
    ISOLATE = "isolate"
    LIVE_ENCODE = "live-encode"
    DESTINATIONS = "destinations"
    CONFERENCE = "conference"
    DEVICES = "devices"  # hotplug events, kernel messages, the health log
    CONTROL = "control"
    PROFILE = "profile"  # the counting itself
    OTHER = "other"
    SEALING = "sealing"
    SLIDES = "slides"
    REPORT = "report"


class CpuTimer(Protocol):
    """Counts the CPU time of calls; thread-safe."""

    def __call__[**Given, Made](self, stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
        """Return `call` with its CPU time counted for `stage`."""
        ...


def untimed[**Given, Made](_stage: CpuStage, call: Callable[Given, Made], /) -> Callable[Given, Made]:
    """Return `call` unchanged; implements CpuTimer."""
    return call
