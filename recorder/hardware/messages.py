"""What a session and the process that encodes for it say to each other, over pipes; pictures are in shared memory.

Each message is its length, four bytes with the least first, and MessagePack.
"""

import os
import struct
from collections.abc import Callable

import msgspec

from recorder.hardware.failure import Reason
from recorder.hardware.kinds import Wanted

_LENGTH = struct.Struct("<I")
_READ_BYTES = 65_536


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

_ENCODER = msgspec.msgpack.Encoder()


def send(descriptor: int, message: Asked | Told) -> None:
    """Write a message; raises OSError."""
    data = _ENCODER.encode(message)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(descriptor, left) :]


class Inbox[T]:
    """The messages that come through a pipe, decoded by `decode`."""

    def __init__(self, descriptor: int, decode: Callable[[bytes], T]) -> None:
        self._descriptor = descriptor
        self._decode = decode
        self._data = bytearray()

    def next(self) -> T | None:
        """Wait for the next message; None where the other end has gone. Raises ValueError for what is none."""
        head = self._take(_LENGTH.size)
        body = None if head is None else self._take(_LENGTH.unpack(head)[0])
        return None if body is None else self._decode(body)

    def _take(self, count: int) -> bytes | None:
        while len(self._data) < count:
            read = os.read(self._descriptor, _READ_BYTES)
            if not read:
                return None
            self._data += read
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken


def asked(descriptor: int) -> Inbox[Asked]:
    """Return what a process that encodes is asked."""
    return Inbox(descriptor, msgspec.msgpack.Decoder(Asked.__value__).decode)


def told(descriptor: int) -> Inbox[Told]:
    """Return what it answers."""
    return Inbox(descriptor, msgspec.msgpack.Decoder(Told.__value__).decode)
