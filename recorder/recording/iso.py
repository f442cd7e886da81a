"""Iso recordings: the frames of a source as the camera sends them, in a Matroska file beside the program.

One file for each source, `data/media/NAME.mkv`, on the program's timeline, from the first decodable frame on. The files
move to another disk with the program. Their faults do not touch the program.
"""

import io
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream

from capture.media.h264 import has_keyframe
from capture.source import CodedFormat, Frame
from config.errors import LiputError, MediaError, as_liput_error
from config.events import Emit
from devices.host import threads
from devices.host.clock import NANOSECONDS
from recorder.disk.durable import DurableFiles
from recorder.disk.errors import storage_error
from recorder.model.names import slug
from recorder.recording.replica import PartDirectory

MOST_WAITING_BYTES = 64_000_000  # the largest backlog of a source; above it the oldest frames are dropped and counted
MOST_EARLY_FRAMES = 32  # frames kept until media time 0 is known: as many as are read before a session begins
WRITE_INTERVAL_S = 0.25
"""The interval of writing: waking the writer for each frame would cost twice the time of writing."""
MOST_DAMAGED = 100  # the most undecodable frames before the first one that begins a file
CLOSE_S = 10.0
_TIME_BASE = Fraction(1, 1_000_000)
_TICK_NS = NANOSECONDS // 1_000_000
_OPTIONS = {"flush_packets": "1", "cluster_time_limit": "1000"}


type PartDirectoryLookup = Callable[[], PartDirectory | None]
"""Returns the program's present directory, None while it is not written."""


def unique_file_names(names: Iterable[str]) -> Mapping[str, str]:
    """Return a unique file name for each source, without a suffix."""
    found: dict[str, str] = {}
    for name in names:
        stem, number = slug(name, "source"), 1
        while (taken := stem if number == 1 else f"{stem}-{number}") in found.values():
            number += 1
        found[name] = taken
    return found


@dataclass(frozen=True, slots=True)
class _Picture:
    data: bytes
    at_ns: int  # session clock
    decoded_ns: int
    coded: CodedFormat
    file: str
    is_keyframe: bool | None = None  # told by a film; None for a camera, whose frames are parsed

    @property
    def begins(self) -> bool:
        """Whether a file can begin with it."""
        if self.is_keyframe is None:
            return self.coded.codec != "h264" or has_keyframe(self.data)
        return self.is_keyframe


class IsoRecording:
    """The iso files of one source: a device that returns with another format begins another file."""

    def __init__(self, name: str, emit: Emit) -> None:
        """Keep the frames of `put` until `begin`."""
        self.name = name
        self._emit = emit
        self._one = threading.Lock()
        self._before: deque[tuple[Frame, CodedFormat]] = deque(maxlen=MOST_EARLY_FRAMES)
        self._where: PartDirectoryLookup | None = None
        self._zero_ns = 0
        self._file = ""
        self._sync_s = 0.0
        self._coded: CodedFormat | None = None
        self._files = 0
        self._is_over = False
        self._writers: list[_Writer] = []

    def begin(self, where: PartDirectoryLookup, zero_ns: int, file: str, sync_s: float = 0.5) -> None:
        """Write all frames from now on, and kept ones since media time 0, such as a film's only keyframe.

        `zero_ns` is media time 0 on the session clock. The file is synced every `sync_s` seconds of frames.
        """
        with self._one:
            self._where, self._zero_ns, self._file, self._sync_s = where, zero_ns, file, sync_s
            for frame, coded in self._before:
                self._take(frame, coded)
            self._before.clear()

    @property
    def frames(self) -> int:
        return sum(writer.frames for writer in self._writers)

    @property
    def dropped(self) -> int:
        """The number of frames dropped by a slow disk."""
        return sum(writer.dropped for writer in self._writers)

    def put(self, frame: Frame, coded: CodedFormat | None) -> None:
        """Queue a frame. Never blocks, never raises. One thread calls it."""
        with self._one:
            if self._where is not None:
                self._take(frame, coded)
            elif coded is not None:
                # A film's decoded picture is not kept.
                self._before.append((replace(frame, payload=b"") if frame.copies else frame, coded))

    def _take(self, frame: Frame, coded: CodedFormat | None) -> None:
        if self._is_over or frame.timestamp_ns < self._zero_ns:
            return
        try:
            self._write(frame, coded)
        except Exception as error:  # the source's worker must go on
            self._is_over = True
            self._failed(as_liput_error(error))

    def _write(self, frame: Frame, coded: CodedFormat | None) -> None:
        is_film = not isinstance(frame.payload, bytes)
        if coded is None:
            self._is_over = True
            what = "its frames are neither MJPEG, H.264 nor H.265" if is_film else "it sends uncompressed frames"
            self._fail(f"{self.name} gets no iso recording: {what}, which cannot be copied")
            return
        if coded != self._coded:
            self._coded = coded
            self._files += 1
        name = self._file if self._files == 1 else f"{self._file}.{self._files}"
        beside = self._where() if self._where else None
        if beside is not None:
            at_ns, file = frame.timestamp_ns, f"{name}.mkv"
            pictures = [_Picture(c.data, c.shown_ns, at_ns, coded, file, c.is_keyframe) for c in frame.copies]
            if not pictures and isinstance(frame.payload, bytes):
                pictures = [_Picture(frame.payload, at_ns, at_ns, coded, file)]
            for picture in pictures:
                self._writer(beside, picture).put(picture)

    def _writer(self, beside: PartDirectory, picture: _Picture) -> "_Writer":
        """Return the frame's writer; after the program moved, a new one from a keyframe on."""
        if not self._writers or (self._writers[-1].beside is not beside and picture.begins):
            waiting = self._writers[-1].leave() if self._writers else []
            zero_ns = self._zero_ns + round(beside.start_s * NANOSECONDS)
            self._writers.append(_Writer(beside, self.name, zero_ns, self._sync_s, self._failed))
            for picture in waiting:
                self._writers[-1].put(picture)
        return self._writers[-1]

    def close(self) -> None:
        """Write the backlog and close the files; a disk that accepts nothing for CLOSE_S is abandoned. Blocks."""
        self._is_over = True
        for writer in self._writers:
            writer.end()
        for writer in self._writers:
            writer.wait()
        if dropped := sum(writer.dropped for writer in self._writers if not writer.has_failed):
            self._emit(
                "isolated-dropped",
                self.name,
                f"{dropped} frames of {self.name} were dropped from its iso recording: the disk was too slow",
                count=dropped,
            )

    def _failed(self, error: LiputError) -> None:
        self._fail(f"{self.name} is not recorded apart any more: {error.message}")

    def _fail(self, sentence: str) -> None:
        self._emit("isolated-failed", self.name, sentence)


