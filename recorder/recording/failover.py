"""Records a session to one or two copies, and moves a copy to the next disk when its disk fails.

    packets --> Failover --+--> backlog (from the last keyframe that is on disk)
                           +--> copy 1: a replica on the first disk, then one on another, ...
                           +--> copy 2, with `storage.mirror`

The guard thread reads the replicas' findings and asks no disk itself. It moves a copy to the next folder: the new
replica begins with the backlog, at a keyframe. A change of the stream's format opens another replica in the same way.
Opening may hang on a disk, so it is a deadline task.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, count

from config.errors import LiputError, MediaError, StateError, StorageError, as_liput_error
from devices.host.clock import NANOSECONDS, Clock
from devices.host.threads import start_thread
from recorder.archive.archive import Archive
from recorder.disk.forecast import DiskForecast, DiskLevel
from recorder.model.eventlog import EventLog
from recorder.model.marks import Mark
from recorder.model.packet import MOST_PACKET_BYTES, DiskProgress, EncodedPacket, PacketBacklog, Track, TrackId
from recorder.package.fixity import Progress
from recorder.package.metadata import Package, RecordingFacts
from recorder.package.work_folder import WorkFolder
from recorder.recording.part_sealer import PartSealer
from recorder.recording.replica import PartDirectory, Replica, ReplicaState
from recorder.recording.replica_opener import ReplicaOpener, ReplicaOpening, StorageRequirements, StreamFormat
from recorder.recording.storage_events import (
    report_disk_level,
    report_fault,
    report_guard_failed,
    report_mounts_unknown,
    report_part_left,
    report_progress,
    report_switched,
)

WATCH_S = 0.25  # the guard's interval

OPENING_S = 0.05  # the guard's interval while a replica is opened

PROCESS_STOPPED_S = 2.0  # after so long without a look, the whole process was stopped, or its machine


@dataclass(eq=False)
class _ReplicaMove:
    why: LiputError | None  # the fault of the disk that is left; None for a change of format on the same disk
    may_stay: bool  # whether the copy stays if no other disk takes it: its own may answer again
    told: list[Archive]  # folders already reported as refusing
    archive: Archive | None = None
    opening: ReplicaOpening | None = None


@dataclass(eq=False)
class _Copy:
    """One of the files written at once: its replicas so far, the last in use."""

    number: int
    replicas: list[Replica]
    forecast: DiskForecast
    move: _ReplicaMove | None = None
    refused: list[Archive] = field(default_factory=list)  # folders that refused while its own disk stalled
    ended: bool = False  # whether it has no disk left

    @property
    def replica(self) -> Replica:
        return self.replicas[-1]

    @property
    def on_disk(self) -> DiskProgress:
        """Bytes on disk of all replicas, and the session's media time up to which they play."""
        return DiskProgress(sum(replica.on_disk.bytes for replica in self.replicas), _end_on_disk_s(self.replicas))


