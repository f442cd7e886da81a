"""What a sound child and its parent say to each other.

The parent writes one JSON line, a `Request`. The child answers with one JSON line: an `Opened` or a `Failed` (or the
list of inputs), and after `Opened` with blocks of PCM, each a header and its samples: interleaved native-endian int16.
"""

import struct
from typing import NamedTuple

import msgspec

HEADER = struct.Struct("=QII")
"""CLOCK_MONOTONIC nanoseconds of the first sample, number of frames, flags."""

OVERFLOW = 1
"""Flag: samples were lost before the first of this block."""


class Request(msgspec.Struct, tag="open"):
    """Open the input `name` (an ALSA name of the form hw:CARD=ID,DEV=N, or PortAudio's name) at `rate` if it can."""

    name: str
    channels: int
    rate: int


class ListRequest(msgspec.Struct, tag="list"):
    """Tell all inputs that PortAudio sees."""


class Opened(msgspec.Struct, tag="opened"):
    """The input runs, with these frames a second and channels."""

    rate: int
    channels: int


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


class Listing(msgspec.Struct, tag="inputs"):
    """All inputs."""

    inputs: list[InputName]


class Header(NamedTuple):
    """A block's header."""

    timestamp_ns: int
    frames: int
    flags: int


type Asked = Request | ListRequest
type Answer = Opened | Failed | Listing
