"""Makes one package of a session's locked work folders: repairs, joins, describes and seals them.

An orderly end comes here too if the session has several parts: it moved to another disk, or was resumed. Its recorder
then gives the facts, and no recovery is reported.

Parts are joined in `.NAME.joining` (for a second copy `.NAME.copy2.joining`), which counts as no session. One rename
makes it `NAME.joined`. Until then the parts count, from then on the joined folder: at any stop one of them is whole. A
failure removes the half-built folder; after a kill the next attempt does.
"""

import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import msgspec

from config.errors import ArchiveError, MediaError, StorageError
from config.files import read_file
from config.settings.quantities import brief_size
from devices.host.clock import NANOSECONDS, Clock
from recorder.archive.archive import INCOMING, Archive
from recorder.disk.durable import DurableFiles
from recorder.model.eventlog import read_events
from recorder.model.names import JOINED, session_in_name
from recorder.model.session_faults import reason_of
from recorder.package.fixity import ByteProgress, Progress, folders_below
from recorder.package.media import holds_media, probe_media
from recorder.package.metadata import UNREADABLE, Package, PartFacts, RecordingFacts, decode_recording
from recorder.package.work_folder import BEGUN_FILE, METADATA_FILES, PROGRAM, RECORDING_FILE, WorkFolder, write_begun
from recorder.recovery.rebuild import (
    PUT_TOGETHER,
    RECOVERED,
    PartEvidence,
    live_events,
    merge_logs,
    rebuild_facts,
    run_offset_s,
    with_recovered_event,
)
from recorder.recovery.remux import Advance, MediaPiece, has_tracks, join_media, mend_end, repair_media

MOST_MOVED_S = 60.0  # the longest delay of a recorder's start behind its `begun.json`


@dataclass(frozen=True, slots=True)
class PartMedia:
    """The media files of one part, the program first; `unplayable` files cannot be copied."""

    work: WorkFolder
    playable: tuple[MediaPiece, ...]
    unplayable: tuple[MediaPiece, ...]
    offset_s: float

    @property
    def files(self) -> tuple[MediaPiece, ...]:
        return self.playable + self.unplayable

    @property
    def size(self) -> int:
        """The bytes of all media files."""
        return sum(file.bytes for file in self.files)

    def evidence(self) -> PartEvidence:
        begun = self.work.begun
        duration_s, written_at = 0.0, None
        if self.playable:
            program = self.playable[0].path
            duration_s = probe_media(program, program.name).duration_s
            written_at = datetime.fromtimestamp(program.stat().st_mtime, begun.started_at.tzinfo)
        return PartEvidence(
            part=begun.part, copy=begun.copy, offset_s=self.offset_s, duration_s=duration_s, written_at=written_at,
            events=read_events(self.log()),
        )  # fmt: skip

    def log(self) -> bytes:
        try:
            return read_file(self.work.events, cut=True)
        except FileNotFoundError:
            return b""


def examine_part(work: WorkFolder) -> PartMedia:
    """Mend and return the playable media of a work folder. Raises ArchiveError for a link, StorageError and OSError."""
    work.refuse_irregular()
    paths = sorted(
        (path for path in work.media.glob("*") if path.is_file() and not path.name.startswith(".")),
        key=lambda path: (path.name != PROGRAM, path.name),
    )
    files = [mend_end(path) for path in paths if holds_media(path)]
    playable = tuple(filter(has_tracks, files))
    return PartMedia(work, playable, tuple(file for file in files if file not in playable), work.begun.offset_s)


def place_by_clock(lefts: Sequence[PartMedia]) -> list[PartMedia]:
    """Return the parts, moved by CLOCK_MONOTONIC of their logs; two boots cannot be compared."""
    found: list[PartMedia] = []
    zeros: dict[str, float] = {}  # CLOCK_MONOTONIC at media time 0 of the session, by boot
    recorder = None
    moved_s = 0.0
    for left in lefts:
        begun, log = left.work.begun, left.log()
        live = next(reversed(live_events(log)), None)
        if live is not None and live != recorder:
            recorder, moved_s = live, 0.0
            clock_ns = live.detail.get("clock_ns")
            base_s = begun.offset_s - run_offset_s(read_events(log), begun.part)
            if isinstance(clock_ns, int) and clock_ns and begun.boot:
                clock_s = clock_ns / NANOSECONDS
                expected_s = zeros.setdefault(begun.boot, clock_s - base_s) + base_s
                moved_s = clock_s - expected_s if abs(clock_s - expected_s) < MOST_MOVED_S else 0.0
        found.append(replace(left, offset_s=max(0.0, begun.offset_s + moved_s)))
    return found


