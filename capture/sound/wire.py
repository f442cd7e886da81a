"""What a sound child and its parent say to each other.

The parent writes one JSON line, a `Request`. The child answers with one JSON line: an `Opened` or a `Failed` (or the
list of inputs), and after `Opened` with blocks of PCM, each a header and its samples: interleaved native-endian int16.
To a `FollowRequest` it answers with a `Sources` now and whenever there are others, a line each.
"""

import struct
from typing import NamedTuple

import msgspec

HEADER = struct.Struct("=QII")
"""CLOCK_MONOTONIC nanoseconds of the first sample, number of frames, flags."""

PULSE = "pulse"
"""PortAudio's name for ALSA's plugin for the sound server."""
SERVER_PREFIX = "pulse:"
"""The ids of a sound server's sources begin with it; the source's name follows. PulseAudio's and PipeWire's alike."""

OVERFLOW = 1
"""Flag: samples were lost before the first of this block."""


class Request(msgspec.Struct, tag="open"):
    """Open the input `name` (an ALSA name of the form hw:CARD=ID,DEV=N, or PortAudio's name) at `rate` if it can.

    With `source`, which is a source of the sound server, `name` is the input through which PortAudio gets at it.
    """

    name: str
    channels: int
    rate: int
    source: str | None = None


class ListRequest(msgspec.Struct, tag="list"):
    """Tell all inputs that PortAudio sees."""


class FollowRequest(msgspec.Struct, tag="follow"):
    """Tell the sources of the sound server that runs, and again whenever they differ, until nobody listens."""


class Opened(msgspec.Struct, tag="opened"):
    """The input runs, with these frames a second and channels.

    `scheduled` is what devices.host.priority.ask_for_sound says.
    """

    rate: int
    channels: int
    scheduled: str = ""


class Failed(msgspec.Struct, tag="failed"):
    """The input was not opened; `missing` if PortAudio does not see it."""

    message: str
    missing: bool = False


class InputName(msgspec.Struct, frozen=True):
    """An input as PortAudio sees it; `is_hardware` if it is a sound card's own, not a sound server's."""

    name: str
    channels: int
    rate: int
    is_hardware: bool


class ServerSource(msgspec.Struct, frozen=True):
    """A source of the sound server (PulseAudio, or PipeWire in its place).

    `alsa` is its name if it is a card of this computer: hw:CARD=ID,DEV=N. `of_sink` is what people call the sink whose
    monitor it is: then it gives what this computer plays there.
    """

    name: str
    description: str
    channels: int
    alsa: str | None = None
    of_sink: str | None = None
    is_default: bool = False


class Listing(msgspec.Struct, tag="inputs"):
    """All inputs, and all sources of the sound server that runs."""

    inputs: list[InputName]
    sources: list[ServerSource] = []


class Sources(msgspec.Struct, tag="sources"):
    """All sources of the sound server now; none while none runs."""

    sources: list[ServerSource]


class Header(NamedTuple):
    """A block's header."""

    timestamp_ns: int
    frames: int
    flags: int


type Asked = Request | ListRequest | FollowRequest
type Answer = Opened | Failed | Listing | Sources
