"""Messages (four bytes of length, MessagePack) and pictures that a session and its encoder's process share."""

import mmap
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import msgspec
import numpy as np

from capture.media.pictures import Plane, copy_planes, plane_views, tagged
from devices.host.framing import ReceiveBuffer, block
from recorder.encode.hardware_kinds import Kind, Reason
from recorder.encode.x264 import VideoSettings

_LENGTH = struct.Struct("<I")
READ_BYTES = 65_536
LONGEST = 64 << 20
"""More than any encoded picture has."""


class Open(msgspec.Struct, frozen=True, tag="open"):
    """The first message. `descriptor` is the file that holds the pictures, each as yuv420p without padding."""

    kind: Kind
    settings: VideoSettings
    descriptor: int


class Give(msgspec.Struct, frozen=True, tag="give"):
    """Encode what is in place `slot`, shown from `pts` (90,000 a second) on."""

    slot: int
    pts: int
    is_key: bool


class Coded(msgspec.Struct, frozen=True):
    """An encoded picture."""

    pts: int
    dts: int
    data: bytes


type Asked = Open | Give | None
"""None: encode what is held back; nothing more comes."""
type Told = bytes | Coded | tuple[Reason, str]
"""The stream's parameter sets, once it is open; pictures; why it failed, after which nothing more comes."""

ASKED = msgspec.msgpack.Decoder[Asked](Asked.__value__, dec_hook=lambda _kind, rate: Fraction(rate))
TOLD = msgspec.msgpack.Decoder[Told](Told.__value__)
_ENCODER = msgspec.msgpack.Encoder(enc_hook=str)  # of the rate, a fraction


def encoded(message: Asked | Told) -> bytes:
    """Return a message as it goes through a pipe."""
    return block(_ENCODER.encode(message), _LENGTH)


def received[T](read: Callable[[], bytes | None], decoder: msgspec.msgpack.Decoder[T]) -> Iterator[T]:
    """Give the messages that `read` waits for, until the other end has gone. Raises ValueError for what is none."""
    buffer = ReceiveBuffer(LONGEST)
    while data := read():
        buffer.add(data)
        while (body := buffer.block(_LENGTH)) is not None:
            yield decoder.decode(body)


class Pictures:
    """The places, numbered from 0; pictures are copied in and out."""

    def __init__(self, memory: mmap.mmap, settings: VideoSettings) -> None:
        self._width, self._height, self._matrix = settings.width, settings.height, settings.matrix
        self._bytes = settings.picture_bytes
        self._memory = memory

    def fill(self, slot: int, picture: av.VideoFrame) -> None:
        """Copy a yuv420p picture into a place."""
        copy_planes(plane_views(picture), self._planes(slot))

    def frame(self, slot: int) -> av.VideoFrame:
        """Return a copy of the picture in a place."""
        picture = av.VideoFrame(self._width, self._height, "yuv420p")
        copy_planes(self._planes(slot), plane_views(picture))
        return tagged(picture, self._matrix)

    def _planes(self, slot: int) -> tuple[Plane, ...]:
        samples = np.frombuffer(self._memory, np.uint8, self._bytes, slot * self._bytes)
        luma = self._width * self._height
        y, u, v = np.split(samples, [luma, luma + luma // 4])
        chroma = self._height // 2, self._width // 2
        return y.reshape(self._height, self._width), u.reshape(chroma), v.reshape(chroma)
