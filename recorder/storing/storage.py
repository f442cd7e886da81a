"""Where a session is recorded: one file, or two at once, each of which goes on elsewhere when its disk does not.

    packets --> Tee --+--> Backlog (from the last keyframe that is safe on)
                      +--> copy 1: Part 1 on the first disk, then Part 2 on another, ...
                      +--> copy 2, with `storage.mirror`

A copy has one part that takes packets. The guard, a thread that asks no disk anything, looks at what each part's own
threads have found: whether it grows, how long the disk will last, what has failed. When a copy leaves its disk the
Mover opens a part in the next folder of the settings, which begins with the backlog: at a keyframe, with nothing
missing. Where the picture becomes one of another form (its encoder has failed), each copy gets another part beside the
one so far.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue

from config.errors import LiputError, MediaError, StateError, StorageError, StorageFull, StorageStalled, as_ours
from config.schema import Recording as RecordingSettings
from config.schema import Storage as StorageSettings
from devices.clock import NANOSECONDS, Clock
from recorder.archive.archive import Archive
from recorder.archive.fixity import Progress as SealProgress
from recorder.archive.model import Mark, Package, RecordingFacts
from recorder.archive.work import WorkFolder
from recorder.eventlog import EventLog
from recorder.isolate import Beside
from recorder.packet import EncodedPacket
from recorder.recording import CLOSE_S, OnDisk, OnFailure
from recorder.storing.bounded import asked
from recorder.storing.copies import Copy
from recorder.storing.faults import stalled
from recorder.storing.forecast import Forecast, Level
from recorder.storing.mounts import MountMemory
from recorder.storing.moving import Mover
from recorder.storing.opening import Opener, SessionFacts
from recorder.storing.part import Part
from recorder.storing.progress import Progress
from recorder.storing.tee import Forms, Tee, Templates
from recorder.storing.telling import Teller

WATCH_S = 0.25
"""How often the guard looks."""

STOOD_STILL_S = 2.0
"""So long after the last look it is taken that this whole process stood still: it was stopped, or its machine was."""

type _Failure = tuple[Part, LiputError]


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
    ) -> None:
        """Make nothing yet: `archives` are the folders to record to, in order.

        `on_failure` is told when none of them is left. `bytes_per_s` is what is expected of the recording, `planned_s`
        its length, if that is known.
        """
        self._archives = archives
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
        self._memory = MountMemory()
        self._earlier: Sequence[WorkFolder] = ()
        self.joined: WorkFolder | None = None
        """What parts were put together in, where that could not be sealed."""
        self._failures: SimpleQueue[_Failure] = SimpleQueue()
        self._early: list[_Failure] = []
        self._closing = False
        self._looked_ns = 0
        self._woken = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="storage-guard", daemon=True)

    # Beginning

    def begin(
        self,
        session: SessionFacts,
        templates: Templates,
        *,
        form: int = 0,
        templates_of: Callable[[int], Templates] | None = None,
    ) -> WorkFolder:
        """Open the first file, or the first two, and the event log beside each; return the first work folder.

        A folder that cannot be recorded to is told, and the next one taken; raises the first one's StorageError when
        there is none. The event log gets each work folder's file. `templates` are of the picture's `form`,
        `templates_of` says those of others, where there may be any.
        """
        self._earlier = session.earlier
        opener = Opener(
            session,
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
        self._tee = tee = Tee(Forms(form, templates, templates_of))
        self._mover = mover = Mover(
            self._archives,
            opener,
            tee,
            number=session.part,
            earlier=session.earlier,
            keep_free=self._keep_free,
            clock=self._clock,
            tell=self._tell,
            on_no_disk=self._on_failure,
        )
        for number in (1, 2) if self._settings.mirror else (1,):
            copy = mover.first(number)
            if copy is not None:  # else it is told; one file is better than none
                tee.copies.append(copy)
        if self._settings.must_be_mounted:
            self._check_memory()
        if mover.has_spares or templates_of is not None:
            tee.keep(list(templates))
        try:
            self._guard.start()
        except RuntimeError:  # there are too many threads: nothing is left behind, and nobody else is asked to do that
            self._log.close()
            for part in self._parts():
                part.recording.close()
                with suppress(LiputError):
                    part.archive.discard(part.work)
            raise
        return tee.copies[0].part.work

    def _check_memory(self) -> None:
        try:
            self._memory.check()
        except StateError as error:
            self._tell.not_remembered(error)

    def _note(self, part: Part, error: LiputError) -> None:
        """Take note that a part has failed; called from its own threads, and from `put`."""
        self._failures.put((part, error))
        self._woken.set()

    # Taking packets

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to every file; waits for no disk unless the session has no clock."""
        if self._waits:
            self._wait_for_room()
        self._tee.put(packet)

    def _wait_for_room(self) -> None:
        for copy in self._tee.copies:
            if not copy.part.is_closing:
                copy.part.recording.wait_for_room()
            while copy.part.recording.failed and not copy.ended and not self._closing:
                self._woken.wait(WATCH_S)  # until it goes on elsewhere

    @property
    def on_disk(self) -> OnDisk:
        """What was found on disk, of the file that holds most: bytes in all its parts, and up to where it plays."""
        return self._tee.on_disk

    def beside(self) -> Beside | None:
        """Return where files beside the program go now; None once nothing takes it any more."""
        return next((copy.part.beside for copy in self._tee.copies if not copy.ended), None)

    @property
    def left_s(self) -> float | None:
        """Seconds until the disk that lasts longest has to be left, at the rate at which it fills up; None: unknown."""
        known = [copy.part.forecast.left_s for copy in self._tee.copies if not copy.ended]
        return max((left_s for left_s in known if left_s is not None), default=None)

    # The guard

    def _watch(self) -> None:
        self._looked_ns = self._clock.now_ns()
        while not self._closing:
            self._clock.wait(self._woken, WATCH_S)
            self._woken.clear()
            try:
                self._attend()
            except Exception as error:  # a mistake of ours must not leave the session without its guard
                self._tell.broken(error)

    def _attend(self) -> None:
        self._lose_what_failed()
        self._see_if_all_stood_still()
        for copy in self._tee.copies:
            if not copy.ended and not copy.is_moving and not copy.part.recording.failed:
                self._look(copy)
        self._tee.confirm()

    def _see_if_all_stood_still(self) -> None:
        """Hold nothing against a disk that was not asked: this may be the first thread to go on."""
        now_ns = self._clock.now_ns()
        since_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        if since_ns > STOOD_STILL_S * NANOSECONDS:
            for copy in self._tee.copies:
                copy.part.progress.stood_still(now_ns, since_ns)

    def _lose_what_failed(self) -> bool:
        """Take in which parts have failed; return whether there was one."""
        found, self._early = self._early, []
        with suppress(Empty):
            while True:
                found.append(self._failures.get_nowait())
        for part, error in found:
            self._lose(part, error)
        return bool(found)

    def _look(self, copy: Copy) -> None:
        """See whether a copy's file grows, and how long its disk will last; leave the disk where that is needed."""
        part, now_ns, given_s = copy.part, self._clock.now_ns(), self._tee.given_s
        change = part.progress.update(now_ns, part.found_s, given_s)
        if change is not None:
            self._tell.progress(part, change, part.progress.standing_s(now_ns))
        if change is Progress.RESUMED:
            self._mover.count_again(copy)
        standing_s = part.progress.standing_s(now_ns)
        # What waits for its disk would wait for ever; until it does, it may be its source that gives nothing. Else it
        # may still go on, where no other disk takes the recording.
        is_lost = part.recording.is_full if self._waits else self._mover.has_spares
        if standing_s > self._settings.stalled_s and is_lost:
            error = stalled(part.work.path, standing_s)
            if self._waits:
                part.recording.fail(error)
            else:
                self._mover.leave(copy, error, may_stay=True)
            return
        free = part.recording.free_bytes
        if free is None:
            return
        planned_s = None if self._planned_s is None else max(0.0, self._planned_s - given_s)
        media_s = given_s - float(part.start)
        was = part.forecast.level
        level = part.forecast.update(now_ns, free, part.recording.written_bytes, media_s, planned_s)
        if level is not None:
            self._tell.level(part, level, planned_s, was=was)
        if level is Level.OVER:
            self._mover.leave(
                copy,
                StorageFull(
                    f"The disk of {part.place} is full, but for what has to stay free",
                    hint="Free space on it before the next session.",
                ),
            )

    def _lose(self, part: Part, error: LiputError) -> None:
        """Take in that a part has failed: its copy goes on elsewhere, if it was the one that took packets.

        One that is open already, and whose copy is still on its way to it, is looked at again when that is there; so is
        one whose copy is on its way elsewhere, and may have to stay.
        """
        copy, is_any_moving = self._tee.holder(part)
        if (copy is None and is_any_moving) or (copy is not None and copy.is_moving and copy.part is part):
            self._early.append((part, error))
        elif copy is None or copy.part is not part or copy.ended or isinstance(error, MediaError):
            # Of what is damaged all is there, and none of it would be better elsewhere.
            self._tell.fault(part.place, error)
        else:
            self._mover.leave(copy, error)

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
        has_failed = self._lose_what_failed()
        return self._mover.wait() or has_failed

    def _close_open(self, marks: Sequence[Mark], title: str) -> bool:
        """Close the parts that are open; return whether there were any."""
        parts = [copy.part for copy in self._tee.copies if not copy.part.is_closing]
        for part, closing in [(part, part.close(marks, title)) for part in parts]:
            closing.wait(self._clock, 2 * CLOSE_S, part.recording.progress)
        return bool(parts)

    def _parts(self) -> list[Part]:
        return [part for copy in self._tee.copies for part in copy.parts]

    def discard(self) -> None:
        """Remove the work folders of a session that recorded nothing; raises ArchiveError when there is media in one.

        A disk that does not answer is not asked; where it stops only now its work folder stays, and that is told.
        """
        for part in self._parts():
            if part.answers:
                try:
                    asked(partial(part.archive.discard, part.work), part.work.path, self._clock)
                except (StorageStalled, RuntimeError) as error:  # that is where there are too many threads
                    self._tell.left_behind(part.place, part.work.path, as_ours(error))

    def seal(self, facts: RecordingFacts, progress: SealProgress | None = None) -> list[Package]:
        """Make a package of each copy, or of each of its parts that cannot be joined; those of the fullest copy first.

        `progress` is that of Archive.seal. What cannot be sealed now, because its disk is gone or does not answer,
        stays in its work folder and is told; so is what an earlier recorder left of a copy that was not gone on with.
        Raises what sealing raised where nothing could be sealed.
        """
        from recorder.storing.sealing import Sealer  # loaded while it records: recorder/later.py

        copies = sorted(self._tee.copies, key=lambda copy: copy.found_s, reverse=True)
        sealer = Sealer(self._clock, self._tell, facts, progress)
        numbers = {copy.number for copy in copies}
        sealer.leave_earlier([work for work in self._earlier if work.begun.copy not in numbers])
        packages = [
            package
            for copy in copies
            for package in sealer.seal(copy.parts, [work for work in self._earlier if work.begun.copy == copy.number])
        ]
        self.joined = sealer.joined
        if not packages:
            raise sealer.error or StorageError("nothing could be sealed")
        return packages
