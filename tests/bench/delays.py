"""How long pictures are in the encode stage: from the decoded picture until its packet goes to the outputs."""

import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from capture.source import Frame
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track


class Delays:
    """A sink of a session that is also told of each picture that its source has decoded; two threads use it."""

    def __init__(self, path: Path, now_s: Callable[[], float] = time.monotonic) -> None:
        """`path` gets the seconds of each picture, in order, when it is closed."""
        self._path = path
        self._now_s = now_s
        self._decoded: dict[int, float] = {}
        self._first_ns: int | None = None
        self._came: dict[int, float] = {}

    def decoded(self, frame: Frame) -> None:
        """Take note that a picture has been decoded; the first one is media time 0."""
        if self._first_ns is None:
            self._first_ns = frame.timestamp_ns
        at_s = Fraction(frame.timestamp_ns - self._first_ns, NANOSECONDS)
        self._decoded[round(at_s / VIDEO_TIME_BASE)] = self._now_s()

    def put(self, packet: EncodedPacket) -> None:
        """Take note that a packet has come."""
        if packet.track == Track.VIDEO:
            self._came[packet.pts] = self._now_s()

    def close(self) -> None:
        """Write the delays of the pictures that came."""
        known = sorted(self._came.keys() & self._decoded.keys())
        self._path.write_text(json.dumps([self._came[pts] - self._decoded[pts] for pts in known]))