class Failover:
    """The replicas of a session: `begin` once, `put` from any thread, `close` once, then `seal` or `discard`."""

    def __init__(
        self,
        task: StorageRequirements,
        stream_format: StreamFormat,
        *,
        may_change: bool = False,
        clock: Clock,
        log: EventLog,
        on_failure: Callable[[LiputError], None],
    ) -> None:
        """Set up, without files. `may_change` allows other formats; `on_failure` gets the last copy's fault."""
        self._task = task
        self.planned_s = task.planned_s
        self._format = stream_format
        self._may_change = may_change
        self._clock = clock
        self._log = log
        self._on_failure = on_failure
        self._unused_archives = list(task.archives)
        self._opener = ReplicaOpener(task=task, clock=clock, log=log, on_failure=self._on_replica_failure)
        self._number = task.part
        self._received_s = 0.0  # media time of the newest packet's end, in seconds
        self._backlog: PacketBacklog | None = None
        self._late_tracks: set[TrackId] = set()  # audio tracks that have not reached the last change of format
        self._copies: list[_Copy] = []
        self._receivers: tuple[Replica, ...] = ()
        self._put_lock = threading.Lock()
        self._failures: deque[tuple[Replica, LiputError]] = deque()
        self._closing = False
        self._is_broken = False  # the guard, by a bug
        self._looked_ns = 0
        self._woken = threading.Event()
        self.joined: WorkFolder | None = None
        """The work folder of joined parts that could not be sealed."""

    def begin(self) -> WorkFolder:
        """Open the first replica of each copy; return the first work folder. Blocks. Raises the first error."""
        for number in (1, 2) if self._task.storage.mirror else (1,):
            copy = self._open_first(number)
            if copy is not None:  # else it was reported, and one copy is better than none
                self._copies.append(copy)
                copy.replica.begin()
        self._route()
        try:
            if self._task.storage.must_be_mounted:
                self._opener.memory.check()
        except StateError as error:
            report_mounts_unknown(self._log, error)
        if self._unused_archives or self._may_change:
            tracks = self._format.templates
            self._backlog = PacketBacklog(Track.VIDEO if Track.VIDEO in tracks else next(iter(tracks)))
        # Without a free thread everything is undone, and other folders are not tried.
        self._guard = start_thread(self._watch, name="storage-guard", otherwise=self._undo)
        return self.work

    def _undo(self) -> None:
        self._log.close()
        for replica in self.replicas:
            replica.undo()

    def _open_first(self, number: int) -> _Copy | None:
        """Open a copy in the first folder that takes it; a folder with an earlier part continues its copy."""
        faults: list[tuple[Archive, LiputError]] = []
        copy = None
        while copy is None and self._unused_archives:
            archive = self._unused_archives.pop(0)
            which = self._copy_number_for(archive)
            try:
                opening = self._opener.begin(archive, which, self._number, Fraction(0), self._format)
                copy = _Copy(which, [opening.get()], self._forecast())
            except LiputError as error:
                faults.append((archive, error))
        if copy is None and number == 1 and faults:
            raise faults[0][1]  # the caller reports it
        for refused, fault in faults:
            report_fault(self._log, str(refused.root), fault)
        return copy

    def _copy_number_for(self, archive: Archive) -> int:
        """Return the copy that was last recorded in a folder, else the first free number."""
        there = (work.begun.copy for work in reversed(self._task.earlier) if work.archive_root == archive.root)
        taken = {copy.number for copy in self._copies}
        return next(number for number in chain(there, count(1)) if number not in taken)

    def _forecast(self) -> DiskForecast:
        return DiskForecast(self._task.storage, self._task.keep_free, self._task.bytes_per_s)

    def _on_replica_failure(self, replica: Replica, error: LiputError) -> None:
        """Queue a replica's fault for the guard; thread-safe."""
        self._failures.append((replica, error))
        self._woken.set()

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to each replica it belongs to; thread-safe, blocks only without a clock."""
        if self._task.waits:
            self._wait_for_room()
        with self._put_lock:
            if self._late_tracks and packet.track in self._late_tracks and packet.begins >= (self._format.since or 0):
                self._late_tracks.discard(packet.track)
            self._received_s = max(self._received_s, packet.ends_s)
            if self._backlog is not None:
                self._backlog.add(packet)
                if self._backlog.bytes > MOST_PACKET_BYTES:
                    self._backlog.drop_to(MOST_PACKET_BYTES)
            for replica in self._receivers:
                replica.put(packet)

    def change(self, stream_format: StreamFormat) -> None:
        """Send packets of another format, from its first keyframe on, to new replicas; the guard opens them."""
        with self._put_lock:
            self._format = stream_format
            self._late_tracks = set(stream_format.templates) - {Track.VIDEO}
            for replica in self._receivers:
                replica.until = stream_format.since if replica.until is None else replica.until
            if self._backlog is not None:
                self._backlog.forget_leaders()
        self._woken.set()

    def _wait_for_room(self) -> None:
        for copy in self._copies:
            copy.replica.wait_for_room()
            while copy.replica.state is ReplicaState.FAILED and not copy.ended and not self._closing:
                self._woken.wait(WATCH_S)  # until it moves

    def _route(self) -> None:
        """Update the replicas that get packets: those in use, and those still missing audio of their pictures."""
        has_ended = all(copy.ended for copy in self._copies)
        self._receivers = tuple(
            replica
            for copy in self._copies
            for replica in copy.replicas
            if (replica is copy.replica and (has_ended or not copy.ended))
            or (replica.until is not None and replica.takes and self._late_tracks)
        )

    @property
    def work(self) -> WorkFolder:
        """The first work folder."""
        return self._copies[0].replicas[0].work

    @property
    def replicas(self) -> list[Replica]:
        """All replicas so far, copy by copy."""
        return [replica for copy in self._copies for replica in copy.replicas]

    @property
    def start(self) -> Fraction:
        """The media time at which a replica opened now begins, in seconds."""
        with self._put_lock:
            return self._backlog.start if self._backlog is not None else Fraction(0)

    @property
    def on_disk(self) -> DiskProgress:
        """The progress of the fullest copy."""
        return max(
            (copy.on_disk for copy in self._copies), key=lambda found: found.media_time_s, default=DiskProgress()
        )

    def beside(self) -> PartDirectory | None:
        """Return the directory for iso recordings, None once every copy has ended."""
        return next((copy.replica.beside for copy in self._copies if not copy.ended), None)

    @property
    def left_s(self) -> float | None:
        """Seconds until the last disk is full at the present rate, None if unknown."""
        known = [copy.forecast.left_s for copy in self._copies if not copy.ended]
        return max((left_s for left_s in known if left_s is not None), default=None)

    def _watch(self) -> None:
        self._looked_ns = self._clock.now_ns()
        while not self._closing:
            self._clock.wait(self._woken, OPENING_S if self._is_moving else WATCH_S)
            self._woken.clear()
            try:
                self._check_all()
            except Exception as error:  # a bug must not end the guard
                if not self._is_broken:
                    self._is_broken = True
                    report_guard_failed(self._log, error)

    def _check_all(self) -> None:
        self._fail_over()
        self._excuse_process_stop()
        for copy in self._copies:
            if not copy.ended and copy.move is None and copy.replica.takes:
                self._check_copy(copy)
        # While a copy moves the backlog stays: the new replica begins at its start.
        if self._backlog is not None and not self._is_moving:
            with self._put_lock:
                self._backlog.confirm(min((copy.replica.found_s for copy in self._copies if not copy.ended), default=0))

    def _excuse_process_stop(self) -> None:
        """Excuse the replicas after a stop of the whole process: this may be the first thread to run."""
        now_ns = self._clock.now_ns()
        since_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if since_ns > PROCESS_STOPPED_S * NANOSECONDS:
            for copy in self._copies:
                copy.replica.growth.excuse(now_ns, since_ns)

    def _check_copy(self, copy: _Copy) -> None:
        replica, now_ns, given_s = copy.replica, self._clock.now_ns(), self._received_s
        change = replica.look(now_ns, given_s)
        stalled_for_s = replica.growth.stalled_for_s(now_ns)
        if change is not None:
            report_progress(self._log, replica, change, stalled_for_s)
        if change is ReplicaState.WRITING:
            self._offer_refused_again(copy)
        # Without a clock, a full queue would block for ever; a queue with room may only mean a silent source. With a
        # clock, a stalled disk may recover, unless another one takes over.
        is_lost = replica.is_full if self._task.waits else bool(self._unused_archives)
        if stalled_for_s > self._task.storage.stalled_s and is_lost:
            error = replica.stalled_error()
            if self._task.waits:
                replica.fail(error)
            else:
                self._leave_disk(copy, error, may_stay=True)
            return
        free = replica.file.free_bytes
        if free is None:
            return
        planned_s = None if self.planned_s is None else max(0.0, self.planned_s - given_s)
        was, forecast = copy.forecast.level, copy.forecast
        level = forecast.update(now_ns, free, replica.file.written_bytes, given_s - float(replica.start), planned_s)
        if level is not None:
            report_disk_level(self._log, replica, forecast, planned_s, was=was)
        if level is DiskLevel.OVER:
            self._leave_disk(
                copy,
                StorageError(
                    f"The disk of {replica.folder} is full up to its reserve",
                    hint="Free space on it before the next session.",
                    why="full",
                ),
            )

    @property
    def _is_moving(self) -> bool:
        return any(copy.move is not None for copy in self._copies)

    def _fail_over(self) -> bool:
        """Handle opened and failed replicas, and open the next; return whether there was any."""
        had_any = self._is_moving or bool(self._failures)
        for copy in self._copies:
            self._end_on_error(copy, self._advance)
        for _ in range(len(self._failures)):
            replica, error = self._failures.popleft()
            if not self._handle_failure(replica, error):
                self._failures.append((replica, error))
        for copy in self._copies:
            if copy.move is None and not copy.ended and copy.replica.form != self._format.form:
                copy.move = _ReplicaMove(None, may_stay=False, told=list(copy.refused))
                self._end_on_error(copy, self._try_next)
        self._close_unused()
        return had_any or self._is_moving

    def _end_on_error(self, copy: _Copy, act: Callable[[_Copy], None]) -> None:
        """Call `act` for a copy; a bug in it ends the copy as if no disk were left."""
        try:
            act(copy)
        except Exception as mistake:  # callers wait for the copy, so it must end
            told = as_liput_error(mistake, StorageError)
            report_fault(self._log, copy.replica.folder, told)
            if copy.move is not None:
                self._end_copy(copy, copy.move.why or told)

    def _handle_failure(self, replica: Replica, error: LiputError) -> bool:
        """Move a failed replica's copy; return False if another move must end first."""
        copy = next((copy for copy in self._copies if replica in copy.replicas), None)
        if self._is_moving if copy is None else copy.move is not None and copy.replica is replica:
            return False
        if copy is None or copy.replica is not replica or copy.ended or isinstance(error, MediaError):
            # Damaged media are damaged on any disk, and all of them are there.
            report_fault(self._log, replica.folder, error)
        else:
            self._leave_disk(copy, error)
        return True

    def _leave_disk(self, copy: _Copy, error: LiputError, *, may_stay: bool = False) -> None:
        report_fault(self._log, copy.replica.folder, error)
        copy.move = _ReplicaMove(error, may_stay=may_stay, told=list(copy.refused))
        self._end_on_error(copy, self._try_next)

    def _try_next(self, copy: _Copy) -> None:
        """Open a replica in the next folder for a moving copy; without one it stays, or tries refused folders again."""
        move = copy.move
        if move is None:
            return
        if move.why is None:
            move.archive = copy.replica.archive
        else:
            left = self._unused_archives if self._unused_archives or move.may_stay else copy.refused
            if not left:
                copy.move = None
                if not move.may_stay:
                    self._end_copy(copy, move.why)
                return
            move.archive = left.pop(0)
        self._number += 1
        # A running session may use the reserve, down to `keep_free`.
        archive = Archive(move.archive.root, self._clock, self._task.keep_free)
        move.opening = None
        try:
            move.opening = self._opener.begin(archive, copy.number, self._number, self.start, self._format)
        except RuntimeError as error:  # no free thread
            self._try_after_refusal(copy, move, move.archive, error)

    def _advance(self, copy: _Copy) -> None:
        move = copy.move
        if move is None or move.opening is None or move.archive is None or not move.opening.is_over:
            return
        try:
            replica = move.opening.get()
        except Exception as error:  # the next folder is tried
            self._try_after_refusal(copy, move, move.archive, error)
        else:
            self._continue_in(copy, move, replica)

    def _try_after_refusal(self, copy: _Copy, move: _ReplicaMove, archive: Archive, error: Exception) -> None:
        """Report a refusing folder, and try the next; a copy that may stay remembers it."""
        fault = as_liput_error(error, StorageError)
        if archive not in move.told:
            report_fault(self._log, str(archive.root), fault)
        if move.why is None:
            move.why = fault
        elif move.may_stay:
            copy.refused.append(archive)
        self._try_next(copy)

    def _continue_in(self, copy: _Copy, move: _ReplicaMove, new: Replica) -> None:
        """Continue a copy in an opened replica, from the backlog on; the former replica is closed."""
        old, is_another_form = copy.replica, move.why is None
        try:
            with self._put_lock:
                begins_s = self._start_with_backlog(copy, new)
                old.is_void = is_another_form and not old.has_pictures
                if not is_another_form and (move.may_stay or old.state is ReplicaState.FAILED):
                    old.drop_queue()  # it accepts nothing, or too little
                copy.move = None
                self._route()
        except Exception:
            start_thread(new.undo, name="storage-close")
            raise
        if is_another_form:
            return
        self._offer_refused_again(copy)
        if old.growth.is_stalled:
            report_progress(self._log, old, ReplicaState.WRITING, 0.0)
        report_switched(self._log, old.folder, new, _end_on_disk_s(copy.replicas[:-1]), begins_s)

    def _start_with_backlog(self, copy: _Copy, new: Replica) -> float:
        """Put a replica into use with the backlog of its format; return its first media time in seconds."""
        begins_s = 0.0
        new.begin()
        if self._backlog is not None:
            begins_s = float(self._backlog.start)  # later than planned if the backlog overflowed
            if new.form == self._format.form:
                for packet in self._backlog.from_the_start():
                    new.put(packet)
            else:
                new.until = self._format.since
        copy.replicas.append(new)
        copy.forecast = self._forecast()
        return begins_s

    def _offer_refused_again(self, copy: _Copy) -> None:
        """Offer folders again that refused during a stall that is over."""
        self._unused_archives += copy.refused
        copy.refused.clear()

    def _end_copy(self, copy: _Copy, error: LiputError) -> None:
        """End a copy without a disk. The last one is reported, and takes packets while it can."""
        with self._put_lock:
            copy.ended, copy.move = True, None
            self._route()
        if all(each.ended for each in self._copies):
            self._on_failure(error)

    def _close_unused(self) -> None:
        with self._put_lock:
            self._route()
            left = [replica for replica in self.replicas if replica not in self._receivers and not replica.is_closing]
        for replica in left:
            with suppress(RuntimeError):  # no free thread: at the next look
                replica.close()

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish every replica; bounded even if a disk never answers. A failure now still moves its copy. Blocks.

        `marks` become chapters; `title` names the time before the first.
        """
        self._closing = True
        self._woken.set()
        self._guard.join()
        while self._finish_moves() or self._close_open(marks, title):
            pass
        for replica in self.replicas:
            replica.close()
            replica.wait()

    def _finish_moves(self) -> bool:
        had_any = self._fail_over()
        while self._is_moving:
            self._clock.wait(self._woken, OPENING_S)
            self._woken.clear()
            self._fail_over()
        return had_any

    def _close_open(self, marks: Sequence[Mark], title: str) -> bool:
        replicas = [copy.replica for copy in self._copies if not copy.replica.is_closing]
        for replica in replicas:
            replica.close(marks, title)
        for replica in replicas:
            replica.wait()
        return bool(replicas)

    def discard(self) -> None:
        """Remove the work folders of a session without a recording. Raises ArchiveError if one holds media."""
        for replica in self.replicas:
            if replica.answers:
                try:
                    replica.discard()
                except (StorageError, RuntimeError) as error:  # RuntimeError: no free thread
                    report_part_left(self._log, replica.folder, replica.work.path, as_liput_error(error))

    def seal(self, facts: RecordingFacts, progress: Progress | None = None) -> list[Package]:
        """Make a package of each copy, or of each part that cannot be joined; the fullest copy first. Blocks.

        Unsealed parts stay in their work folders and are reported. So are parts of an earlier recorder's copy that was
        not continued. Raises the error of sealing if nothing was sealed.
        """
        copies = sorted(self._copies, key=lambda copy: copy.on_disk.media_time_s, reverse=True)
        sealer = PartSealer(self._clock, self._log, facts, progress)
        packages = sealer.seal_all({copy.number: copy.replicas for copy in copies}, self._task.earlier)
        self.joined = sealer.joined
        if not packages:
            raise sealer.error or StorageError("nothing could be sealed")
        return packages


def _end_on_disk_s(replicas: Sequence[Replica]) -> float:
    return max((replica.found_s for replica in replicas), default=0.0)
