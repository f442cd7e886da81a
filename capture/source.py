"""The contract of all sources of pictures or sound. A source is opened once, read by one thread, and closed once.

Reading never blocks longer than it is told to. One attempt raises; the worker decides whether to try again.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.typing import NDArray

from devices.model.device import Device

if TYPE_CHECKING:
    from devices.model.mode_choice import ChosenMode

SAMPLE_RATE = 48_000
"""Sound is 48 kHz everywhere inside; a source of another rate resamples."""

SCREEN = "screen"
"""The word for a screen as a source; device ids of screens begin with `screen:`."""

type Size = tuple[int, int]
"""Width and height of a picture, in pixels."""

type Samples = NDArray[np.int16]
"""Interleaved PCM, shape (frames, channels), full scale +-32768."""


class Matrix(IntEnum):
    """Which matrix turned RGB into the samples (the numbers of ISO/IEC 23091-4, as FFmpeg has them)."""

    BT709 = 1
    BT601 = 5
    SMPTE170M = 6
    UNSPECIFIED = 2


class SourceEnded(Exception):
    """A source that has an end (a file) has reached it."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The decoded pictures of a source, limited-range yuv420p: size, nominal frames a second, matrix of the samples."""

    width: int
    height: int
    rate: Fraction
    matrix: Matrix


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture as it was captured, not decoded yet.

    `timestamp_ns` is the capture time on the session clock; only the source's own `decode` reads `payload`. Compressed
    payloads are `bytes` of this object, never memory of the driver; equal bytes mean an equal picture.
    """

    timestamp_ns: int
    payload: bytes | av.VideoFrame
    copies: "Sequence[CodedPicture]" = ()
    """Of a film that is decoded as it is read: what had to be decoded for this picture since the one before."""


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """A picture as a film holds it; `shown_ns` is its time on the session clock."""

    data: bytes
    shown_ns: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Samples from `timestamp_ns` on; some were `lost` before. One that `jumps` follows a file's gap, however small."""

    timestamp_ns: int
    samples: Samples
    lost: bool = False
    jumps: bool = False


@dataclass(frozen=True, slots=True)
class Coded:
    """In which form a source's payloads can be stored as they are: FFmpeg's name of the codec, and the size."""

    codec: str
    width: int
    height: int


class Source[Item, Opened: VideoFormat | None](ABC):
    """A source of pictures or sound; `name` is for people. A source without a device keeps the defaults."""

    name: str

    @abstractmethod
    def open(self) -> Opened:
        """Acquire the device or file and start it; raises a DeviceError or MediaError."""

    @abstractmethod
    def read(self, timeout_s: float) -> Item | None:
        """Return the next item, None if none came in time; raises a DeviceError, or SourceEnded at a file's end."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; idempotent, and safe whatever state the device is in."""

    def relocate(self, device: Device) -> None:  # noqa: B027 - a source without a device has nothing to note
        """Open `device` the next time: the same one, perhaps in another port or with another node."""

    @abstractmethod
    def facts(self, opened: Opened) -> dict[str, Any]:
        """Return the facts of an opening for the health log."""

    @property
    def abandoned(self) -> int:
        """How many closings of its device have not come to an end yet."""
        return 0


class VideoSource(Source[Frame, VideoFormat]):
    """A source of pictures.

    `coded` is the form of its pictures since it was opened, None for uncompressed ones; `mode` is the one asked of its
    driver; `damaged` counts the frames that its driver gave up on.
    """

    coded: Coded | None = None
    mode: "ChosenMode | None" = None
    damaged: int = 0

    @abstractmethod
    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Turn a frame of this source into a yuv420p limited-range picture of the opened size.

        Where `within` is enough (an inset), it is the largest even size of its shape that fits; that may change from
        call to call. One thread calls, in the order of reading. The picture stays unchanged until the next call but
        one; it may be the decoder's own, and is not to be written to. Raises MediaError on a damaged picture.
        """

    def signal_problem(self) -> str | None:
        """Return the driver's complaint about the signal; None if it has none, or cannot tell."""
        return None

    def facts(self, opened: VideoFormat) -> dict[str, Any]:
        """Return the driver's mode, and the process that reads it."""
        mode = self.mode.mode if self.mode else None
        return {
            "format": mode.format if mode else None,
            "width": mode.width if mode else opened.width,
            "height": mode.height if mode else opened.height,
            "fps": round(float(opened.rate), 3),
            "pid": os.getpid(),
        }


class AudioSource(Source[AudioBlock, None]):
    """A source of sound, at SAMPLE_RATE; `channels` is what is wanted, and after `open` what there is."""

    channels: int

    def facts(self, _opened: None) -> dict[str, Any]:
        """Return the hardware's rate and channels, and the process that reads it."""
        return {"rate": SAMPLE_RATE, "channels": self.channels, "pid": os.getpid()}