SPARE_BYTES = 20_000_000  # the room for a package's files other than media


def archive_with_room(size: int, name: str, archives: Iterable[Archive]) -> Archive:
    """Return the first of `archives` with room for `size` bytes of media. Raises StorageError."""
    needed = size + SPARE_BYTES
    for archive in dict.fromkeys(archives):
        try:
            free = shutil.disk_usage(archive.root).free
        except OSError:
            continue
        if free >= needed:
            return archive
    raise StorageError(
        f"No archive has {brief_size(needed)} free, which joining the parts of {name} takes",
        hint="Free space on one of their disks; the parts are kept, and liput serve joins them then.",
        why="full",
    )


def joining_folder(archive: Archive, name: str, copy: int) -> Path:
    """Return the folder for joining copy `copy`; other copies may be joined at the same time."""
    return archive.root / INCOMING / (f".{name}.joining" if copy == 1 else f".{name}.copy{copy}.joining")


def remove_half_joined(archives: Iterable[Archive], name: str, copy: int) -> None:
    """Remove half-joined folders of this copy; the caller holds the locks of its parts, so nobody is joining them."""
    for archive in archives:
        shutil.rmtree(joining_folder(archive, name, copy), ignore_errors=True)


def _sizes(work: WorkFolder) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in work.media.glob("*")}


def _copy_others(lefts: Sequence[PartMedia], building: WorkFolder) -> None:
    """Copy files that cannot be joined: unplayable media, letters, other metadata."""
    for left in lefts:
        part = left.work.begun.part
        unplayable = [file.path for file in left.unplayable]
        further = [
            path
            for path in left.work.metadata.glob("*")
            if path.is_file()
            and not path.name.startswith(".")
            and path.relative_to(left.work.path).as_posix() not in METADATA_FILES  # rewritten for all parts
        ]
        letters = [path for path in left.work.letters.glob("*") if not path.name.startswith(".")]
        for path in letters:
            copy = building.path / path.relative_to(left.work.path)
            if not copy.exists():  # each part has the same
                copy.parent.mkdir(exist_ok=True)
                shutil.copy2(path, copy)
        for path in (*unplayable, *further):
            copy = building.path / path.relative_to(left.work.path)
            if copy.exists():
                copy = copy.with_name(f"{copy.stem}.part{part}{copy.suffix}")
            shutil.copy2(path, copy)


NOT_REPAIRED = "media-not-repaired"  # the reason if a file stays unrepaired, as for lack of room


