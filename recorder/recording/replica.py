"""A replica: one file of a session on one disk, from the keyframe on at which it took over.

    OPENING --> WRITING <--> STALLED        the disk takes nothing, which may pass
       |           |            |
       +-----------+------------+--> FAILED takes no packet any more
       |           |            |       |
       +-----------+------------+-------+--> CLOSING --> CLOSED

Two threads, so that nothing else ever waits for the disk: the writer takes packets from a queue and muxes them, the
syncer looks at the file, makes its content safe against a power cut (fdatasync) and reports that. The queue holds what
a slow disk has not taken yet; when it falls a minute behind the replica fails, loudly, rather than dropping anything:
it takes nothing more, and what is queued is still written, unless another replica has that. A disk that never answers
keeps both threads; closing then leaves them to themselves, and the replica stays CLOSING.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from fractions import Fraction
from functools import partial

import msgspec

from config.errors import LiputError, StorageError
from config.settings.schema import Recording as RecordingSettings
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from recorder.archive.archive import Archive
from recorder.disk.errors import stalled
from recorder.model.marks import Mark
from recorder.model.packet import RUN_IN, EncodedPacket, Track, TrackId
from recorder.package.work import WorkFolder
from recorder.recording.file import Mp4File, OnDisk
from recorder.recording.iso import PartDirectory

MOST_BEHIND_S = 60.0
"""How long a packet may wait for a slow disk, however many are handed over at once: a minute of 1080p30 is 35 MB."""

QUEUE_PACKETS = 6000
"""How many may wait for the disk of a session without a clock, before whoever makes them has to wait."""

WAIT_S = 0.1

GATHER_S = 0.04
"""For so long packets of a session without a clock gather: a writer woken for each takes turns with who encodes."""

FIRST_SYNC_S = 0.02
"""How often the file is looked at in its first second, and until its first fragment is there."""

CLOSE_S = 20.0
"""How long a disk may take nothing at all while the replica is closed, before it is left to itself."""

STALLED_S = 3.0
"""How long nothing may come to the disk, beyond a fragment and the sync after it, until people hear of it."""

TOLD_S = 4.5
"""How long it is at most, whatever the settings are."""


def patience_s(settings: RecordingSettings) -> float:
    """Return how long nothing may come to the disk, in seconds, until that is worth telling."""
    return min(STALLED_S + settings.fragment_s + settings.sync_s, TOLD_S)


class ReplicaState(Enum):
    """The states of a replica."""

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


class ProgressWatch:
    """Compares the media time on disk with the media time given; asks no disk, so that it cannot hang."""

    def __init__(self, now_ns: int, patience_s: float) -> None:
        """`patience_s` is how long nothing may come to the disk: longer than a fragment, and a sync after it, take."""
        self._patience_ns = round(patience_s * NANOSECONDS)
        self._found_s = 0.0
        self._grown_ns = now_ns
        self._stalled_ns: int | None = None

    def update(self, now_ns: int, found_s: float, given_s: float) -> ReplicaState | None:
        """Take a look: up to which media time it was found on disk, and up to which it was given, in seconds."""
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

    def stood_still(self, now_ns: int, for_ns: int) -> None:
        """Leave out of account that this whole process, its disk's threads too, has stood still for so long."""
        self._grown_ns = min(now_ns, self._grown_ns + for_ns)

    @property
    def is_stalled(self) -> bool:
        """Whether it was told, and is not over."""
        return self._stalled_ns is not None

    def standing_s(self, now_ns: int) -> float:
        """Return for how long nothing has come to the disk that waits for it."""
        return (now_ns - self._grown_ns) / NANOSECONDS


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a replica, and where in the session it begins: media times in seconds."""

    archive: Archive
    work: WorkFolder
    start: Fraction = Fraction(0)
    form: int = 0
    """That of its picture."""
    since: Fraction | None = None
    """Where pictures of that form begin; None: with the session."""


class Replica:
    """Takes packets in the session's media time and writes them in its own; `begin` first, `close` once."""

    def __init__(
        self,
        place: Place,
        file: Mp4File,
        *,
        clock: Clock,
        settings: RecordingSettings,
        waits: bool,
        on_failure: Callable[["Replica", LiputError], None],
    ) -> None:
        """Take over `file`. Without a clock a session `waits` for a slow disk. `on_failure` comes from any thread."""
        self.archive = place.archive
        self.work = place.work
        self.start = place.start
        self.form = place.form
        self.file = file
        self.until: Fraction | None = None
        """Where the picture has become one of another form: sound from there on belongs into the next replica."""
        self.has_pictures = False
        self.is_void = False
        """Whether it was left for another form before it had a picture: all of it is in the next replica."""
        self.beside = PartDirectory(place.work.media, float(place.start))
        self._since = place.since
        self._clock = clock
        self._sync_s = settings.sync_s
        self._waits = waits
        self._on_failure = on_failure
        self._state = _OPENING
        self._changing = threading.Lock()
        self.growth = ProgressWatch(clock.now_ns(), patience_s(settings))
        self._counts: dict[tuple[TrackId, Fraction], int] = {}
        self._queue: queue.SimpleQueue[tuple[EncodedPacket, int] | None] = queue.SimpleQueue()
        self._writing_since_ns: int | None = None  # when the packet came that is written now
        self._drops = threading.Event()  # what is queued is not written any more
        self._written = threading.Event()
        self._abandoned = False
        self._marks: tuple[Sequence[Mark], str] = ((), "")
        self._closer: DeadlineTask[None] | None = None
        self._writer = threads.start(
            self._write, name="recording-writer", otherwise=partial(file.close, is_whole=False)
        )
        self._syncer = threads.start(self._sync, name="recording-sync", otherwise=self._end_writer)

    def _end_writer(self) -> None:
        self._drops.set()
        self._queue.put(None)
        self._written.set()
        self._writer.join(CLOSE_S)

    # Its state

    @property
    def state(self) -> ReplicaState:
        """How it is."""
        return self._state

    def _become(self, state: ReplicaState) -> bool:
        """Change the state, here alone; return whether it could become that."""
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
        """Whether it was asked to close."""
        return self._closer is not None

    @property
    def answers(self) -> bool:
        """Whether its disk may be asked anything: it is closed, and nobody writes beside it."""
        return self._state is _CLOSED and not self.beside.is_written

    @property
    def folder(self) -> str:
        """The folder that people know it by."""
        return str(self.archive.root)

    @property
    def on_disk(self) -> OnDisk:
        """The part of the file that is safe."""
        return self.file.on_disk

    @property
    def found_s(self) -> float:
        """Up to which media time of the session it was found on disk."""
        return float(self.start) + self.on_disk.media_time_s

    @property
    def waiting(self) -> int:
        """How many packets the disk has not taken yet."""
        return self._queue.qsize() + (self._writing_since_ns is not None)

    @property
    def is_full(self) -> bool:
        """Whether no more packets have room until the disk has taken some."""
        return self._queue.qsize() >= QUEUE_PACKETS

    def look(self, now_ns: int, given_s: float) -> ReplicaState | None:
        """See whether it grows, without asking its disk, with packets up to `given_s`; return another state, if any."""
        change = self.growth.update(now_ns, self.found_s, given_s)
        if change is not None:
            self._become(change)
        return change

    # Packets

    def begin(self) -> None:
        """Take packets from now on, if it has not failed meanwhile."""
        self._become(_WRITING)

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet, if it belongs here; returns at once."""
        if not self.takes or not self._belongs(packet):
            return
        now_ns, since_ns = self._clock.now_ns(), self._writing_since_ns
        if not self._waits and since_ns is not None and now_ns > since_ns + MOST_BEHIND_S * NANOSECONDS:
            if self._become(_FAILED):
                self._on_failure(
                    self,
                    StorageError(
                        f"{self.file.path.parent} takes what is recorded too slowly: a minute of it waits in memory",
                        hint="record to a faster disk",
                    ),
                )
            return
        self._queue.put((self._moved(packet), now_ns))

    def _belongs(self, packet: EncodedPacket) -> bool:
        """Return whether a packet is of its form; sound is cut by its own times, it may be earlier or later."""
        if packet.track == Track.VIDEO:
            self.has_pictures = self.has_pictures or packet.form == self.form
            return packet.form == self.form
        if self.until is not None and packet.begins >= self.until:
            return False
        return self._since is None or packet.ends > self._since - RUN_IN

    def _moved(self, packet: EncodedPacket) -> EncodedPacket:
        if not self.start:
            return packet
        key = packet.track, packet.time_base
        if key not in self._counts:
            self._counts[key] = round(self.start / packet.time_base)
        count = self._counts[key]
        return replace(packet, pts=packet.pts - count, dts=packet.dts - count)

    def wait_for_room(self) -> None:
        """Wait until the queue has room, in a session without a clock."""
        while self._waits and self.takes and self._writer.is_alive() and self.is_full:
            self._written.wait(WAIT_S)

    # Its threads

    def _write(self) -> None:
        while (taken := self._queue.get()) is not None:
            # A disk that did not answer may still go on: then it gets all of it.
            if self._drops.is_set() and not self._abandoned:
                continue
            packet, self._writing_since_ns = taken
            try:
                self.file.mux(packet)
            except Exception as error:  # of whatever kind: this thread must go on to the end
                self._fail_with(error)
            self._writing_since_ns = None
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
            # Often at first: a start is believed once what it reaches back to is on disk.
            is_new = not self.on_disk.media_time_s or self._clock.now_ns() < settled_ns
            wait_s = min(self._sync_s, FIRST_SYNC_S) if is_new else self._sync_s
            ended = self._clock.wait(self._written, wait_s)
            try:
                problem = self.file.sync(looks=not ended or self._drops.is_set())
            except Exception as error:  # a light that stands still must not go unnoticed
                self._fail_with(error)
                return
            if problem is not None:
                self.fail(problem)
                return

    # Its end

    def _fail_with(self, error: Exception) -> None:
        self.fail(self.file.error_of(error))

    def fail(self, error: LiputError) -> None:
        """Give it up because of `error`: nothing more is taken, nor written; the file stays."""
        if not self._drops.is_set():
            self.give_way()
            self._on_failure(self, error)

    def give_way(self) -> None:
        """Take nothing more and drop the queue, without a word: another replica has its packets."""
        self._become(_FAILED)
        self._drops.set()

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Begin to write the queue, make an ordinary MP4 of the file, and sync it; again: do nothing.

        `marks`, in the session's media time, become chapters; `title` names the time before the first one. Raises
        RuntimeError where there are too many threads.
        """
        if self._closer is None:
            start_s = float(self.start)
            moved = [msgspec.structs.replace(mark, media_s=mark.media_s - start_s) for mark in marks]
            self._marks = [mark for mark in moved if mark.media_s >= 0], title
            self._closer = DeadlineTask(self._close, "storage-close", clock=self._clock)

    def wait(self) -> None:
        """Wait until it is closed, or its disk is left to itself."""
        if self._closer is not None:
            self._closer.wait(2 * CLOSE_S, self.progress)

    def _close(self) -> None:
        self._become(_CLOSING)
        self._queue.put(None)
        if not self._ended():
            self._abandoned = True
            self.fail(stalled(self.file.path, CLOSE_S))
            return
        try:
            self.file.close(is_whole=not self._drops.is_set())
        except OSError as error:
            self._fail_with(error)
        self._become(_CLOSED)

    def progress(self) -> tuple[int, int, int]:
        """Return figures that change while the disk takes or gives anything."""
        return self.file.written_bytes, self._queue.qsize(), self.file.scanned

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
