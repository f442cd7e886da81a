"""What a session and its encoder's process share: messages over pipes, and pictures in memory.

Each message is its length, four bytes with the least first, and MessagePack.
"""

import mmap
import struct
from collections.abc import Callable, Iterator

import av
import msgspec
import numpy as np

from capture.pictures import Plane, copy_planes, plane_views, tagged
from capture.source import Matrix
from devices.host.framing import ReceiveBuffer, block
from recorder.hardware.failure import Reason
from recorder.hardware.kinds import Wanted

_LENGTH = struct.Struct("<I")
READ_BYTES = 65_536
LONGEST = 64 << 20
"""More than any encoded picture has."""


class Open(msgspec.Struct, frozen=True, tag="open"):
    """The first message: what is wanted; the file that holds the pictures, each as yuv420p without padding."""

    wanted: Wanted
    descriptor: int


class Give(msgspec.Struct, frozen=True, tag="give"):
    """Encode what is in place `slot`, shown from `pts` (90,000 a second) on."""

    slot: int
    pts: int
    is_key: bool


class Finish(msgspec.Struct, frozen=True, tag="finish"):
    """Encode what is held back; nothing more comes."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """It is open; `header` are the stream's parameter sets."""

    header: bytes


class Coded(msgspec.Struct, frozen=True, tag="coded"):
    """An encoded picture."""

    pts: int
    dts: int
    data: bytes


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """All that was given has been encoded."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It could not be opened, or failed on a picture; nothing more comes."""

    reason: Reason
    detail: str = ""


type Asked = Open | Give | Finish
type Told = Ready | Coded | Finished | Failed

ASKED = msgspec.msgpack.Decoder[Asked](Asked.__value__)
TOLD = msgspec.msgpack.Decoder[Told](Told.__value__)
_ENCODER = msgspec.msgpack.Encoder()


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

    def __init__(self, memory: mmap.mmap, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._bytes = width * height * 3 // 2
        self._memory = memory
        self.count = len(memory) // self._bytes

    def fill(self, slot: int, picture: av.VideoFrame) -> None:
        """Copy a yuv420p picture into a place."""
        copy_planes(plane_views(picture), self._planes(slot))

    def frame(self, slot: int, matrix: Matrix) -> av.VideoFrame:
        """Return a copy of the picture in a place."""
        picture = av.VideoFrame(self._width, self._height, "yuv420p")
        copy_planes(self._planes(slot), plane_views(picture))
        return tagged(picture, matrix)

    def _planes(self, slot: int) -> tuple[Plane, ...]:
        samples = np.frombuffer(self._memory, np.uint8, self._bytes, slot * self._bytes)
        luma = self._width * self._height
        y, u, v = np.split(samples, [luma, luma + luma // 4])
        chroma = self._height // 2, self._width // 2
        return y.reshape(self._height, self._width), u.reshape(chroma), v.reshape(chroma)
