"""From the work folders of one session, all locked, to its package: repaired, joined, described, sealed.

The normal end of a session comes here too, where it has several parts: because it moved to another disk, or because
another recorder had begun it. Then its recorder says what it knows, and nothing is told of a recovery.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress

import msgspec

from config.errors import ArchiveError, MediaError, StorageError
from config.files import read_file
from devices.host.clock import Clock
from recorder.archive import names
from recorder.archive.archive import Archive
from recorder.archive.bag import TAG_MANIFEST_FILE
from recorder.archive.disk import PRIVATE, Disk
from recorder.archive.fixity import Progress, Tally
from recorder.archive.model import UNREADABLE, Package, PartFacts, RecordingFacts, decode_recording
from recorder.archive.work import BEGUN_FILE, PROGRAM, RECORDING_FILE, WorkFolder, encode_begun
from recorder.recovery.assemble import assemble, place_for, sweep
from recorder.recovery.evidence import Left, examine, placed
from recorder.recovery.rebuild import begins, rebuild
from recorder.recovery.repair import repair
from recorder.recovery.telling import PUT_TOGETHER, RECOVERED, joined_log, told
from recorder.troubles import reason_of

NOT_REPAIRED = "media-not-repaired"
"""The reason given when a file stays as the kill left it, because the disk has no room for its repair."""


class Finisher:
    """Makes the package of one session."""

    def __init__(
        self,
        archives: Sequence[Archive],
        *,
        clock: Clock,
        disk: Disk | None = None,
        progress: Progress | None = None,
        apart: Sequence[PartFacts] = (),
        logs: Sequence[bytes] = (),
        empty: Collection[int] = (),
    ) -> None:
        """Make nothing yet: `archives` are those of the work folders, the first the one to put parts together in.

        `progress` gets bytes done and bytes in all. `apart` are the parts of the session that will not be in the
        package, `logs` their event logs, `empty` the numbers of those that held nothing.
        """
        self._archives = archives
        self._clock = clock
        self._disk = disk or Disk()
        self.told = progress
        self._apart = apart
        self._logs = logs
        self._empty = empty
        self.joined: WorkFolder | None = None
        """What the parts have become, once they were put together: they are gone then, also where sealing fails."""

    def finish(self, works: Sequence[WorkFolder], facts: RecordingFacts | None = None) -> Package:
        """Return the package made of the work folders of one session, in the order of their parts.

        `facts` are those of the recorder that has just ended in order; without them it is a recovery. Work folders
        whose recording has become part of another one are removed. Raises ArchiveError when nothing was recorded in
        any of them, MediaError, StorageError and OSError; what was recorded is then still there, in `joined` if there
        is one.
        """
        lefts = placed([examine(work) for work in works])
        if not any(left.files for left in lefts):
            raise ArchiveError(f"{works[0].name} holds no recording", hint="Discard it: there is nothing to keep.")
        tally = Tally(3 * sum(left.size for left in lefts), self.told)  # copied, read back, hashed
        if len(lefts) == 1:
            return self._finish_one(lefts[0], facts, tally)
        return self._join(lefts, facts, tally)

    def room(self, works: Sequence[WorkFolder]) -> Archive:
        """Return the archive that has room for all of `works` together; raises StorageError where none has."""
        return self._place_for([examine(work) for work in works])

    def _place_for(self, lefts: Sequence[Left]) -> Archive:
        used = [self.archive_of(left.work) for left in lefts]
        places = [archive for archive in self._archives if archive in used]
        return place_for(sum(left.size for left in lefts), lefts[0].work.name, places)

    def _first_part(self, lefts: Sequence[Left]) -> int:
        """Return the number of the first part that the package stands for: 1 where none before it held anything."""
        number = min(left.work.begun.part for left in lefts if left.files)
        known = {left.work.begun.part for left in lefts}.union(self._empty)
        return 1 if known.issuperset(range(1, number)) else number

    def _finish_one(self, left: Left, said: RecordingFacts | None, tally: Tally) -> Package:
        """Seal what is in one place: what one recorder left there, or what was joined before."""
        work = left.work
        rebuilt = said is None and not work.begun.joined
        may_be_joined = not work.begun.joined and (said is None or bool(self._apart))
        if self._apart:
            self._complete_log(left)
            facts = rebuild([left.evidence()], work.begun.started_at, said, self._apart)
        else:
            facts = said or work.begun.facts or _described(work) or rebuild([left.evidence()], work.begun.started_at)
        if rebuilt and work.begun.facts is None:
            # Told by the times of files too, which repairing them changes.
            begun = msgspec.structs.replace(work.begun, facts=facts)
            self._disk.write(work.path / BEGUN_FILE, encode_begun(begun), mode=PRIVATE)
            self._disk.sync(work.path)
        for file in left.playable:
            name = file.path.name
            title, marks = (work.begun.title, facts.marks) if name == PROGRAM else ("", ())
            try:
                repair(file.path, self._disk, marks=marks, title=title, advance=tally.add)
            except (StorageError, MediaError, OSError):
                # It plays as it is; better sealed so than not at all.
                reason = reason_of(NOT_REPAIRED, name)
                facts = msgspec.structs.replace(facts, degraded=tuple(dict.fromkeys((*facts.degraded, reason))))
        if left.offset_s and not work.begun.joined:
            facts = msgspec.structs.replace(facts, offsets={file.path.name: left.offset_s for file in left.files})
        if rebuilt:
            log = left.log()
            content = told(log, names.session_of(work.name), facts, [work.begun.part], self._clock, RECOVERED)
            if content != log:
                self._disk.make_folder(work.metadata)
                self._disk.write(work.events, content)
        work.begun = msgspec.structs.replace(work.begun, part=self._first_part([left]))
        return self.archive_of(work).seal(work, facts, tally.last, may_be_joined=may_be_joined)

    def _complete_log(self, left: Left) -> None:
        """Add the events that another part of the same run has: the disk of this one may have refused them."""
        log = left.log()
        for other in self._logs:
            if begins(log) and begins(other) == begins(log):
                log = joined_log([log, other])
        if log != left.log():
            self._disk.write(left.work.events, log)

    def _join(self, lefts: Sequence[Left], said: RecordingFacts | None, tally: Tally) -> Package:
        """Make one work folder of several, then seal that."""
        facts = rebuild([left.evidence() for left in lefts], lefts[0].work.begun.started_at, said, self._apart)
        name = names.session_of(lefts[0].work.name)
        log = joined_log([left.log() for left in lefts])
        if said is None:
            parts = [left.work.begun.part for left in lefts]
            were_sealed = all((left.work.path / TAG_MANIFEST_FILE).exists() for left in lefts)
            log = told(log, name, facts, parts, self._clock, PUT_TOGETHER if were_sealed else RECOVERED)
        # Where a recovery was interrupted before the session went on.
        sweep([self.archive_of(left.work) for left in lefts], name, lefts[0].work.begun.copy)
        first = self._first_part(lefts)
        work = self.joined = assemble(lefts, self._place_for(lefts), facts, log, self._disk, tally.add, first)
        archive = self.archive_of(work)
        try:
            for left in lefts:
                self.retire(left.work)
            return archive.seal(work, work.begun.facts, tally.last)
        finally:
            work.release()

    def retire(self, work: WorkFolder) -> None:
        """Remove a work folder whose recording is safe elsewhere; one on a disk that does not let go of it stays."""
        with suppress(OSError):
            self._disk.remove_tree(work.path, BEGUN_FILE)
        work.release()

    def archive_of(self, work: WorkFolder) -> Archive:
        """Return the archive that a work folder is in."""
        return next(archive for archive in self._archives if archive.root == work.archive_root)


def _described(work: WorkFolder) -> RecordingFacts | None:
    """Return what the recorder, or an earlier recovery, wrote into the description before it was stopped."""
    try:
        recording = decode_recording(read_file(work.path / RECORDING_FILE))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    degraded = tuple(reason for reason in recording.degraded if reason != UNREADABLE)
    facts = msgspec.convert(recording, RecordingFacts, from_attributes=True)
    return msgspec.structs.replace(facts, degraded=degraded)