class _Writer:
    def __init__(
        self, beside: PartDirectory, name: str, zero_ns: int, sync_s: float, on_failure: Callable[[LiputError], None]
    ) -> None:
        self.beside = beside
        self.dropped = 0
        self.frames = 0
        self.has_failed = False
        self._zero_ns = zero_ns
        self._sync_ns = round(sync_s * NANOSECONDS)
        self._on_failure = on_failure
        self._waiting: deque[_Picture] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_over = False
        self._damaged = 0
        self._file = ""  # the file being written
        self._stream: Stream | None = None  # its only stream
        self._container: OutputContainer
        self._descriptor = self._last = -1
        self._synced_ns = 0
        self._thread = threads.start_thread(self._run, name=f"isolate-{name}")
        beside.threads.append(self._thread)

    def put(self, picture: _Picture) -> None:
        """Queue a frame; never blocks. After a failure they wait too, for a move to another disk."""
        with self._changed:
            self._waiting.append(picture)
            self._bytes += len(picture.data)
            while self._bytes > MOST_WAITING_BYTES:
                self._bytes -= len(self._waiting.popleft().data)
                self.dropped += 1

    def leave(self) -> list[_Picture]:
        """End the thread, and return the unwritten frames."""
        with self._changed:
            waiting, self._bytes = list(self._waiting), 0
            self._waiting.clear()
        self.end()
        return waiting

    def end(self) -> None:
        """End the thread once the queue is empty."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def wait(self) -> None:
        """Wait for the thread, while the disk accepts a frame every CLOSE_S."""
        written = -1
        while self._thread.is_alive() and self.frames != written:
            written = self.frames
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            while (picture := self._next()) is not None:
                self._write(picture)
            self._end_file()
        except Exception as error:  # the program must go on
            self.has_failed = True
            self._on_failure(error if isinstance(error, LiputError) else storage_error(error, self.beside.folder))
            with suppress(Exception):  # the first error is reported
                self._end_file()

    def _next(self) -> _Picture | None:
        with self._changed:
            while not self._waiting and not self._is_over:
                self._changed.wait(WRITE_INTERVAL_S)
            if not self._waiting:
                return None
            picture = self._waiting.popleft()
            self._bytes -= len(picture.data)
            return picture

    def _write(self, picture: _Picture) -> None:
        if picture.at_ns < self._zero_ns:  # older than the part: it came too late for the former one
            self.dropped += 1
            return
        if self._stream is not None and self._file != picture.file:
            self._end_file()
        if self._stream is None and picture.begins:
            self._begin_file(picture)
        if self._stream is not None:
            self._mux(picture, self._stream)
            self.frames += 1

    def _begin_file(self, picture: _Picture) -> None:
        try:
            sample = av.open(io.BytesIO(picture.data), format=picture.coded.codec)
        except FFmpegError:
            sample = None
        if sample is None or not sample.streams.video or not sample.streams.video[0].width:
            self._damaged += 1
            if self._damaged > MOST_DAMAGED:
                raise MediaError(f"nothing can be read from its first {self._damaged} frames")
            return
        path = self.beside.folder / picture.file
        container = av.open(str(path), "w", format="matroska", options=_OPTIONS)
        try:
            with sample:  # gives size and parameter sets
                stream = container.add_stream_from_template(sample.streams.video[0], opaque=True)
            container.start_encoding()
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except (FFmpegError, OSError):
            container.close()
            raise
        self._file, self._container, self._stream = picture.file, container, stream
        self._synced_ns, self._last = 0, -1
        DurableFiles().sync(path.parent)

    def _mux(self, picture: _Picture, stream: Stream) -> None:
        """Mux a frame; times count from the start of the program's part."""
        at_ns = picture.at_ns - self._zero_ns
        shown = at_ns // _TICK_NS
        packet: av.Packet[Stream] = av.Packet(picture.data)
        packet.stream = stream
        packet.time_base = _TIME_BASE
        if picture.is_keyframe is None:
            packet.pts = packet.dts = self._last = max(self._last + 1000, shown)
        else:  # a film may have B-frames
            packet.pts = shown
            packet.dts = self._last = min(shown, max(self._last, (picture.decoded_ns - self._zero_ns) // _TICK_NS))
        packet.is_keyframe = picture.begins
        self._container.mux(packet)
        if at_ns >= self._synced_ns + self._sync_ns:
            self._synced_ns = at_ns
            os.fdatasync(self._descriptor)

    def _end_file(self) -> None:
        if self._stream is None:
            return
        self._stream = None
        try:
            self._container.close()
            os.fdatasync(self._descriptor)
        finally:
            os.close(self._descriptor)
