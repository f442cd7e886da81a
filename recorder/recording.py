"""The recording: an MP4 in fragments that plays whatever moment everything is killed at, an ordinary one once closed.

Two threads, so that nothing else ever waits for the disk: the writer takes packets from a queue and muxes them,
the syncer looks at the file, makes what is in it safe against a power cut (fdatasync) and reports what it found. The
queue holds what a slow disk has not taken yet; when it falls a minute behind the recording fails, loudly, rather than
dropping anything: it takes nothing more, and what is queued is still written, unless another file has that. A disk
that never answers keeps both threads; `close` then leaves them to themselves.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError
from av.stream import Stream

from config.errors import LiputError, MediaError, StorageError
from devices.clock import NANOSECONDS, Clock
from recorder.archive.model import Mark
from recorder.fragments import FragmentReader
from recorder.mp4.finish import finish
from recorder.packet import EncodedPacket, TrackId
from recorder.storage_errors import storage_error
from recorder.storing.faults import became_read_only, stalled, told_apart, vanished
from recorder.storing.file import BUFFER_BYTES, RecordingFile
from recorder.storing.mounts import disk_of
from recorder.titles import copy_title, set_made

MOST_BEHIND_S = 60.0
"""How long a packet may wait for a slow disk, however many are handed over at once: a minute of 1080p30 is 35 MB."""

QUEUE_PACKETS = 6000
"""How many may wait for the disk of a session without a clock, before whoever makes them has to wait."""

WAIT_S = 0.1
"""How often whoever waits for its disk looks whether the recording has failed or ended meanwhile."""

GATHER_S = 0.04
"""For so long packets of a session without a clock gather: a writer woken for each takes turns with who encodes."""

FIRST_SYNC_S = 0.02
"""How often the file is looked at in its first second, and until its first fragment is there."""

CLOSE_S = 20.0
"""How long a disk may take nothing at all while the recording is closed, before it is left to itself."""

type OnFailure = Callable[[LiputError], None]


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What was found in the file after the last fdatasync: whole fragments in bytes, and up to where they play."""

    bytes: int = 0
    media_time_s: float = 0.0


def muxer_options(fragment_s: float, bit_rate: int = 0) -> dict[str, str]:
    """Return the options of FFmpeg's MP4 muxer with which a recording is written, in fragments of so many seconds.

    With a `bit_rate` (bit/s, 0: none), what is more than that gives in this time is written at once, too: a keyframe
    need not wait for the pictures after it.
    """
    options = {
        # delay_moov: the edit lists, which put the encoders' run-in before time 0, need a first fragment.
        # skip_trailer: no index of the fragments, which would grow in memory; recorder.mp4 makes one.
        "movflags": "delay_moov+skip_trailer",
        "frag_duration": str(round(fragment_s * 1_000_000)),
        # Every packet leaves the muxer's buffer at once, and a track that goes quiet cannot hold the other
        # back for long.
        "flush_packets": "1",
        "max_interleave_delta": "500000",
    }
    most_bytes = round(bit_rate / 8 * fragment_s)
    # min_frag_duration: not at a packet that is the first of its track in the fragment, whose time FFmpeg takes for
    # that of the one after it (FFmpeg 9.0).
    return options | {"frag_size": str(most_bytes), "min_frag_duration": "1"} if most_bytes else options


