"""A replica: one file of a session on one disk, from the keyframe at which it took over.

Two threads wait for the disk, so that no other does. The writer muxes packets from a queue. The syncer counts
fragments, calls fdatasync and publishes the result. A queue that waits for a minute fails the replica: it drops nothing
silently. A failed replica takes no packets, and writes its queue unless another replica has it. A disk that never
answers keeps both threads; `close` then abandons them, and the replica stays CLOSING.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from fractions import Fraction
from functools import partial
from pathlib import Path

import msgspec

from config.errors import LiputError, StorageError
from config.settings.schema import RecordingSettings as RecordingSettings
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from devices.host.threads import start_thread
from recorder.archive.archive import Archive
from recorder.disk.errors import ask_disk, disk_stalled
from recorder.model.marks import Mark
from recorder.model.packet import AUDIO_RUN_IN, DiskProgress, EncodedPacket, Track, TrackId
from recorder.package.media import holds_media
from recorder.package.work_folder import WorkFolder
from recorder.recording.mp4_file import Mp4File

MOST_BEHIND_S = 60.0
"""The longest wait of a packet for a slow disk. A minute of 1080p30 is 35 MB."""

QUEUE_PACKETS = 6000  # the queue's limit in a session without a clock; above it the producer blocks

WAIT_S = 0.1

GATHER_S = 0.04
"""Without a clock, packets gather for so long: waking the writer for each would take turns with the encoder."""

FIRST_SYNC_S = 0.02  # the interval of syncs in the first second, and until the first fragment

CLOSE_S = 20.0  # while the replica closes, a disk that accepts nothing for so long is abandoned

STALLED_S = 3.0  # the longest pause of a disk, beyond a fragment and its sync, before `recording-stalled`

LATEST_STALLED_S = 4.5  # the upper limit of that, whatever the settings


def stall_after_s(settings: RecordingSettings) -> float:
    """Return the seconds without progress after which a replica counts as stalled."""
    return min(STALLED_S + settings.fragment_s + settings.sync_s, LATEST_STALLED_S)


class ReplicaState(Enum):
    """The states of a replica; see docs/architecture.md."""

    OPENING = auto()
    WRITING = auto()
    STALLED = auto()
    FAILED = auto()
    CLOSING = auto()
    CLOSED = auto()


_OPENING, _WRITING, _STALLED, _FAILED, _CLOSING, _CLOSED = ReplicaState
_NEXT = {
    _OPENING: {_WRITING, _FAILED, _CLOSING},
    _WRITING: {_STALLED, _FAILED, _CLOSING},
    _STALLED: {_WRITING, _FAILED, _CLOSING},
    _FAILED: {_CLOSING},
    _CLOSING: {_CLOSED},
    _CLOSED: set[ReplicaState](),
}


class ReplicaStallDetector:
    """Detects a stall: compares media time on disk with media time given. Asks no disk, so it cannot hang."""

    def __init__(self, now_ns: int, patience_s: float) -> None:
        """Set the limit; `patience_s` is longer than a fragment and its sync."""
        self._patience_ns = round(patience_s * NANOSECONDS)
        self._found_s = 0.0
        self._grown_ns = now_ns
        self._stalled_ns: int | None = None

    def update(self, now_ns: int, found_s: float, given_s: float) -> ReplicaState | None:
        """Compare media times in seconds; return STALLED or WRITING on a change, else None."""
        if found_s > self._found_s:
            self._found_s, self._grown_ns = found_s, now_ns
            if self._stalled_ns is not None:
                self._stalled_ns = None
                return ReplicaState.WRITING
        elif given_s <= found_s:
            self._grown_ns = now_ns  # nothing waits
        elif self._stalled_ns is None and now_ns >= self._grown_ns + self._patience_ns:
            self._stalled_ns = now_ns
            return ReplicaState.STALLED
        return None

    def excuse(self, now_ns: int, for_ns: int) -> None:
        """Excuse a stop of the whole process, its disk threads included."""
        self._grown_ns = min(now_ns, self._grown_ns + for_ns)

    @property
    def is_stalled(self) -> bool:
        """Whether a stall was reported and is not over."""
        return self._stalled_ns is not None

    def stalled_for_s(self, now_ns: int) -> float:
        """Return the seconds since the last progress."""
        return (now_ns - self._grown_ns) / NANOSECONDS


@dataclass(eq=False)
class PartDirectory:
    """A directory beside a part of the program; its media time 0 is `start_s` of the session."""

    folder: Path
    start_s: float = 0.0
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def is_written(self) -> bool:
        """Whether a thread still writes there."""
        return any(thread.is_alive() for thread in self.threads)


@dataclass(frozen=True, slots=True)
class ReplicaPlace:
    """The folder of a replica, and its start in the session; media times in seconds."""

    archive: Archive
    work: WorkFolder
    start: Fraction = Fraction(0)
    form: int = 0  # the format of its pictures (`StreamFormat.form`)
    since: Fraction | None = None  # the media time at which pictures of that format begin; None: with the session


class Replica:
    """Takes packets in session time and writes them in its own. `begin` first, `close` once."""

    def __init__(
        self,
        place: ReplicaPlace,
        file: Mp4File,
        *,
        clock: Clock,
        settings: RecordingSettings,
        waits: bool,
        on_failure: Callable[["Replica", LiputError], None],
    ) -> None:
        """Take over `file`. Without a clock a session `waits` for a slow disk. `on_failure` comes on any thread."""
        self.archive = place.archive
        self.work = place.work
        self.start = place.start
        self.form = place.form
        self.file = file
        self.until: Fraction | None = None
        """The media time at which the format changed: audio from there on belongs to the next replica."""
        self.has_pictures = False
        self.is_void = False
        """Whether it got no picture before the format changed: the next replica has all of it."""
        self.beside = PartDirectory(place.work.media, float(place.start))
        self._since = place.since
        self._clock = clock
        self._sync_s = settings.sync_s
        self._waits = waits
        self._on_failure = on_failure
        self._state = _OPENING
        self._changing = threading.Lock()
        self.growth = ReplicaStallDetector(clock.now_ns(), stall_after_s(settings))
        self._counts: dict[tuple[TrackId, Fraction], int] = {}
        self._queue: queue.SimpleQueue[tuple[EncodedPacket, int] | None] = queue.SimpleQueue()
        self._oldest_ns: int | None = None  # arrival of the packet being written
        self._drops = threading.Event()  # the queue is not written any more
        self._written = threading.Event()
        self._abandoned = False
        self._marks: tuple[Sequence[Mark], str] = ((), "")
        self._closer: DeadlineTask[None] | None = None
        self._writer = start_thread(self._write, name="recording-writer", otherwise=partial(file.close, is_whole=False))
        self._syncer = start_thread(self._sync, name="recording-sync", otherwise=self._end_writer)

    def _end_writer(self) -> None:
        self._drops.set()
        self._queue.put(None)
        self._written.set()
        self._writer.join(CLOSE_S)

    @property
    def state(self) -> ReplicaState:
        return self._state

    def _become(self, state: ReplicaState) -> bool:
        """Change the state; return False if the transition is not allowed. The only place that does."""
        with self._changing:
            if state not in _NEXT[self._state]:
                return False
            self._state = state
            return True

    @property
    def takes(self) -> bool:
        """Whether it takes packets."""
        return self._state is _WRITING or self._state is _STALLED

    @property
    def is_closing(self) -> bool:
        return self._closer is not None

    @property
    def answers(self) -> bool:
        """Whether its disk may be asked: it is closed, and no iso recording writes beside it."""
        return self._state is _CLOSED and not self.beside.is_written

    @property
    def folder(self) -> str:
        """Its archive's folder, for messages."""
        return str(self.archive.root)

    @property
    def on_disk(self) -> DiskProgress:
        """The synced part of the file."""
        return self.file.on_disk

    @property
    def found_s(self) -> float:
        """The session's media time on disk, in seconds."""
        return float(self.start) + self.on_disk.media_time_s

    @property
    def waiting(self) -> int:
        """The number of queued packets."""
        return self._queue.qsize() + (self._oldest_ns is not None)

    @property
    def is_full(self) -> bool:
        return self._queue.qsize() >= QUEUE_PACKETS

    def look(self, now_ns: int, given_s: float) -> ReplicaState | None:
        """Check for a stall, with packets given up to `given_s`; return a changed state, else None. Never blocks."""
        change = self.growth.update(now_ns, self.found_s, given_s)
        if change is not None:
            self._become(change)
        return change

    def stalled_error(self) -> StorageError:
        """Return the error of a disk that takes nothing."""
        return disk_stalled(self.work.path, self.growth.stalled_for_s(self._clock.now_ns()))

    def begin(self) -> None:
        """Take packets from now on, unless it has failed."""
        self._become(_WRITING)

    def put(self, packet: EncodedPacket) -> None:
        """Queue a packet if it belongs here; never blocks."""
        if not self.takes or not self._belongs(packet):
            return
        now_ns, since_ns = self._clock.now_ns(), self._oldest_ns
        if not self._waits and since_ns is not None and now_ns > since_ns + MOST_BEHIND_S * NANOSECONDS:
            if self._become(_FAILED):
                self._on_failure(
                    self,
                    StorageError(
                        f"{self.file.path.parent} is too slow: a minute of the recording waits in memory",
                        hint="record to a faster disk",
                    ),
                )
            return
        self._queue.put((self._moved(packet), now_ns))

    def _belongs(self, packet: EncodedPacket) -> bool:
        """Return whether a packet has this format; audio is cut by its own times."""
        if packet.track == Track.VIDEO:
            self.has_pictures = self.has_pictures or packet.form == self.form
            return packet.form == self.form
        if self.until is not None and packet.begins >= self.until:
            return False
        return self._since is None or packet.ends > self._since - AUDIO_RUN_IN

    def _moved(self, packet: EncodedPacket) -> EncodedPacket:
        if not self.start:
            return packet
        key = packet.track, packet.time_base
        if key not in self._counts:
            self._counts[key] = round(self.start / packet.time_base)
        count = self._counts[key]
        return replace(packet, pts=packet.pts - count, dts=packet.dts - count)

    def wait_for_room(self) -> None:
        """Block until the queue has room, in a session without a clock."""
        while self._waits and self.takes and self._writer.is_alive() and self.is_full:
            self._written.wait(WAIT_S)

    def _write(self) -> None:
        while (taken := self._queue.get()) is not None:
            # An abandoned disk may recover, and then gets everything.
            if self._drops.is_set() and not self._abandoned:
                continue
            packet, self._oldest_ns = taken
            try:
                self.file.mux(packet)
            except Exception as error:  # this thread must run to the end
                self._fail_with(error)
            self._oldest_ns = None
            if self._waits and self._queue.empty():
                time.sleep(GATHER_S)
        try:
            self.file.finish(*self._marks)
        except Exception as error:
            self._fail_with(error)
        finally:
            self._written.set()

    def _sync(self) -> None:
        ended = False
        settled_ns = self._clock.now_ns() + NANOSECONDS
        while not ended:
            # Often at first: a start counts once its pre-roll is on disk.
            is_new = not self.on_disk.media_time_s or self._clock.now_ns() < settled_ns
            wait_s = min(self._sync_s, FIRST_SYNC_S) if is_new else self._sync_s
            ended = self._clock.wait(self._written, wait_s)
            try:
                problem = self.file.sync(looks=not ended or self._drops.is_set())
            except Exception as error:  # a dead syncer would go unnoticed
                self._fail_with(error)
                return
            if problem is not None:
                self.fail(problem)
                return

    def _fail_with(self, error: Exception) -> None:
        self.fail(self.file.error_of(error))

    def fail(self, error: LiputError) -> None:
        """Fail with `error`: stop taking and writing packets; the file stays."""
        if not self._drops.is_set():
            self.drop_queue()
            self._on_failure(self, error)

    def drop_queue(self) -> None:
        """Stop taking packets and drop the queue, unreported: another replica has them."""
        self._become(_FAILED)
        self._drops.set()

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Start to write the queue, make an ordinary MP4 and sync it. Returns at once; idempotent.

        `marks`, in session media time, become chapters; `title` names the time before the first. Raises RuntimeError
        without a free thread.
        """
        if self._closer is None:
            moved = [msgspec.structs.replace(mark, media_s=mark.media_s - float(self.start)) for mark in marks]
            self._marks = [mark for mark in moved if mark.media_s >= 0], title
            self._closer = DeadlineTask(self._close, "storage-close", clock=self._clock)

    def wait(self) -> None:
        """Block until it is closed, or its disk is abandoned."""
        if self._closer is not None:
            self._closer.wait(2 * CLOSE_S, self.progress)

    def _close(self) -> None:
        self._become(_CLOSING)
        self._queue.put(None)
        if not self._ended():
            self._abandoned = True
            self.fail(disk_stalled(self.file.path, CLOSE_S))
            return
        try:
            self.file.close(is_whole=not self._drops.is_set())
        except OSError as error:
            self._fail_with(error)
        self._become(_CLOSED)

    def progress(self) -> tuple[int, int, int]:
        """Return figures that change whenever the disk accepts or returns bytes."""
        return self.file.written_bytes, self._queue.qsize(), self.file.scanned

    def _ended(self) -> bool:
        """Join both threads; return False if the disk accepted nothing for CLOSE_S."""
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

    def remove_if_empty(self) -> bool:
        """Remove the work folder of a part without media; return whether it is gone. May hang on its disk."""
        if self.is_void:
            self.work.program.unlink(missing_ok=True)
        elif holds_media(self.work.program):
            return False
        self.archive.discard(self.work)
        return True

    def discard(self) -> None:
        """Remove the work folder. Raises StorageError without an answer of the disk, RuntimeError without a thread."""
        ask_disk(partial(self.archive.discard, self.work), self.work.path, self._clock)

    def undo(self) -> None:
        """Close it unused, and remove its work folder. May hang on its disk."""
        self.close()
        self.wait()
        with suppress(LiputError):
            self.archive.discard(self.work)
