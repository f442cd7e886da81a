"""Sinks for the job of the benchmark: files as the ffmpeg command muxes them, and the delay of each picture."""

import json
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from capture.source import Frame
from devices.host.clock import NANOSECONDS
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track
from recorder.recording.replica_opener import Templates


class MuxedFile:
    """Packets in a file, muxed as they come: as FLV what a live server gets."""

    def __init__(self, path: Path, container: str, templates: Templates) -> None:
        self._lock = threading.Lock()  # each track may come from a thread of its own
        self._container: OutputContainer = av.open(str(path), "w", format=container)
        self._streams = {
            track: self._container.add_stream_from_template(template, opaque=True)
            for track, template in templates.items()
        }

    def put(self, packet: EncodedPacket) -> None:
        """Mux a packet here and now, as the ffmpeg command does."""
        copy: av.Packet[av.stream.Stream] = av.Packet(packet.data)
        copy.stream = self._streams[packet.track]
        copy.time_base = packet.time_base
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        copy.is_keyframe = packet.is_keyframe
        with self._lock:
            self._container.mux(copy)

    def close(self) -> None:
        """Finish the file."""
        self._container.close()


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
