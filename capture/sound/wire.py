"""The words between a sound child and its parent.

The parent writes a `Request`, one JSON line; the child answers with one. After `Opened` it goes on with blocks of PCM:
a header, then interleaved native-endian int16. A child that follows goes on with `Listing` lines.
"""

import struct
from typing import Literal

import msgspec

HEADER = struct.Struct("=QII")
"""CLOCK_MONOTONIC nanoseconds of the first sample, number of frames, flags."""

PULSE = "pulse"
"""PortAudio's name for ALSA's plugin for the sound server."""
SERVER_PREFIX = "pulse:"
"""The ids of a sound server's sources begin with it; the source's name follows. PulseAudio's and PipeWire's alike."""

OVERFLOW = 1
"""Flag: samples were lost before the first of this block."""


class Request(msgspec.Struct):
    """Open the input `name` (an ALSA name of the form hw:CARD=ID,DEV=N, or PortAudio's name) at `rate` if it can.

    With `source`, a source of the sound server, `name` is the input through which PortAudio gets at it. The other tasks
    need no more: `list` tells the inputs and sources once, `follow` the sources now and whenever they differ.
    """

    name: str = ""
    channels: int = 0
    rate: int = 0
    source: str | None = None
    task: Literal["open", "list", "follow"] = "open"


class Opened(msgspec.Struct, tag="opened"):
    """The input runs, at this rate; `scheduled` is from devices.host.priority.ask_for_sound."""

    rate: int
    channels: int
    scheduled: str = ""


class Failed(msgspec.Struct, tag="failed"):
    """The input was not opened; `missing` if PortAudio does not see it."""

    message: str
    missing: bool = False


class ServerSource(msgspec.Struct, frozen=True):
    """A source of PulseAudio or PipeWire: `alsa` names a card of this computer, `of_sink` the sink that it monitors."""

    name: str
    description: str
    channels: int
    alsa: str | None = None
    of_sink: str | None = None
    is_default: bool = False


class Listing(msgspec.Struct, tag="inputs"):
    """PortAudio's inputs that are no sound card's own, and all sources of the sound server; none while none runs."""

    inputs: list[str] = []
    sources: list[ServerSource] = []


type Answer = Opened | Failed | Listing
