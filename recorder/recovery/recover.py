"""From what a crash has left to a sealed package: found, locked, repaired, joined, described, sealed.

Each step leaves, whatever stops it, something that the next attempt goes on with: see docs/archive.md. What another
process records or seals is left alone.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum

import msgspec

from config.errors import LiputError, MediaError, PackageBusy, PackageNotFound, StorageError
from devices.clock import Clock
from recorder.archive import catalog
from recorder.archive.archive import Archive
from recorder.archive.bag import TAG_MANIFEST_FILE
from recorder.archive.disk import Disk
from recorder.archive.model import Gap, Recording, RecordingFacts
from recorder.archive.sealing import UNREADABLE
from recorder.archive.work import BEGUN_FILE, PROGRAM, RECORDING_FILE, WorkFolder
from recorder.recovery.assemble import assemble, joining_folder, place_for
from recorder.recovery.evidence import Left, examine
from recorder.recovery.find import Unfinished
from recorder.recovery.rebuild import rebuild
from recorder.recovery.repair import repair
from recorder.recovery.telling import joined_log, missing, told

type OnProgress = Callable[[str, int, int], None]
"""Gets a session's name, bytes done and bytes in all, again and again."""

NOT_REPAIRED = "media-not-repaired"
"""The reason given when a file stays as the kill left it, because the disk has no room for its repair."""


