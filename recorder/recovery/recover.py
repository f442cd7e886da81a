"""Recovers sessions after a crash: locks, repairs, joins, describes and seals their work folders.

Each step can be interrupted at any point and repeated: see docs/archive.md. Sessions of other processes are left alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from config.errors import LiputError, PackageBusy, PackageNotFound, SessionError, StorageError
from devices.host.clock import Clock
from recorder.archive.archive import Archive, packages_of_session, read_package, read_unfinished
from recorder.disk.durable import DurableFiles
from recorder.model.eventlog import read_log
from recorder.package.fixity import Progress
from recorder.package.metadata import Gap, Package, PartFacts
from recorder.package.work_folder import EVENTS_FILE, WorkFolder
from recorder.recovery.packaging import SessionPackager, archive_with_room, examine_part, remove_half_joined
from recorder.recovery.rebuild import describe_missing
from recorder.recovery.unfinished import UnfinishedSession

type OnProgress = Callable[[str, int, int], None]  # gets a session's name, bytes done and bytes in all


class RecoveryState(StrEnum):
    """The outcome for an unfinished session."""

    SEALED = "sealed"
    DISCARDED = "discarded"  # it had no recording
    RECORDING = "recording"  # another process records or seals it
    FAILED = "failed"  # it stays; the message has the reason
    UNFINISHED = "unfinished"  # not recovered, only examined
    APART = "apart"  # its parts are still separate packages: no disk has room, or a session runs


class RecoveryOutcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="recovery"):
    """The outcome for one session: its folders (`parts`) and new packages, several if not joined."""

    id: str
    uuid: str
    title: str
    state: RecoveryState
    package: str | None = None
    packages: list[str] = []
    parts: list[str]
    bytes: int = 0
    duration_s: float | None = None
    gaps: list[Gap] = []
    degraded: list[str] = []
    message: str = ""
    hint: str = ""


@dataclass
class Recovery:
    """Recovers sessions of some archives."""

    archives: Sequence[Archive]
    clock: Clock
    disk: DurableFiles = field(default_factory=DurableFiles)
    progress: OnProgress | None = None

    def look(self, session: UnfinishedSession) -> RecoveryOutcome:
        """Return a session's state without changes. Raises nothing."""
        size = _size(session)
        if session.is_apart:
            return _outcome(
                session, RecoveryState.APART, bytes=size, message="its parts would be joined where a disk has room"
            )
        try:
            with _locked(session):
                return _outcome(session, RecoveryState.UNFINISHED, bytes=size)
        except (PackageBusy, PackageNotFound) as error:
            return _outcome(session, RecoveryState.RECORDING, bytes=size, message=error.message, hint=error.hint)
        except OSError as error:
            return _failed(session, error)

    def recover(self, session: UnfinishedSession) -> RecoveryOutcome:
        """Seal a session, or discard it if it is empty. Blocks; errors become part of the outcome."""
        if session.is_apart:
            return self._join_packages(session)
        try:
            with _locked(session) as works:
                return self._recover(session, works)
        except (PackageBusy, PackageNotFound) as error:
            return _outcome(session, RecoveryState.RECORDING, message=error.message, hint=error.hint)
        except (LiputError, OSError) as error:
            return _failed(session, error)

    def _recover(self, session: UnfinishedSession, works: Sequence[WorkFolder]) -> RecoveryOutcome:
        remove_half_joined(self.archives, session.name, session.begun.copy)
        finisher = self._finisher(session)
        works = self._without_sealed(session, works, finisher)
        for work in works:
            work.refuse_irregular()
        if not works:
            return _outcome(
                session, RecoveryState.DISCARDED, message="it was already sealed; its leftovers are removed"
            )
        complete = [work for work in works if work.was_sealed() and not work.has_begun()]
        packages = [finisher.archive_of(work).seal(work) for work in complete]
        if not (works := [work for work in works if work not in complete]):
            return _sealed(session, packages)
        others = self._others(session)
        apart, logs = _spans(others), [read_log(package.folder / EVENTS_FILE) for package in others]
        finisher = self._finisher(session, apart, logs)
        if not any(work.holds_media() for work in works):
            for work in works:
                finisher.archive_of(work).discard(work)
            return _outcome(session, RecoveryState.DISCARDED, message="nothing had been recorded; it is removed")
        if len(works) > 1:
            try:
                finisher.room(works)
            except StorageError as error:
                if error.why != "full":
                    raise
                return self._seal_apart(session, works, apart, logs)
        return _sealed(session, [finisher.finish(works)])

    def _join_packages(self, session: UnfinishedSession) -> RecoveryOutcome:
        """Join a session's separate packages; after a failure they stay whole."""
        works: list[WorkFolder] = []
        finisher = self._finisher(session)
        try:
            archive_with_room(_size(session), session.name, [part.archive for part in session.parts])
            works += (part.archive.unseal(part.folder, finisher.progress) for part in session.parts)
            return _sealed(session, [finisher.finish(works)])
        except (LiputError, OSError) as error:
            if isinstance(error, LiputError) and (isinstance(error, SessionError) or error.why == "full"):
                return _outcome(session, RecoveryState.APART, message=error.message, hint=error.hint)
            return _failed(session, error)
        finally:
            for work in works:
                if finisher.joined is None:  # else the joined folder has its recording
                    with suppress(LiputError, OSError):
                        finisher.archive_of(work).reseal(work)
                work.release()

    def _seal_apart(
        self,
        session: UnfinishedSession,
        works: Sequence[WorkFolder],
        others: Sequence[PartFacts],
        other_logs: Sequence[bytes],
    ) -> RecoveryOutcome:
        """Make a package of each part: no disk has room for a joined one. They are joined later."""
        held = [work for work in works if work.holds_media()]
        empty = {work.begun.part for work in works if work not in held}
        logs = {work: read_log(work.events) for work in held}
        spans = {work: examine_part(work).evidence() for work in held}
        packages = []
        for work in held:
            apart = [*(spans[other] for other in held if other is not work), *others]
            more = [*(log for other, log in logs.items() if other is not work), *other_logs]
            packages.append(self._finisher(session, apart, more, empty).finish([work]))
        for work in works:
            if work not in held:
                self._finisher(session).archive_of(work).discard(work)
        return _sealed(session, packages)

    def _finisher(
        self,
        session: UnfinishedSession,
        apart: Sequence[PartFacts] = (),
        logs: Sequence[bytes] = (),
        empty: Collection[int] = (),
    ) -> SessionPackager:
        tell = self.progress
        progress: Progress | None = None if tell is None else lambda done, total: tell(session.name, done, total)
        return SessionPackager(
            self.archives, clock=self.clock, disk=self.disk, progress=progress, apart=apart, logs=logs, empty=empty
        )  # fmt: skip

    def _packages(self, session: UnfinishedSession) -> list[Package]:
        found = (folder for archive in self.archives for folder in packages_of_session(archive.root, session.name))
        return [package for package in map(read_package, found) if package.recording]

    def _others(self, session: UnfinishedSession) -> list[Package]:
        """Return packages of other parts of the session, sealed without these."""
        mine = session.begun.uuid, session.begun.copy
        found = self._packages(session)
        return [each for each in found if each.recording and (each.recording.of_session, each.copy) == mine]

    def _without_sealed(
        self, session: UnfinishedSession, works: Sequence[WorkFolder], finisher: SessionPackager
    ) -> list[WorkFolder]:
        """Return the work folders to seal; removes those already in a joined folder or a package."""
        joined = next((work for work in works if work.begun.joined), None)
        if joined:
            covered = {(joined.begun.uuid, joined.begun.copy, part) for part in joined.begun.joined}
        else:
            covered = self._sealed_parts(session)
        kept = []
        for work in works:
            is_leftover = (work.begun.uuid, work.begun.copy, work.begun.part) in covered
            if work is not joined and (is_leftover or not any(work.path.iterdir())):
                finisher.retire(work)
            else:
                kept.append(work)
        return kept

    def _sealed_parts(self, session: UnfinishedSession) -> set[tuple[str, int, int]]:
        """Return the parts (UUID, copy, number) in whole packages of several parts."""
        found: set[tuple[str, int, int]] = set()
        for package in self._packages(session):
            recording = package.recording or None
            if recording and len(recording.parts) > 1 and not self.archives[0].verify(package):
                found |= {(recording.of_session, part.copy, part.part) for part in recording.parts}
        return found


