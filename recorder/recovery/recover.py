"""From what a crash has left to a sealed package: found, locked, repaired, joined, described, sealed.

Each step leaves, whatever stops it, something that the next attempt goes on with: see docs/archive.md. What another
process records or seals is left alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum

import msgspec

from config.errors import LiputError, PackageBusy, PackageNotFound
from devices.clock import Clock
from recorder.archive import catalog
from recorder.archive.archive import Archive
from recorder.archive.bag import TAG_MANIFEST_FILE
from recorder.archive.disk import Disk
from recorder.archive.fixity import Progress
from recorder.archive.media import holds_media
from recorder.archive.model import Gap, Package
from recorder.archive.work import BEGUN_FILE, WorkFolder
from recorder.recovery.assemble import sweep
from recorder.recovery.find import Unfinished
from recorder.recovery.finish import Finisher
from recorder.recovery.telling import missing

type OnProgress = Callable[[str, int, int], None]
"""Gets a session's name, bytes done and bytes in all, again and again."""


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
        """Return what there is of a session, and whether somebody records it; changes nothing, never raises for one."""
        size = sum(catalog.read_unfinished(part.folder).bytes for part in session.parts)
        try:
            with _locked(session):
                return _outcome(session, State.UNFINISHED, bytes=size)
        except (PackageBusy, PackageNotFound) as error:
            return _outcome(session, State.RECORDING, bytes=size, message=error.message, hint=error.hint)
        except OSError as error:
            return _failed(session, error)

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
            return _failed(session, error)

    def _recover(self, session: Unfinished, works: Sequence[WorkFolder]) -> Outcome:
        tell = self._progress
        progress: Progress | None = None if tell is None else lambda done, total: tell(session.name, done, total)
        finisher = Finisher(self._archives, clock=self._clock, disk=self._disk, progress=progress)
        sweep(self._archives, session.name, session.begun.copy)
        works = self._without_leftovers(session, works, finisher)
        if not works:
            return _outcome(session, State.DISCARDED, message="it was sealed before; what was left of it is removed")
        if len(works) == 1 and _only_awaits_its_rename(works[0]):
            return _sealed(session, finisher.archive_of(works[0]).seal(works[0]))
        if not any(holds_media(path) for work in works for path in work.media.glob("*") if path.is_file()):
            for work in works:
                finisher.archive_of(work).discard(work)
            return _outcome(session, State.DISCARDED, message="nothing had been recorded; it is removed")
        return _sealed(session, finisher.finish(works))

    # What is over

    def _without_leftovers(
        self, session: Unfinished, works: Sequence[WorkFolder], finisher: Finisher
    ) -> list[WorkFolder]:
        """Return the work folders that count; those whose recording another one or a package holds are removed."""
        joined = next((work for work in works if work.begun.joined), None)
        covered = _parts_in(joined) if joined else self._sealed_parts(session)
        kept = []
        for work in works:
            is_leftover = (work.begun.uuid, work.begun.copy, work.begun.part) in covered
            if work is not joined and (is_leftover or not any(work.path.iterdir())):
                finisher.retire(work)
            else:
                kept.append(work)
        return kept

    def _sealed_parts(self, session: Unfinished) -> set[tuple[str, int, int]]:
        """Return which parts (UUID, copy, number) are in whole packages of this name that were joined of several."""
        found: set[tuple[str, int, int]] = set()
        for archive in self._archives:
            for folder in catalog.sealed_as(archive.root, session.name):
                package = catalog.read_package(folder)
                parts = package.recording.parts if package.recording else ()
                if len(parts) > 1 and not archive.verify(package):
                    found |= {(package.uuid, part.copy, part.part) for part in parts}
        return found


def awaiting(session: Unfinished) -> Outcome:
    """Return the outcome of a session that a daemon is about to go on with."""
    return _outcome(
        session, State.RECORDING, message=f"{session.name} is taken up again by liput serve",
        hint="liput status shows it; liput stop ends it.",
    )  # fmt: skip


@contextmanager
def _locked(session: Unfinished) -> Iterator[list[WorkFolder]]:
    """Give the work folders of a session, each locked; raises PackageBusy when another process has one of them."""
    with ExitStack() as stack:
        works = []
        for part in session.parts:
            work = part.archive.reopen(part.folder)
            stack.callback(work.release)
            works.append(work)
        yield works


def _parts_in(joined: WorkFolder) -> set[tuple[str, int, int]]:
    return {(joined.begun.uuid, joined.begun.copy, part) for part in joined.begun.joined}


def _only_awaits_its_rename(work: WorkFolder) -> bool:
    return not (work.path / BEGUN_FILE).exists() and (work.path / TAG_MANIFEST_FILE).exists()


def _sealed(session: Unfinished, package: Package) -> Outcome:
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


def _failed(session: Unfinished, error: OSError) -> Outcome:
    return _outcome(
        session, State.FAILED, message=f"{error.filename or session.name}: {error.strerror}",
        hint="Check the disk, then say liput recover again; what was recorded is kept.",
    )  # fmt: skip


def _outcome(session: Unfinished, state: State, **more: object) -> Outcome:
    begun = session.begun
    fixed = Outcome(
        id=session.name, uuid=begun.uuid, title=begun.title, state=state,
        parts=[str(part.folder) for part in session.parts],
    )  # fmt: skip
    return msgspec.structs.replace(fixed, **more)
