"""`python -m tests.support.fake_hardware WAY [PICTURE]`: x264 as an encoder in hardware that goes wrong in one way."""

import os
import signal
import sys
import time
from collections.abc import Sequence

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
        way = WELL if self._number < self._at else self._way
        match way:
            case "raise":
                raise ExternalError(1, "the GPU has fallen off the bus")
            case "hang":
                time.sleep(600)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
        if picture is not None:
            spoil_picture(way, picture)
        return spoiled(way, self._codec.encode(picture))


def spoil_picture(way: str, picture: av.VideoFrame) -> None:
    match way:
        case "green":  # it shows what an empty surface holds
            for plane in picture.planes:
                plane.update(bytes(plane.buffer_size))
        case "deaf":  # it makes no keyframe where one is asked for
            picture.pict_type = 0


def spoiled(way: str, coded: Sequence[HardwarePacket]) -> Sequence[HardwarePacket]:
    match way:
        case "swallow":
            return []
        case "lose":  # every second picture
            return [one for one in coded if one.pts // 3000 % 2 == 0]
        case "backwards":
            return [msgspec.structs.replace(one, dts=-one.dts) for one in coded]
    return [msgspec.structs.replace(one, data=spoiled_bytes(way, one.data)) for one in coded]


def spoiled_bytes(way: str, data: bytes) -> bytes:
    match way:
        case "noise":  # no pictures at all
            return os.urandom(len(data))
        case "damage":  # pictures that look like some, with other bytes in their middle
            kept = len(data) * 2 // 3
            return data[:kept] + bytes(byte ^ 0x55 for byte in data[kept:])
        case "empty":
            return b""
        case "huge":  # twenty times as many bits as were asked for; a decoder passes over them
            return data + b"\x00\x00\x00\x01\x0c" + b"\xff" * 25_000 + b"\x80"
        case "other":  # other parameter sets than at first
            return b"\x00\x00\x00\x01\x68\xee\x3c\x80" + data
    return data


def open_(_kind: EncoderKind, settings: VideoSettings) -> LibavCodec:
    """Open it, unless it goes wrong while it is opened."""
    way, at = sys.argv[1], int(sys.argv[2])
    match way:
        case "refuse":
            raise HardwareFailed(EncoderFailure.CANNOT_OPEN, "OpenEncodeSessionEx failed: out of memory (10)")
        case "hang-open":
            time.sleep(600)
    return Spoilt(settings, way, at)


if __name__ == "__main__":
    run(open_)