@dataclass
class SessionPackager:
    """Makes the package of one session.

    `archives` are those of the work folders, the preferred one for joining first. `progress` gets bytes done and in
    all. `apart` are parts outside the package, `logs` their logs, `empty` the numbers of parts without media. `joined`
    is the joined work folder, from the time its parts are gone, also after a failed sealing.
    """

    archives: Sequence[Archive]
    clock: Clock
    disk: DurableFiles = field(default_factory=DurableFiles)
    progress: Progress | None = None
    apart: Sequence[PartFacts] = ()
    logs: Sequence[bytes] = ()
    empty: Collection[int] = ()
    joined: WorkFolder | None = None

    def finish(self, works: Sequence[WorkFolder], facts: RecordingFacts | None = None) -> Package:
        """Make one package of a session's work folders, in order of their parts.

        `facts` come from the recorder that just ended; without them it is a recovery. Joined work folders are removed.
        Raises ArchiveError without a recording, MediaError, StorageError and OSError; the recording then stays, in
        `joined` if set.
        """
        lefts = place_by_clock([examine_part(work) for work in works])
        if not any(left.files for left in lefts):
            raise ArchiveError(f"{works[0].name} holds no recording", hint="Discard it: there is nothing to keep.")
        tally = ByteProgress(3 * sum(left.size for left in lefts), self.progress)  # copied, read back, hashed
        if len(lefts) == 1:
            return self._finish_one(lefts[0], facts, tally)
        return self._join(lefts, facts, tally)

    def room(self, works: Sequence[WorkFolder]) -> Archive:
        """Return the first archive with room for all `works`. Raises StorageError."""
        return self._place_for([examine_part(work) for work in works])

    def _place_for(self, lefts: Sequence[PartMedia]) -> Archive:
        used = [self.archive_of(left.work) for left in lefts]
        places = [archive for archive in self.archives if archive in used]
        return archive_with_room(sum(left.size for left in lefts), lefts[0].work.name, places)

    def _part_number(self, lefts: Sequence[PartMedia]) -> int:
        """Return the package's part number: 1 if all earlier parts were empty."""
        number = min(left.work.begun.part for left in lefts if left.files)
        known = {left.work.begun.part for left in lefts}.union(self.empty)
        return 1 if known.issuperset(range(1, number)) else number

    def _finish_one(self, left: PartMedia, said: RecordingFacts | None, tally: ByteProgress) -> Package:
        work = left.work
        rebuilt = said is None and not work.begun.joined
        may_be_joined = not work.begun.joined and (said is None or bool(self.apart))
        if self.apart:
            self._complete_log(left)
            facts = rebuild_facts([left.evidence()], work.begun.started_at, said, self.apart)
        else:
            facts = (
                said or work.begun.facts or _described(work) or rebuild_facts([left.evidence()], work.begun.started_at)
            )
        if rebuilt and work.begun.facts is None:
            # The facts depend on file times, which a repair changes.
            write_begun(work.path, msgspec.structs.replace(work.begun, facts=facts), self.disk)
            self.disk.sync(work.path)
        for file in left.playable:
            name = file.path.name
            title, marks = (facts.title or work.begun.title, facts.marks) if name == PROGRAM else ("", ())
            try:
                repair_media(file.path, self.disk, marks=marks, title=title, advance=tally.add)
            except (StorageError, MediaError, OSError):
                # An unrepaired file plays; sealing it so is better than not at all.
                reason = reason_of(NOT_REPAIRED, name)
                facts = msgspec.structs.replace(facts, degraded=tuple(dict.fromkeys((*facts.degraded, reason))))
        if left.offset_s and not work.begun.joined:
            facts = msgspec.structs.replace(facts, offsets={file.path.name: left.offset_s for file in left.files})
        if rebuilt:
            log = left.log()
            content = with_recovered_event(
                log, session_in_name(work.name), facts, [work.begun.part], self.clock, RECOVERED
            )
            if content != log:
                self.disk.make_folder(work.metadata)
                self.disk.write(work.events, content)
        work.begun = msgspec.structs.replace(work.begun, part=self._part_number([left]))
        return self.archive_of(work).seal(work, facts, tally.last, may_be_joined=may_be_joined)

    def _complete_log(self, left: PartMedia) -> None:
        """Add events from logs of the same run: this part's disk may have refused them."""
        log = left.log()
        for other in self.logs:
            if live_events(log) and live_events(other) == live_events(log):
                log = merge_logs([log, other])
        if log != left.log():
            self.disk.write(left.work.events, log)

    def _join(self, lefts: Sequence[PartMedia], said: RecordingFacts | None, tally: ByteProgress) -> Package:
        facts = rebuild_facts([left.evidence() for left in lefts], lefts[0].work.begun.started_at, said, self.apart)
        name = session_in_name(lefts[0].work.name)
        log = merge_logs([left.log() for left in lefts])
        if said is None:
            parts = [left.work.begun.part for left in lefts]
            were_sealed = all(left.work.was_sealed() for left in lefts)
            log = with_recovered_event(log, name, facts, parts, self.clock, PUT_TOGETHER if were_sealed else RECOVERED)
        # left by an interrupted recovery before the session was resumed
        remove_half_joined([self.archive_of(left.work) for left in lefts], name, lefts[0].work.begun.copy)
        work = self.joined = self._join_folders(lefts, facts, log, tally.add)
        archive = self.archive_of(work)
        try:
            for left in lefts:
                self.retire(left.work)
            return archive.seal(work, work.begun.facts, tally.last)
        finally:
            work.release()

    def _join_folders(
        self, lefts: Sequence[PartMedia], facts: RecordingFacts, log: bytes, advance: Advance
    ) -> WorkFolder:
        """Join all parts into one work folder with the session's `facts` and `log`; return it, locked.

        Raises MediaError, StorageError and OSError; the parts are then unchanged, and the half-joined folder is
        removed.
        """
        archive, first = self._place_for(lefts), lefts[0].work
        begun = msgspec.structs.replace(first.begun, part=self._part_number(lefts))
        building = WorkFolder(joining_folder(archive, session_in_name(first.name), begun.copy), begun)
        self.disk.begin("mkdir", building.path)
        building.path.mkdir()  # an existing folder is another process's, not ours to remove
        try:
            joined = self._build(lefts, building, facts, log, advance)
        except Exception:
            shutil.rmtree(building.path, ignore_errors=True)  # sealing the parts needs the room
            raise
        return archive.reopen(joined)

    def _build(
        self, lefts: Sequence[PartMedia], building: WorkFolder, facts: RecordingFacts, log: bytes, advance: Advance
    ) -> Path:
        name = session_in_name(lefts[0].work.name)
        building.media.mkdir(parents=True)
        building.metadata.mkdir()
        made = self._join_files(lefts, building, facts, advance)
        offsets = {path.name: round(offset_s, 6) for path, offset_s in made if offset_s > 0}
        _copy_others(lefts, building)
        self.disk.write(building.events, log)
        begun = msgspec.structs.replace(
            building.begun,
            joined=tuple(left.work.begun.part for left in lefts),
            facts=msgspec.structs.replace(facts, offsets=offsets),
        )
        write_begun(building.path, begun, self.disk)
        for path in (*(path for path in building.path.rglob("*") if path.is_file()), *folders_below(building.path)):
            self.disk.sync(path)
        sizes = _sizes(building) | {path.name: path.stat().st_size for path, _ in made}  # raises for a missing file
        joined = WorkFolder(building.path.with_name(f"{name}{JOINED}"), begun)
        self.disk.move_folder(building.path, joined.path)
        if _sizes(joined) != sizes:
            self.disk.move_folder(joined.path, building.path)  # the parts count again
            raise StorageError(
                f"The folder for joining {name} was changed meanwhile; its parts are kept",
                hint=f"Find the program that removes files in {building.path.parent}, then run liput recover again.",
            )
        return joined.path

    def _join_files(
        self, lefts: Sequence[PartMedia], building: WorkFolder, facts: RecordingFacts, advance: Advance
    ) -> list[tuple[Path, float]]:
        made: list[tuple[Path, float]] = []
        all_names = dict.fromkeys(file.path.name for left in lefts for file in left.playable)
        for name in all_names:
            pieces = [
                replace(file, offset_s=left.offset_s)
                for left in lefts
                for file in left.playable
                if file.path.name == name
            ]
            marks, title = (facts.marks, facts.title or building.begun.title) if name == PROGRAM else ((), "")
            made += join_media(
                pieces, building.media / name, self.disk, marks=marks, title=title, taken=all_names, advance=advance
            )
        return made

    def retire(self, work: WorkFolder) -> None:
        """Remove a work folder after its recording is safe elsewhere; errors of its disk are ignored."""
        with suppress(OSError):
            self.disk.remove_tree(work.path, BEGUN_FILE)
        work.release()

    def archive_of(self, work: WorkFolder) -> Archive:
        return next(archive for archive in self.archives if archive.root == work.archive_root)


def _described(work: WorkFolder) -> RecordingFacts | None:
    """Return the facts of an earlier description, by the recorder or a recovery; None without one."""
    try:
        recording = decode_recording(read_file(work.path / RECORDING_FILE))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    degraded = tuple(reason for reason in recording.degraded if reason != UNREADABLE)
    facts = msgspec.convert(recording, RecordingFacts, from_attributes=True)
    return msgspec.structs.replace(facts, degraded=degraded)
