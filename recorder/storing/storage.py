"""Where a session is recorded: one file, or two at once, each of which goes on elsewhere when its disk does not.

    packets --+--> Backlog (from the last keyframe that is safe on)
              +--> copy 1: Part 1 on the first disk, then Part 2 on another, ...
              +--> copy 2, with `storage.mirror`

A copy has one part that takes packets. The guard, a thread that asks no disk anything, looks at what each part's own
threads have found: whether it grows, how long the disk will last, what has failed. When a copy leaves its disk the next
folder of the settings gets a part that begins with the backlog: at a keyframe, with nothing missing. Where the picture
becomes one of another form (its encoder has failed), each copy gets another part beside the one so far.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from fractions import Fraction
from functools import partial
from queue import Empty, SimpleQueue
from uuid import UUID, uuid4

from av.stream import Stream

from config.errors import LiputError, MediaError, StateError, StorageError, StorageFull, UsageError
from config.schema import Recording as RecordingSettings
from config.schema import Storage as StorageSettings
from devices.clock import Clock
from recorder.archive.archive import Archive
from recorder.archive.fixity import Progress as SealProgress
from recorder.archive.model import Mark, Package, RecordingFacts, SessionContext
from recorder.archive.work import WorkFolder
from recorder.eventlog import EventLog
from recorder.isolate import Beside
from recorder.packet import EncodedPacket, TrackId
from recorder.recording import CLOSE_S, OnDisk, OnFailure
from recorder.storing.backlog import Backlog
from recorder.storing.bounded import OPEN_S, Bounded
from recorder.storing.copies import Copy, found_s
from recorder.storing.faults import stalled
from recorder.storing.forecast import Forecast, Level
from recorder.storing.forms import Forms
from recorder.storing.mounts import MountMemory
from recorder.storing.opening import Opener, SessionFacts
from recorder.storing.part import Part
from recorder.storing.progress import Progress
from recorder.storing.telling import Teller

WATCH_S = 0.25
"""How often the guard looks."""


class Storage:
    """The files of one session. `begin` once, `put` from any thread, `close` once, then `seal` or `discard`."""

    def __init__(
        self,
        archives: Sequence[Archive],
        settings: StorageSettings,
        *,
        clock: Clock,
        log: EventLog,
        on_failure: OnFailure,
        recording: RecordingSettings,
        bytes_per_s: float,
        planned_s: float | None = None,
        waits: bool = False,
        memory: MountMemory | None = None,
    ) -> None:
        """Make nothing yet: `archives` are the folders to record to, in order.

        `on_failure` is told when none of them is left. `bytes_per_s` is what is expected of the recording, `planned_s`
        its length, if that is known.
        """
        self._spares = list(archives)
        self._settings = settings
        self._keep_free = min(settings.keep_free, archives[0].reserve_bytes)
        self._clock = clock
        self._log = log
        self._tell = Teller(log)
        self._on_failure = on_failure
        self._recording = recording
        self._bytes_per_s = bytes_per_s
        self._planned_s = planned_s
        self._waits = waits
        self._memory = memory or MountMemory()
        self._lock = threading.Lock()
        self._copies: list[Copy] = []
        self._backlog: Backlog | None = None
        self._given_s = 0.0
        self._part_number = 1
        self._earlier: Sequence[WorkFolder] = ()
        self._failures: SimpleQueue[tuple[Part, LiputError]] = SimpleQueue()
        self._closing = False
        self._woken = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="storage-guard", daemon=True)

    # Beginning

    def begin(
        self,
        title: str,
        started_at: datetime,
        context: SessionContext | None,
        templates: Mapping[TrackId, Stream],
        *,
        uuid: UUID | None = None,
        part: int = 1,
        offset_s: float = 0.0,
        earlier: Sequence[WorkFolder] = (),
        form: int = 0,
        templates_of: Callable[[int], Mapping[TrackId, Stream]] | None = None,
    ) -> WorkFolder:
        """Open the first file, or the first two, and the event log beside each; return the first work folder.

        A folder that cannot be recorded to is told, and the next one taken; raises the first one's StorageError when
        there is none. A session that is gone on with has its `uuid`, the number of its next `part`, and the media time
        of the session at which that begins. `earlier` are its parts, locked: they are sealed with what comes now. The
        event log gets each work folder's file. `templates` are of the picture's `form`, `templates_of` says those of
        others, where there may be any.
        """
        self._part_number = part
        self._earlier = earlier
        self._forms = Forms(form, templates, templates_of)
        self._opener = Opener(
            SessionFacts(title, started_at, context, uuid or uuid4(), offset_s),
            templates,
            clock=self._clock,
            log=self._log,
            settings=self._recording,
            make_forecast=lambda: Forecast(self._settings, self._keep_free, self._bytes_per_s),
            on_failure=self._note,
            waits=self._waits,
            memory=self._memory if self._settings.must_be_mounted else None,
            form=form,
        )
        self._copies.append(self._first_copy(1))
        if self._settings.must_be_mounted:
            self._check_memory()
        if self._settings.mirror:
            with suppress(LiputError):  # told; one file is better than none
                self._copies.append(self._first_copy(2))
        if self._spares or templates_of is not None:
            self._backlog = Backlog(list(templates))
        self._guard.start()
        return self._copies[0].part.work

    def _check_memory(self) -> None:
        try:
            self._memory.check()
        except StateError as error:
            self._tell.not_remembered(error)

    def _first_copy(self, number: int) -> Copy:
        faults: list[tuple[Archive, LiputError]] = []
        copy = None
        while copy is None and self._spares:
            archive = self._spares.pop(0)
            try:
                copy = Copy(number, [self._open(archive, number, self._part_number, Fraction(0))])
            except LiputError as error:
                faults.append((archive, error))
        if copy is None and number == 1 and faults:
            raise faults[0][1]  # it is told by whoever asked for a recording
        for refused, fault in faults:
            self._tell.fault(str(refused.root), fault)
        if copy is None:
            raise UsageError("a mirror needs a second folder", hint="name one in the settings: [storage] paths")
        return copy

    def _open(self, archive: Archive, copy: int, number: int, start: Fraction) -> Part:
        """Open a part; raises what that raises, and a StorageError where the disk does not answer within OPEN_S."""
        opening = Bounded(partial(self._opener.open, archive, copy, number, start), "storage-open", _undo)
        return opening.get(self._clock, OPEN_S, stalled(archive.root, OPEN_S))

    def _note(self, part: Part, error: LiputError) -> None:
        """Take note that a part has failed; called from its own threads, and from `put`."""
        self._failures.put((part, error))
        self._woken.set()

    # Taking packets

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to every file; waits for no disk unless the session has no clock."""
        if self._waits:
            self._wait_for_room()
        with self._lock:
            if self._forms.changes_with(packet):
                self._change_form()
            self._given_s = max(self._given_s, float((packet.pts + packet.duration) * packet.time_base))
            if self._backlog is not None:
                self._backlog.add(packet)
            for copy in self._copies:
                for part in (copy.part, copy.former):
                    # One that is closing was left, with nowhere to go on.
                    if part is not None and not part.is_closing and self._forms.belongs(packet, part.form):
                        part.put(packet)
            if self._forms.caught_up_with(packet):
                for copy in self._copies:
                    copy.leave_former()

    def _change_form(self) -> None:
        """Let each copy go on in another part, from the packet on that is put next: it is a keyframe."""
        forms = self._forms
        if forms.templates_of is None or self._backlog is None:
            return
        self._opener = self._opener.renewed(forms.templates_of(forms.now), forms.now)
        self._backlog.begin_anew()
        for copy in self._copies:
            if not copy.ended and not copy.is_moving:  # one that moves sees to it when it has moved
                copy.is_moving = True
                copy.move = Bounded(partial(self._renew, copy), "storage-renew")

    def _wait_for_room(self) -> None:
        for copy in self._copies:
            if not copy.part.is_closing:
                copy.part.recording.wait_for_room()
            while copy.part.recording.failed and not copy.ended and not self._closing:
                self._woken.wait(WATCH_S)  # until it goes on elsewhere

    @property
    def on_disk(self) -> OnDisk:
        """What was found on disk, of the file that holds most: bytes in all its parts, and up to where it plays."""
        with self._lock:
            found = [OnDisk(copy.bytes, copy.found_s) for copy in self._copies]
        return max(found, key=lambda each: each.media_time_s, default=OnDisk())

    def beside(self) -> Beside | None:
        """Return where files beside the program go now; None once nothing takes it any more."""
        return next((copy.part.beside for copy in self._copies if not copy.ended), None)

    @property
    def left_s(self) -> float | None:
        """Seconds until the disk that lasts longest has to be left, at the rate at which it fills up; None: unknown."""
        known = [copy.part.forecast.left_s for copy in self._copies if not copy.ended]
        return max((left_s for left_s in known if left_s is not None), default=None)

    # The guard

    def _watch(self) -> None:
        while not self._closing:
            self._clock.wait(self._woken, WATCH_S)
            self._woken.clear()
            try:
                self._attend()
            except Exception as error:  # a mistake of ours must not leave the session without its guard
                self._tell.broken(error)

    def _attend(self) -> None:
        for part, error in self._failed_parts():
            self._lose(part, error)
        for copy in self._copies:
            if not copy.ended and not copy.is_moving and not copy.part.recording.failed:
                self._look(copy)
        with self._lock:
            # While a copy moves the backlog stays: the part that is being opened begins where it began.
            if self._backlog is not None and not any(copy.is_moving for copy in self._copies):
                self._backlog.confirm(min((copy.part.found_s for copy in self._copies if not copy.ended), default=0.0))

    def _failed_parts(self) -> list[tuple[Part, LiputError]]:
        found = []
        with suppress(Empty):
            while True:
                found.append(self._failures.get_nowait())
        return found

    def _look(self, copy: Copy) -> None:
        """See whether a copy's file grows, and how long its disk will last; leave the disk where that is needed."""
        part, now_ns = copy.part, self._clock.now_ns()
        change = part.progress.update(now_ns, part.found_s, self._given_s)
        if change is not None:
            self._tell.progress(part, change, part.progress.standing_s(now_ns))
        standing_s = part.progress.standing_s(now_ns)
        if standing_s > self._settings.stalled_s and self._spares:
            part.recording.fail(stalled(part.work.path, standing_s))
            return
        free = part.recording.free_bytes
        if free is None:
            return
        planned_s = None if self._planned_s is None else max(0.0, self._planned_s - self._given_s)
        media_s = self._given_s - float(part.start)
        level = part.forecast.update(now_ns, free, part.recording.written_bytes, media_s, planned_s)
        if level is not None:
            self._tell.level(part, level, planned_s)
        if level is Level.OVER:
            self._leave(
                copy,
                StorageFull(
                    f"The disk of {part.place} is full, but for what has to stay free",
                    hint="Free space on it before the next session.",
                ),
            )

    def _lose(self, part: Part, error: LiputError) -> None:
        """Take in that a part has failed: its copy goes on elsewhere, if it was the one that took packets."""
        copy = next((copy for copy in self._copies if copy.part is part), None)
        if copy is None or copy.is_moving or copy.ended or isinstance(error, MediaError):  # all of it is there
            self._tell.fault(part.place, error)
        else:
            self._leave(copy, error)

    def _leave(self, copy: Copy, error: LiputError) -> None:
        self._tell.fault(copy.part.place, error)
        copy.is_moving = True
        copy.move = Bounded(lambda: self._move(copy, error), "storage-switch")

    def _renew(self, copy: Copy) -> None:
        """Open a part of the picture's new form beside the one so far, which is closed; elsewhere if that fails."""
        old = copy.part
        with self._lock:
            self._part_number += 1
            number = self._part_number
            start = self._backlog.start if self._backlog is not None else Fraction(0)
        archive = Archive(old.archive.root, self._clock, self._keep_free)
        try:
            new = self._open(archive, copy.number, number, start)
        except Exception as error:  # of whatever kind: another disk may take one
            self._tell.fault(old.place, _told(error))
            self._move(copy, _told(error))
            return
        with self._lock:
            self._hand_over(copy, new)
            copy.former = old
            old.is_void = not old.has_pictures
            if self._forms.has_caught_up:
                copy.leave_former()

    def _hand_over(self, copy: Copy, new: Part) -> float:
        """Let a part take packets, those of the backlog first; return where they begin, in seconds of media time."""
        begins_s = 0.0
        if self._backlog is not None:
            begins_s = float(self._backlog.start)  # later than the part where it grew too large meanwhile
            if new.form == self._forms.now:
                for packet in self._backlog.packets:
                    new.put(packet)
        copy.parts.append(new)
        copy.is_moving = False
        return begins_s

    def _move(self, copy: Copy, error: LiputError) -> None:
        """Open a part on the next disk that takes one, and hand it the backlog; the old one is closed."""
        old = copy.part
        new = self._next_part(copy)
        begins_s = 0.0
        with self._lock:
            if new is not None:
                begins_s = self._hand_over(copy, new)
            copy.ended = new is None
            copy.is_moving = new is not None and new.form != self._forms.now
            is_last = all(each.ended for each in self._copies)
            if copy.ended and not is_last:
                old.close()  # while nothing can be put: what follows the end of its queue is never taken out
        if new is not None:
            if old.progress.is_stalled:
                self._tell.progress(old, Progress.RESUMED, 0.0)
            self._tell.switched(old.place, new, found_s(copy.parts[:-1]), begins_s)
            if copy.is_moving:  # meanwhile the picture has become one of another form
                self._renew(copy)
        elif is_last:
            # Whatever is left of it is closed with the session, and takes what still comes, if it can.
            self._on_failure(error)
            return
        old.close()

    def _next_part(self, copy: Copy) -> Part | None:
        with self._lock:
            start = self._backlog.start if self._backlog is not None else Fraction(0)
        while True:
            with self._lock:
                if not self._spares:
                    return None
                spare = self._spares.pop(0)
                self._part_number += 1
                number = self._part_number
            # Down to what must stay free, not to the reserve: a session that runs takes what there is.
            archive = Archive(spare.root, self._clock, self._keep_free)
            try:
                return self._open(archive, copy.number, number, start)
            except Exception as error:  # of whatever kind: the next one is tried
                self._tell.fault(str(archive.root), _told(error))

    # The end

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Finish every file; returns within bounds, also when a disk never answers.

        `marks` become chapters; what is before the first one is called `title`. What fails only now still goes on
        elsewhere.
        """
        self._closing = True
        self._woken.set()
        self._guard.join()
        while self._settle() or self._close_open(marks, title):
            pass
        for part in self._parts():
            part.close().wait(self._clock, 2 * CLOSE_S, part.recording.progress)

    def _settle(self) -> bool:
        """Let every copy that has failed, or moves, come to rest; return whether there was one."""
        failed = self._failed_parts()
        for part, error in failed:
            self._lose(part, error)
        moves = [(copy, copy.move) for copy in self._copies if copy.move is not None]
        for copy, move in moves:
            copy.move = None
            if not move.wait(self._clock, OPEN_S * (len(self._spares) + 2)):
                copy.ended, copy.is_moving = True, False
        return bool(failed or moves)

    def _close_open(self, marks: Sequence[Mark], title: str) -> bool:
        """Close the parts that are open; return whether there were any."""
        parts = [copy.part for copy in self._copies if not copy.part.is_closing]
        for part, closing in [(part, part.close(marks, title)) for part in parts]:
            closing.wait(self._clock, 2 * CLOSE_S, part.recording.progress)
        return bool(parts)

    def _parts(self) -> list[Part]:
        return [part for copy in self._copies for part in copy.parts]

    @property
    def abandoned(self) -> int:
        """How many files were left to themselves because their disk does not answer."""
        return sum(not part.answers for part in self._parts())

    def discard(self) -> None:
        """Remove the work folders of a session that recorded nothing; raises ArchiveError when there is media in one.

        A disk that does not answer is not asked.
        """
        for part in self._parts():
            if part.answers:
                part.archive.discard(part.work)

    def seal(self, facts: RecordingFacts, progress: SealProgress | None = None) -> Package:
        """Make a package of each copy, the one first that holds most; return the first one's.

        `progress` is that of Archive.seal. What cannot be sealed now, because its disk is gone or does not answer,
        stays in its work folder and is told. Raises what sealing raised where nothing could be sealed.
        """
        from recorder.storing.sealing import Sealer  # loaded while it records: recorder/later.py

        copies = sorted(self._copies, key=lambda copy: copy.found_s, reverse=True)
        sealer = Sealer(self._clock, self._tell, facts, progress)
        packages = [
            package
            for copy in copies
            for package in sealer.seal(copy.parts, [work for work in self._earlier if work.begun.copy == copy.number])
        ]
        if not packages:
            raise sealer.error or StorageError("nothing could be sealed")
        return packages[0]


def _told(error: Exception) -> LiputError:
    return error if isinstance(error, LiputError) else StorageError(repr(error), hint="please report this")


def _undo(part: Part) -> None:
    """Undo the opening of a part that came too late."""
    part.recording.close()
    with suppress(LiputError):
        part.archive.discard(part.work)
