"""An encoder in hardware that there is not: x264 in its place, which goes wrong in one way.

Started as `python -m tests.support.fake_hardware WAY [PICTURE]`: from the picture of that number on. It is the
session's own child process but for that; the ways are those in which drivers go wrong.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import av
import msgspec
from av.error import ExternalError

from recorder.encode.hardware_kinds import EncoderFailure, EncoderKind, HardwareFailed
from recorder.encode.hardware_worker import HardwarePacket, LibavCodec, run
from recorder.encode.x264 import VideoSettings

WELL = "well"


def command(way: str, at: int = 0) -> list[str]:
    """Return the command of an encoder that goes wrong in a `way` from picture `at` on."""
    return [sys.executable, "-m", "tests.support.fake_hardware", way, str(at)]


class Spoilt(LibavCodec):
    """Encodes well up to a picture, and then in its own way."""

    def __init__(self, settings: VideoSettings, way: str, at: int) -> None:
        self._codec = LibavCodec(EncoderKind.X264, settings)
        self.header = self._codec.header
        self._way, self._at, self._number = way, at, -1

    def encode(self, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
        self._number += picture is not None
        if self._way == WELL or self._number < self._at:
            return self._codec.encode(picture)
        return WAYS[self._way](self._codec, picture)


def _raise(_codec: LibavCodec, _picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    raise ExternalError(1, "the GPU has fallen off the bus")


def _hang(_codec: LibavCodec, _picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    time.sleep(600)
    return []


def _crash(_codec: LibavCodec, _picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return []


def _exit(_codec: LibavCodec, _picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    os._exit(3)


def _swallow(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    codec.encode(picture)
    return []


def _lose(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Lose every second picture."""
    coded = codec.encode(picture)
    return [one for one in coded if one.pts // 3000 % 2 == 0]


def _green(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Show what an empty surface holds."""
    if picture is not None:
        for plane in picture.planes:
            plane.update(bytes(plane.buffer_size))
    return codec.encode(picture)


def _swap(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Take one chroma plane for the other."""
    if picture is not None:
        u, v = bytes(picture.planes[1]), bytes(picture.planes[2])
        picture.planes[1].update(v)
        picture.planes[2].update(u)
    return codec.encode(picture)


def _noise(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Give bytes that are no pictures."""
    return [msgspec.structs.replace(one, data=os.urandom(len(one.data))) for one in codec.encode(picture)]


def _damage(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Give pictures that look like some, with other bytes in their middle."""

    def damaged(data: bytes) -> bytes:
        kept = len(data) * 2 // 3
        return data[:kept] + bytes(byte ^ 0x55 for byte in data[kept:])

    return [msgspec.structs.replace(one, data=damaged(one.data)) for one in codec.encode(picture)]


def _empty(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    return [msgspec.structs.replace(one, data=b"") for one in codec.encode(picture)]


def _huge(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Give twenty times as many bits as were asked for; a decoder passes over them."""
    filler = b"\x00\x00\x00\x01\x0c" + b"\xff" * 25_000 + b"\x80"
    return [msgspec.structs.replace(one, data=one.data + filler) for one in codec.encode(picture)]


def _backwards(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    return [msgspec.structs.replace(one, dts=-one.dts) for one in codec.encode(picture)]


def _deaf(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Make no keyframe where one is asked for."""
    if picture is not None:
        picture.pict_type = 0
    return codec.encode(picture)


def _other(codec: LibavCodec, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
    """Say other parameter sets than at first."""
    sets = b"\x00\x00\x00\x01\x68\xee\x3c\x80"
    return [msgspec.structs.replace(one, data=sets + one.data) for one in codec.encode(picture)]


WAYS: dict[str, Callable[[LibavCodec, av.VideoFrame | None], Sequence[HardwarePacket]]] = {
    "raise": _raise, "hang": _hang, "crash": _crash, "exit": _exit, "swallow": _swallow, "lose": _lose, "green": _green,
    "swap": _swap, "noise": _noise, "damage": _damage, "empty": _empty, "huge": _huge, "backwards": _backwards,
    "deaf": _deaf, "other": _other,
}  # fmt: skip


def open_(_kind: EncoderKind, settings: VideoSettings) -> LibavCodec:
    """Open it, unless it goes wrong while it is opened."""
    way, at = sys.argv[1], int(sys.argv[2])
    match way:
        case "refuse":
            raise HardwareFailed(EncoderFailure.CANNOT_OPEN, "OpenEncodeSessionEx failed: out of memory (10)")
        case "hang-open":
            time.sleep(600)
        case "crash-open":
            os.kill(os.getpid(), signal.SIGSEGV)
    return Spoilt(settings, way, at)


if __name__ == "__main__":
    run(open_)
