"""The contract of all video and audio sources: opened once, read by one thread, closed once.

`read` never blocks longer than its timeout. An attempt raises; the worker decides on a retry.
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

SAMPLE_RATE = 48_000  # audio is 48 kHz everywhere inside; a source of another rate resamples

SCREEN = "screen"  # names a screen as a source, and begins the ids of screens

type Size = tuple[int, int]  # width and height, in pixels

type Samples = NDArray[np.int16]  # interleaved PCM, shape (samples, channels), full scale +-32768


class ColorMatrix(IntEnum):
    """The matrix from RGB to YUV, by its number in ISO/IEC 23091-4 and FFmpeg."""

    BT709 = 1
    BT601 = 5
    SMPTE170M = 6
    UNSPECIFIED = 2


class SourceEnded(Exception):
    """A file has reached its end."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The decoded frames of a source: limited-range yuv420p of this size, nominal frames a second and matrix."""

    width: int
    height: int
    rate: Fraction
    matrix: ColorMatrix


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame, not decoded yet.

    `timestamp_ns` is the capture time on the session clock. Only the source's own `decode` reads `payload`. A
    compressed payload is a `bytes` copy, never memory of the driver. Equal bytes mean an equal picture.
    """

    timestamp_ns: int
    payload: bytes | av.VideoFrame
    copies: "Sequence[CodedFrame]" = ()
    """From a film that is decoded while it is read: the coded frames read since the previous `Frame`."""


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A compressed frame as a film holds it; `shown_ns` is its time on the session clock."""

    data: bytes
    shown_ns: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """Samples from `timestamp_ns` on, after `lost` samples, or after a gap in a file (`jumps`)."""

    timestamp_ns: int
    samples: Samples
    lost: bool = False
    jumps: bool = False


@dataclass(frozen=True, slots=True)
class CodedFormat:
    """The codec (FFmpeg's name) and size of payloads that can be stored unchanged."""

    codec: str
    width: int
    height: int


class Source[Item, Opened: VideoFormat | None](ABC):
    """A source of frames or audio; `name` is for people. A source without a device keeps the defaults."""

    name: str

    @abstractmethod
    def open(self) -> Opened:
        """Open and start the device or file; raises a DeviceError or MediaError."""

    @abstractmethod
    def read(self, timeout_s: float) -> Item | None:
        """Return the next item, None after `timeout_s`; raises a DeviceError, or SourceEnded at a file's end."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; idempotent, works in any state of the device."""

    def relocate(self, device: Device) -> None:  # noqa: B027 - a source without a device has nothing to note
        """Use `device` at the next opening: the same device, perhaps at another port or node."""

    @abstractmethod
    def facts(self, opened: Opened) -> dict[str, Any]:
        """Return facts of the opening for the health log."""

    @property
    def abandoned(self) -> int:
        """The number of closings of its device that still hang."""
        return 0


class VideoSource(Source[Frame, VideoFormat]):
    """A source of frames.

    `coded` is the format of its payloads since it was opened, None for uncompressed ones. `mode` is the mode requested
    of the driver. `damaged` counts the frames that the driver gave up.
    """

    coded: CodedFormat | None = None
    mode: "ChosenMode | None" = None
    damaged: int = 0

    @abstractmethod
    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Decode a frame of this source into limited-range yuv420p of the opened size.

        With `within`, the largest even size of the same shape that fits; it may change from call to call. One thread
        calls, in the order of reading. The result may be the decoder's own memory: read-only, unchanged until the next
        call but one. Raises MediaError on a damaged frame.
        """

    def signal_problem(self) -> str | None:
        """Return the driver's complaint about the signal, None without one."""
        return None

    def facts(self, opened: VideoFormat) -> dict[str, Any]:
        """Return the driver's mode and the id of the process that reads."""
        mode = self.mode.mode if self.mode else None
        return {
            "format": mode.format if mode else None,
            "width": mode.width if mode else opened.width,
            "height": mode.height if mode else opened.height,
            "fps": round(float(opened.rate), 3),
            "pid": os.getpid(),
        }


class AudioSource(Source[AudioBlock, None]):
    """A source of audio at SAMPLE_RATE; `channels` is the wish before `open`, and the true count after it."""

    channels: int

    def facts(self, _opened: None) -> dict[str, Any]:
        """Return rate and channels, and the id of the process that reads."""
        return {"rate": SAMPLE_RATE, "channels": self.channels, "pid": os.getpid()}