class State(StrEnum):
    """What became of an unfinished session."""

    SEALED = "sealed"
    DISCARDED = "discarded"
    """Nothing had been recorded."""
    RECORDING = "recording"
    """Another process records it, or seals it."""
    FAILED = "failed"
    """It stays where it is; the message says why."""
    UNFINISHED = "unfinished"
    """It would be recovered; only looked at."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="recovery"):
    """What became of one unfinished session, as `liput recover --json` prints it; `parts` are its work folders."""

    id: str
    uuid: str
    title: str
    state: State
    package: str | None = None
    parts: list[str]
    bytes: int = 0
    duration_s: float | None = None
    gaps: list[Gap] = []
    degraded: list[str] = []
    message: str = ""
    hint: str = ""


class Recovery:
    """Recovers sessions of one set of archives."""

    def __init__(
        self,
        archives: Sequence[Archive],
        *,
        clock: Clock,
        disk: Disk | None = None,
        progress: OnProgress | None = None,
    ) -> None:
        self._archives = archives
        self._clock = clock
        self._disk = disk or Disk()
        self._progress = progress

    def look(self, session: Unfinished) -> Outcome:
        """Return what there is of a session, and whether somebody records it; changes nothing."""
        size = sum(catalog.read_unfinished(part.folder).bytes for part in session.parts)
        try:
            with _locked(session):
                return _outcome(session, State.UNFINISHED, bytes=size)
        except (PackageBusy, PackageNotFound) as error:
            return _outcome(session, State.RECORDING, bytes=size, message=error.message, hint=error.hint)

    def recover(self, session: Unfinished) -> Outcome:
        """Seal a session, discard it if nothing was recorded, or say why neither was done; never raises for one."""
        try:
            with _locked(session) as works:
                return self._recover(session, works)
        except (PackageBusy, PackageNotFound) as error:
            return _outcome(session, State.RECORDING, message=error.message, hint=error.hint)
        except LiputError as error:
            return _outcome(session, State.FAILED, message=error.message, hint=error.hint)
        except OSError as error:
            return _outcome(
                session, State.FAILED, message=f"{error.filename or session.name}: {error.strerror}",
                hint="Check the disk, then say liput recover again; what was recorded is kept.",
            )  # fmt: skip

    def _recover(self, session: Unfinished, works: Sequence[WorkFolder]) -> Outcome:
        self._sweep(session)
        works = self._without_leftovers(session, works)
        if not works:
            return _outcome(session, State.DISCARDED, message="it was sealed before; what was left of it is removed")
        if len(works) == 1 and _only_awaits_its_rename(works[0]):
            return self._seal(session, works[0], None)
        lefts = [examine(work) for work in works]
        if not any(left.files for left in lefts):
            for work in works:
                self._archive_of(session, work).discard(work)
            return _outcome(session, State.DISCARDED, message="nothing had been recorded; it is removed")
        return self._recover_one(session, lefts[0]) if len(lefts) == 1 else self._join(session, lefts)

    def _recover_one(self, session: Unfinished, left: Left) -> Outcome:
        """Seal what one recorder left in one place, or what was joined before."""
        work = left.work
        facts = work.begun.facts or _described(work) or rebuild([left.evidence()], work.begun.started_at)
        meter = self._meter(session, [left])
        for file in left.files:
            title, marks = (work.begun.title, facts.marks) if file.name == PROGRAM else ("", ())
            try:
                if file.is_playable:
                    repair(file.path, self._disk, marks=marks, title=title, advance=meter.advance)
            except (StorageError, MediaError, OSError):
                # It plays as it is; better sealed so than not at all.
                reason = f"{NOT_REPAIRED}: {file.name}"
                facts = msgspec.structs.replace(facts, degraded=tuple(dict.fromkeys((*facts.degraded, reason))))
        if work.begun.part > 1 and not work.begun.joined:
            facts = msgspec.structs.replace(facts, offsets={file.name: work.begun.offset_s for file in left.files})
        if not work.begun.joined:
            log = left.log()
            content = told(log, session.name, facts, [work.begun.part], self._clock)
            if content != log:
                self._disk.write(work.events, content)
        return self._seal(session, work, facts, meter)

    def _join(self, session: Unfinished, lefts: Sequence[Left]) -> Outcome:
        """Make one work folder of several, then seal that."""
        facts = rebuild([left.evidence() for left in lefts], session.begun.started_at)
        log = joined_log([left.log() for left in lefts])
        log = told(log, session.name, facts, [left.work.begun.part for left in lefts], self._clock)
        archive = place_for(lefts, [self._archive_of(session, left.work) for left in lefts])
        meter = self._meter(session, lefts)
        work = assemble(lefts, archive, facts, log, self._disk, meter.advance)
        try:
            for left in lefts:
                self._retire(left.work)
            return self._seal(session, work, work.begun.facts, meter, archive)
        finally:
            work.release()

    def _seal(
        self,
        session: Unfinished,
        work: WorkFolder,
        facts: RecordingFacts | None,
        meter: "_Meter | None" = None,
        archive: Archive | None = None,
    ) -> Outcome:
        archive = archive or self._archive_of(session, work)
        package = archive.seal(work, facts, meter.hashed if meter else None)
        recording = package.recording or None
        return _outcome(
            session,
            State.SEALED,
            package=package.path,
            bytes=package.bytes,
            duration_s=package.duration_s,
            gaps=list(recording.gaps) if recording else [],
            degraded=list(recording.degraded) if recording else [],
            message=missing(recording.gaps, recording.degraded) if recording else "",
        )

    # What is over

    def _sweep(self, session: Unfinished) -> None:
        """Remove what an attempt to join the parts had half built; the parts are locked, so nobody builds it now."""
        for archive in self._archives:
            shutil.rmtree(joining_folder(archive, session.name), ignore_errors=True)

    def _without_leftovers(self, session: Unfinished, works: Sequence[WorkFolder]) -> list[WorkFolder]:
        """Return the work folders that count; those whose recording another one or a package holds are removed."""
        joined = next((work for work in works if work.begun.joined), None)
        covered = _parts_in(joined) if joined else self._sealed_parts(session)
        kept = []
        for work in works:
            is_leftover = (work.begun.uuid, work.begun.part) in covered
            if work is not joined and (is_leftover or not any(work.path.iterdir())):
                self._retire(work)
            else:
                kept.append(work)
        return kept

    def _sealed_parts(self, session: Unfinished) -> set[tuple[str, int]]:
        """Return which parts (UUID, number) are in a package of this name that was joined of several, and is whole."""
        for archive in self._archives:
            for folder in catalog.sealed_as(archive.root, session.name):
                package = catalog.read_package(folder)
                parts = package.recording.parts if package.recording else ()
                if len(parts) > 1 and not archive.verify(package):
                    return {(package.uuid, part.part) for part in parts}
        return set()

    def _retire(self, work: WorkFolder) -> None:
        """Remove a work folder whose recording is safe elsewhere; one on a disk that does not let go of it stays."""
        with suppress(OSError):
            self._disk.remove_tree(work.path, BEGUN_FILE)
        work.release()

    @staticmethod
    def _archive_of(session: Unfinished, work: WorkFolder) -> Archive:
        return next(part.archive for part in session.parts if part.folder == work.path)

    def _meter(self, session: Unfinished, lefts: Sequence[Left]) -> "_Meter":
        return _Meter(session.name, 3 * sum(left.size for left in lefts), self._progress)


class _Meter:
    """How far the recovery of one session is: its media is copied, read back, and hashed."""

    def __init__(self, name: str, total: int, tell: OnProgress | None) -> None:
        self._name = name
        self._total = total
        self._tell = tell
        self._done = 0

    def advance(self, count: int) -> None:
        """Take note of bytes copied or read back."""
        self._done = min(self._done + count, self._total)
        self._say(self._done)

    def hashed(self, done: int, total: int) -> None:
        """Take note of how far hashing is; a Progress."""
        before = min(self._done, 2 * self._total // 3)
        self._say(before + (self._total - before) * done // max(1, total))

    def _say(self, done: int) -> None:
        if self._tell is not None:
            self._tell(self._name, done, self._total)


@contextmanager
def _locked(session: Unfinished) -> Iterator[list[WorkFolder]]:
    """Give the work folders of a session, each locked; raises PackageBusy when another process has one of them."""
    with ExitStack() as stack:
        works = []
        for part in session.parts:
            work = part.archive.reopen_folder(part.folder)
            stack.callback(work.release)
            works.append(work)
        yield works


def _parts_in(joined: WorkFolder) -> set[tuple[str, int]]:
    return {(joined.begun.uuid, part) for part in joined.begun.joined}


def _only_awaits_its_rename(work: WorkFolder) -> bool:
    return not (work.path / BEGUN_FILE).exists() and (work.path / TAG_MANIFEST_FILE).exists()


def _described(work: WorkFolder) -> RecordingFacts | None:
    """Return what the recorder, or an earlier recovery, wrote into the description before it was stopped."""
    try:
        recording = msgspec.json.decode((work.path / RECORDING_FILE).read_bytes(), type=Recording)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return RecordingFacts(
        ended_at=recording.ended_at, dropped=recording.dropped, repeated=recording.repeated,
        degraded=tuple(reason for reason in recording.degraded if reason != UNREADABLE), marks=recording.marks,
        gaps=recording.gaps, parts=recording.parts,
    )  # fmt: skip


def _outcome(session: Unfinished, state: State, **more: object) -> Outcome:
    begun = session.begun
    fixed = Outcome(
        id=session.name, uuid=begun.uuid, title=begun.title, state=state,
        parts=[str(part.folder) for part in session.parts],
    )  # fmt: skip
    return msgspec.structs.replace(fixed, **more)
