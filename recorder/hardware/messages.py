"""What a session and the process that encodes for it say to each other, over pipes; pictures are in shared memory.

Each message is its length, four bytes with the least first, and MessagePack.
"""

import struct
from collections.abc import Callable, Iterator

import msgspec

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
