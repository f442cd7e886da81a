"""Sources recorded apart, beside the program: what a camera sends is copied into a Matroska file, not encoded again.

One file for each source, `data/media/NAME.mkv`, on the program's timeline: media time 0 is where the program's is.
A file begins with the first picture that can be decoded, has no pictures where its source gave none, and is playable
up to its last second whatever happens. Whatever goes wrong with it costs the program nothing.
"""

import io
import threading
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.stream import Stream

from capture.camera_pictures import has_keyframe
from capture.source import Coded, Frame, VideoSource, coded_form
from config.events import Emit
from devices.clock import NANOSECONDS
from recorder.archive.names import slug
from recorder.storage import storage_error

MOST_WAITING_BYTES = 64_000_000
"""What a slow disk has not taken yet, for each source; past it the oldest pictures are dropped and counted."""
CLOSE_S = 10.0
_TIME_BASE = Fraction(1, 1_000_000)
_OPTIONS = {"flush_packets": "1", "cluster_time_limit": "1000"}


class Tap:
    """The reading side of a VideoSource (capture/source.py), of which an Isolated gets a copy of what is read."""

    def __init__(self, source: VideoSource) -> None:
        self.name = source.name
        self.isolated: Isolated | None = None
        self._source = source

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None; raises what the source raises."""
        frame = self._source.read(timeout_s)
        isolated = self.isolated
        if frame is not None and isolated is not None:
            isolated.put(frame, coded_form(self._source))
        return frame


class Isolated:
    """One source's own file, or files: another begins where a device that came back sends something else."""

    def __init__(self, folder: Path, name: str, zero_ns: int, emit: Emit) -> None:
        """Begin at once; `zero_ns` is the session-clock time that is media time 0."""
        self.name = name
        self.dropped = 0
        self.frames = 0
        self._folder = folder
        self._zero_ns = zero_ns
        self._emit = emit
        self._waiting: deque[tuple[Frame, Coded]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_over = False
        self._is_broken = False
        self._files = 0
        self._writer: _File | None = None
        self._thread = threading.Thread(target=self._run, name=f"isolate-{name}", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, coded: Coded | None) -> None:
        """Take a frame as it was read; returns at once."""
        if self._is_broken or frame.timestamp_ns < self._zero_ns:
            return
        if coded is None or not isinstance(frame.payload, bytes):
            self._fail(f"{self.name} is not recorded apart: it sends uncompressed pictures, which are too many to copy")
            return
        with self._changed:
            self._waiting.append((frame, coded))
            self._bytes += len(frame.payload)
            while self._bytes > MOST_WAITING_BYTES:
                oldest, _ = self._waiting.popleft()
                self._bytes -= len(oldest.payload) if isinstance(oldest.payload, bytes) else 0
                self.dropped += 1
            self._changed.notify()

    def close(self) -> None:
        """Write what waits and close the file; a disk that does not answer is left to itself after CLOSE_S."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        self._thread.join(CLOSE_S)
        if self.dropped:
            self._emit(
                "isolated-dropped",
                self.name,
                f"{self.dropped} pictures of {self.name} are missing in its own file: the disk was too slow",
                count=self.dropped,
            )

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._write(*taken)
        except Exception as error:  # of whatever kind: the program must go on
            told = storage_error(error, self._folder)
            self._fail(f"{self.name} is not recorded apart any more: {told.message}")
        finally:
            self._end_file()

    def _next(self) -> tuple[Frame, Coded] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over or self._is_broken)
            if self._is_broken or not self._waiting:
                return None
            frame, coded = self._waiting.popleft()
            self._bytes -= len(frame.payload) if isinstance(frame.payload, bytes) else 0
            return frame, coded

    def _write(self, frame: Frame, coded: Coded) -> None:
        payload = frame.payload
        if not isinstance(payload, bytes):
            return
        if self._writer is not None and self._writer.coded != coded:
            self._end_file()
        if self._writer is None:
            if coded.codec == "h264" and not has_keyframe(payload):
                return
            self._files += 1
            suffix = "" if self._files == 1 else f"-{self._files}"
            self._writer = _File(self._folder / f"{slug(self.name, 'source')}{suffix}.mkv", coded, payload)
        self._writer.write(payload, frame.timestamp_ns - self._zero_ns)
        self.frames += 1

    def _end_file(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except Exception as error:
                self._fail(f"the file of {self.name} could not be closed: {storage_error(error, writer.path).message}")

    def _fail(self, sentence: str) -> None:
        if not self._is_broken:
            self._is_broken = True
            self._emit("isolated-failed", self.name, sentence)
            with self._changed:
                self._changed.notify()


class _File:
    """One Matroska file into which packets are copied."""

    def __init__(self, path: Path, coded: Coded, first: bytes) -> None:
        self.path = path
        self.coded = coded
        self._last = -1
        self._container: OutputContainer = av.open(str(path), "w", format="matroska", options=_OPTIONS)
        # What the stream is, size and parameter sets included, is read from its first picture.
        with av.open(io.BytesIO(first), format=coded.codec) as sample:
            self._stream = self._container.add_stream_from_template(sample.streams.video[0], opaque=True)
        self._container.start_encoding()

    def write(self, payload: bytes, at_ns: int) -> None:
        """Copy a picture that is shown from `at_ns` of media time on."""
        packet: av.Packet[Stream] = av.Packet(payload)
        packet.stream = self._stream
        packet.time_base = _TIME_BASE
        packet.pts = packet.dts = self._last = max(self._last + 1000, at_ns // (NANOSECONDS // 1_000_000))
        packet.is_keyframe = self.coded.codec != "h264" or has_keyframe(payload)
        self._container.mux(packet)

    def close(self) -> None:
        """Write the index."""
        self._container.close()