def outcome_of_resumed(session: UnfinishedSession) -> RecoveryOutcome:
    """Return the outcome of a session that a daemon is about to resume."""
    return _outcome(
        session, RecoveryState.RECORDING, message=f"{session.name} is taken up again by liput serve",
        hint="liput status shows it; liput stop ends it.",
    )  # fmt: skip


@contextmanager
def _locked(session: UnfinishedSession) -> Iterator[list[WorkFolder]]:
    """Lock all work folders of a session. Raises PackageBusy if another process holds one."""
    with ExitStack() as stack:
        works = []
        for part in session.parts:
            work = part.archive.reopen(part.folder)
            stack.callback(work.release)
            works.append(work)
        yield works


def _spans(packages: Iterable[Package]) -> list[PartFacts]:
    found: list[PartFacts] = []
    for recording in (package.recording for package in packages if package.recording):
        found += recording.parts or [PartFacts(part=recording.part, offset_s=0.0, duration_s=recording.duration_s)]
    return found


def _size(session: UnfinishedSession) -> int:
    return sum(read_unfinished(part.folder).bytes for part in session.parts)


def _sealed(session: UnfinishedSession, packages: Sequence[Package]) -> RecoveryOutcome:
    package = max(packages, key=lambda package: package.duration_s)
    recording = package.recording or None
    return _outcome(
        session,
        RecoveryState.SEALED,
        package=package.path,
        packages=[each.path for each in packages],
        bytes=package.bytes,
        duration_s=package.duration_s,
        gaps=list(recording.gaps) if recording else [],
        degraded=list(recording.degraded) if recording else [],
        message=describe_missing(recording.gaps, recording.degraded) if recording else "",
    )


def _failed(session: UnfinishedSession, error: LiputError | OSError) -> RecoveryOutcome:
    if isinstance(error, LiputError):
        return _outcome(session, RecoveryState.FAILED, message=error.message, hint=error.hint)
    return _outcome(
        session, RecoveryState.FAILED, message=f"{error.filename or session.name}: {error.strerror}",
        hint="Check the disk, then run liput recover again; the recording is kept.",
    )  # fmt: skip


def _outcome(session: UnfinishedSession, state: RecoveryState, **more: Any) -> RecoveryOutcome:
    begun, parts = session.begun, [str(part.folder) for part in session.parts]
    return RecoveryOutcome(id=session.name, uuid=begun.uuid, title=begun.title, state=state, parts=parts, **more)
