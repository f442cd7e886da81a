"""What a server got of a stream, and when: the numbers in the pictures tell what viewers saw and what they missed."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from tests.support import media
from tests.support.markers import frame_number

LOOKS_EVERY_S = 0.02
SIZE = 320, 180
"""At which numbers are read."""

_VIDEO_TAG, _AVC, _CODED = 9, 7, 1
_HEADER_BYTES, _TAG_BYTES, _SIZE_BYTES = 9, 11, 4
_PACKET_BYTES, _SYNC, _STARTS, _HAS_MORE = 188, 0x47, 0x40, 0x20
_VIDEO_STREAM = b"\0\0\1\xe0"


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that reached the server: its number, and when it did (time.monotonic)."""

    number: int
    at: float


@dataclass(slots=True)
class _File:
    """A file that grows: how far it was read, and when which picture (its time in milliseconds) came."""

    read: int = 0
    rest: bytes = b""
    came: dict[int, float] = field(default_factory=dict)

    def take(self, fresh: bytes, *, is_flv: bool) -> None:
        """Find the pictures in what is new."""
        if self.read == 0 and is_flv:
            fresh = fresh[_HEADER_BYTES + _SIZE_BYTES :]
            self.read = _HEADER_BYTES + _SIZE_BYTES
        self.read += len(fresh)
        self.rest = (self._flv if is_flv else self._ts)(self.rest + fresh, time.monotonic())

    def _flv(self, data: bytes, at: float) -> bytes:
        """Take whole tags off `data`, and return what is left."""
        while len(data) >= _TAG_BYTES:
            size = int.from_bytes(data[1:4])
            if len(data) < _TAG_BYTES + size + _SIZE_BYTES:
                break
            body = data[_TAG_BYTES : _TAG_BYTES + size]
            if data[0] == _VIDEO_TAG and body[0] & 15 == _AVC and body[1] == _CODED:
                decoded_ms = int.from_bytes(data[4:7]) | data[7] << 24
                self.came[decoded_ms + int.from_bytes(body[2:5], signed=True)] = at
            data = data[_TAG_BYTES + size + _SIZE_BYTES :]
        return data

    def _ts(self, data: bytes, at: float) -> bytes:
        """Take whole packets of a transport stream; a picture's first one has its time."""
        for place in range(0, len(data) - _PACKET_BYTES + 1, _PACKET_BYTES):
            packet = data[place : place + _PACKET_BYTES]
            assert packet[0] == _SYNC, "not a transport stream"
            if packet[1] & _STARTS:
                payload = packet[4 + (1 + packet[4] if packet[3] & _HAS_MORE else 0) :]
                if payload.startswith(_VIDEO_STREAM):
                    self.came[round(_timestamp(payload[9:14]) / 90)] = at
        return data[len(data) // _PACKET_BYTES * _PACKET_BYTES :]


def _timestamp(field: bytes) -> int:
    """Return a PES packet's time, which has 33 bits in five bytes."""
    high, middle, low = field[0] >> 1 & 7, int.from_bytes(field[1:3]) >> 1, int.from_bytes(field[3:5]) >> 1
    return high << 30 | middle << 15 | low


class Viewer:
    """Follows the recordings of a server (FLV or TS, written as they come) from the `with`'s beginning to its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="viewer")
        self.bytes_at: list[tuple[float, int]] = []
        """How many bytes of video had come in all, whenever some did."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def seen(self) -> list[Seen]:
        """Decode what came, after the `with`; in the order it was shown. What is not whole is not seen."""
        pictures: list[Seen] = []
        for path, file in sorted(self._files.items(), key=lambda each: min(each[1].came.values(), default=0.0)):
            if not file.came:
                continue
            for shown_s, number in zip(media.shown(path, "v"), numbers(path), strict=False):
                at = file.came.get(round(shown_s * 1000))
                if number is not None and at is not None:
                    pictures.append(Seen(number, at))
        return pictures

    def _follow(self) -> None:
        while not self._enough.wait(LOOKS_EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        for path in [*self._folder.glob("*.flv"), *self._folder.glob("*.ts")]:
            file = self._files.setdefault(path, _File())
            with path.open("rb") as stream:
                stream.seek(file.read)
                fresh = stream.read()
            if len(fresh) > _HEADER_BYTES + _SIZE_BYTES:
                file.take(fresh, is_flv=path.suffix == ".flv")
                self.bytes_at.append((time.monotonic(), sum(each.read for each in self._files.values())))


def numbers(path: Path) -> list[int | None]:
    """Return the number in each picture of a file, in the order they are shown; None where it cannot be read."""
    width, height = SIZE
    planes = media.lumas(path, width, height)
    return [frame_number(np.frombuffer(plane, np.uint8).reshape(height, width)) for plane in planes]


def missing(whole: Sequence[int | None], part: Sequence[Seen]) -> int:
    """Return how many pictures of `whole` are not among those that were seen."""
    seen = {picture.number for picture in part}
    return sum(number not in seen for number in whole)