class Recording:
    """One media file being written. `take` from any thread; `close` once."""

    def __init__(
        self,
        path: Path,
        templates: Mapping[TrackId, Stream],
        *,
        clock: Clock,
        on_failure: OnFailure,
        fragment_s: float = 0.1,
        sync_s: float = 0.5,
        waits: bool = False,
    ) -> None:
        """Open the file; with `waits`, for sessions without a clock, a slow disk is waited for and is no failure."""
        self.path = path
        self._clock = clock
        self._on_failure = on_failure
        self._sync_s = sync_s
        self._waits = waits
        self._end_s = dict.fromkeys(templates, 0.0)  # of what was muxed, by track
        self._queue: queue.SimpleQueue[tuple[EncodedPacket, int] | None] = queue.SimpleQueue()
        self._writing_since_ns: int | None = None  # when the packet came that is written now
        self._is_too_slow = False
        self._failed = threading.Event()
        self._written = threading.Event()
        self._on_disk = OnDisk()
        self._marks: tuple[Sequence[Mark], str] = ((), "")
        self._scanned = 0  # up to where the file was read again when it was closed
        self.free_bytes: int | None = None
        """What its disk had free when the file was last looked at."""
        self.abandoned = False
        """Whether the disk did not answer when the file was to be closed; nothing may be asked of it any more."""
        try:
            self._file = RecordingFile(path)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            status = os.fstat(self._file.descriptor)
            self._identity, self._disk = (status.st_dev, status.st_ino), disk_of(status.st_dev)
            self._container = av.open(
                self._file,
                "w",
                format="mp4",
                buffer_size=BUFFER_BYTES,
                options=muxer_options(fragment_s, 0 if waits else _bit_rate(templates)),
            )
            self._streams = {
                track: self._container.add_stream_from_template(template, opaque=True)
                for track, template in templates.items()
            }
            for track, stream in self._streams.items():
                copy_title(templates[track], stream)
            set_made(self._container, clock.now())
            self._container.start_encoding()
            self._file.begin()
        except (FFmpegError, OSError) as error:
            self._file.close()
            raise storage_error(error, path) from error
        self._writer = threading.Thread(target=self._write, name="recording-writer", daemon=True)
        self._syncer = threading.Thread(target=self._sync, name="recording-sync", daemon=True)
        self._start()

    def _start(self) -> None:
        try:
            self._writer.start()
            self._syncer.start()
        except RuntimeError:  # there are too many threads
            self._failed.set()
            self._queue.put(None)
            self._written.set()
            if self._writer.ident is None:
                self._file.close()
            else:
                self._writer.join(CLOSE_S)
            raise

    @property
    def on_disk(self) -> OnDisk:
        """What is safely in the file."""
        return self._on_disk

    @property
    def failed(self) -> bool:
        """Whether something went wrong with it; it then takes nothing more."""
        return self._is_too_slow or self._failed.is_set()

    @property
    def written_bytes(self) -> int:
        """What the disk was given, safe or not."""
        return self._file.size

    @property
    def is_full(self) -> bool:
        """Whether no more packets have room until the disk has taken some."""
        return self._queue.qsize() >= QUEUE_PACKETS

    def wait_for_room(self) -> None:
        """Wait until the disk has taken what fills the queue, where this recording waits at all, and is written."""
        while self._waits and not self.failed and self._writer.is_alive() and self.is_full:
            self._written.wait(WAIT_S)

    def take(self, packet: EncodedPacket) -> None:
        """Take a packet; returns at once."""
        if self.failed:
            return
        now_ns, since_ns = self._clock.now_ns(), self._writing_since_ns
        if not self._waits and since_ns is not None and now_ns > since_ns + MOST_BEHIND_S * NANOSECONDS:
            self._is_too_slow = True
            self._on_failure(
                StorageError(
                    f"{self.path.parent} takes what is recorded too slowly: a minute of it waits in memory",
                    hint="record to a faster disk",
                )
            )
            return
        self._queue.put((packet, now_ns))

    def _write(self) -> None:
        while (taken := self._queue.get()) is not None:
            # A disk that did not answer may still go on: then it gets all of it.
            if self._failed.is_set() and not self.abandoned:
                continue
            packet, self._writing_since_ns = taken
            try:
                self._container.mux(self._packet(packet))
                self._end_s[packet.track] = max(packet.ends_s, self._end_s[packet.track])
            except Exception as error:  # of whatever kind: this thread must go on to the end
                self._fail_with(error)
            self._writing_since_ns = None
            if self._waits and self._queue.empty():
                time.sleep(GATHER_S)
        try:
            self._container.close()
            self._finish()
        except Exception as error:
            self._fail_with(error)
        finally:
            self._written.set()

    def _finish(self) -> None:
        """Make an ordinary MP4 of it, unless nothing came, or its disk has stopped taking anything.

        All of it was written in order, so nothing may be cut off.
        """
        if self._file.is_whole and any(self._end_s.values()):
            marks, title = self._marks
            finish(
                self._file.descriptor,
                self.path,
                marks=marks,
                title=title,
                sync=lambda _: self._file.sync(),
                most_cut=0,
                advance=self._scanned_to,
            )

    def _scanned_to(self, position: int) -> None:
        self._scanned = position

    def _packet(self, encoded: EncodedPacket) -> "av.Packet[Stream]":
        packet = av.Packet(encoded.data)
        packet.stream = self._streams[encoded.track]
        packet.time_base = encoded.time_base
        packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
        packet.is_keyframe = encoded.is_keyframe
        return packet

    def _sync(self) -> None:
        reader = FragmentReader(self._file.descriptor)
        ended = False
        settled_ns = self._clock.now_ns() + NANOSECONDS
        while not ended:
            # Often at first: a start is believed once what it reaches back to is on disk.
            is_new = not self._on_disk.media_time_s or self._clock.now_ns() < settled_ns
            wait_s = min(self._sync_s, FIRST_SYNC_S) if is_new else self._sync_s
            ended = self._clock.wait(self._written, wait_s)
            try:
                # Looked at first, synced second: what is reported is on disk.
                if not ended or self._failed.is_set():
                    reader.advance()
                self._file.sync()
                problem = self._look_around()
            except Exception as error:  # a light that stands still must not go unnoticed
                self._fail_with(error)
                return
            if problem is not None:
                self.fail(problem)
                return
            self._on_disk = OnDisk(reader.complete_bytes, float(reader.media_time_s))

    def _look_around(self) -> LiputError | None:
        """See how much is free; return why a sync that went well is not to be believed, if it is not."""
        disk = os.fstatvfs(self._file.descriptor)
        self.free_bytes = disk.f_bavail * disk.f_frsize
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return vanished(self.path)
        if (there.st_dev, there.st_ino) != self._identity:
            return vanished(self.path)
        # ext4 takes writes to an open file and says that it synced them while it is read-only, and does neither.
        return became_read_only(self.path) if disk.f_flag & os.ST_RDONLY else None

    def _fail_with(self, error: Exception) -> None:
        self.fail(error if isinstance(error, MediaError) else told_apart(error, self.path, self._disk))

    def fail(self, error: LiputError) -> None:
        """Give it up because of `error`: nothing more is taken, nor written; what is there stays."""
        if not self._failed.is_set():
            self._failed.set()
            self._on_failure(error)

    def give_way(self) -> None:
        """Take nothing more and drop what is queued, without a word: another file has it now."""
        self._failed.set()

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Write what is queued, make it an ordinary MP4, and wait until all of it is on disk.

        `marks` become its chapters; `title` names what is before the first one. A disk that takes nothing for
        CLOSE_S is left to itself: see `abandoned`.
        """
        self._marks = (marks, title)
        self._queue.put(None)
        if not self._ended():
            self.abandoned = True
            self.fail(stalled(self.path, CLOSE_S))
            return
        try:
            if not self._failed.is_set():
                size = os.fstat(self._file.descriptor).st_size
                self._on_disk = OnDisk(size, min(self._end_s.values()))
        except OSError as error:
            self._fail_with(error)
        finally:
            self._file.close()

    def progress(self) -> tuple[int, int, int]:
        """Return what changes as long as the disk takes or gives anything while the recording is closed."""
        return self._file.size, self._queue.qsize(), self._scanned

    def _ended(self) -> bool:
        """Wait for both threads; return False when the disk has taken nothing for CLOSE_S."""
        progress, since_ns = (-1, -1, -1), self._clock.now_ns()
        for thread in (self._writer, self._syncer):
            while thread.is_alive():
                thread.join(WAIT_S)
                now_ns, seen = self._clock.now_ns(), self.progress()
                if seen != progress:
                    progress, since_ns = seen, now_ns
                elif now_ns > since_ns + CLOSE_S * NANOSECONDS:
                    return False
        return True


def _bit_rate(templates: Mapping[TrackId, Stream]) -> int:
    """Return what these tracks are encoded to, all together, in bit/s; 0 where an encoder does not say."""
    rates = [template.codec_context.bit_rate for template in templates.values()]
    return sum(rate for rate in rates if rate) if all(rates) else 0
