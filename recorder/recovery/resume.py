"""Going on with a session whose recorder was killed: what the next recorder has to know, and holds on to.

The next part lies where the clock says. CLOCK_MONOTONIC counts on while nobody records, so within one boot of the PC
the gap is known to the millisecond; after a restart the wall clock has to do.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from uuid import UUID

from capture.source import Matrix, VideoFormat
from config.errors import ArchiveError, LiputError, PackageNotFound, StorageError
from config.events import Event
from config.files import open_regular
from devices.host.clock import NANOSECONDS, Clock, boot_id
from devices.host.deadline import DeadlineTask
from recorder.archive.archive import Archive
from recorder.disk.errors import OPEN_S, stalled
from recorder.model import names
from recorder.mp4.fragments import plays_s
from recorder.package.manifest import SessionContext
from recorder.package.work import WorkFolder
from recorder.recovery.find import find
from recorder.recovery.rebuild import into_run_s, log_of, read_events

ENDING = {"session-stopping", "session-ended"}
"""Events after which nobody wants a session to go on."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """A session that is gone on with: what the work folder of its next part says, and where that begins.

    `works` are the parts that there are, of all its copies, locked: nobody seals them meanwhile. `zero_ns` is
    CLOCK_MONOTONIC at media time 0, None where that was another boot's clock; `end_s` is up to where it plays.
    `form` is that of its program, None where no log says it: parts of one form become one file.
    """

    title: str
    started_at: datetime
    context: SessionContext
    uuid: UUID
    part: int
    works: tuple[WorkFolder, ...]
    zero_ns: int | None
    end_s: float
    form: VideoFormat | None = None

    def offset_s(self, clock_ns: int, now: datetime) -> float:
        """Return the media time of a moment, given by both clocks; never before what is there."""
        if self.zero_ns is not None:
            passed_s = (clock_ns - self.zero_ns) / NANOSECONDS
        else:
            passed_s = (now - self.started_at).total_seconds()
        return max(passed_s, self.end_s)

    def release(self) -> None:
        """Let go of the parts, so that they can be recovered."""
        _release(self.works)


def take_up(archives: Iterable[Archive], folder: Path, clock: Clock) -> Resumption:
    """Take up the session that the work folder `folder` belongs to, the last that its recorder recorded into.

    A disk that does not answer within OPEN_S, or cannot be read, is gone on without. Raises PackageNotFound when there
    is no such session, PackageBusy when somebody records or seals it, ArchiveError when its recorder had ended it: then
    it awaits its recovery.
    """
    name = names.session_of(folder.name)
    works: list[WorkFolder] = []
    try:
        for archive in archives:
            looking = DeadlineTask(partial(_reopen, archive, name), "resume-look", late=_release, clock=clock)
            with suppress(StorageError, OSError):
                works += looking.get(OPEN_S, stalled(archive.root, OPEN_S))
        return _resumption(works, folder)
    except LiputError:
        _release(works)
        raise


def had_ended(folder: Path) -> bool:
    """Return whether the log in the work folder `folder` tells that its session was ended; nothing is locked."""
    return any(event.kind in ENDING for event in read_events(log_of(folder)))


def _reopen(archive: Archive, name: str) -> list[WorkFolder]:
    works: list[WorkFolder] = []
    try:
        for session in find([archive]):
            if session.name == name:
                works += (part.archive.reopen(part.folder) for part in session.parts)
    except (LiputError, OSError):  # where no lock is to be had: that of a share may be away
        _release(works)
        raise
    return works


def _release(works: Iterable[WorkFolder]) -> None:
    for work in works:
        work.release()


def _resumption(works: Sequence[WorkFolder], folder: Path) -> Resumption:
    if not works:
        raise PackageNotFound(f"{folder} holds no session that could be gone on with")
    if any(work.begun.joined for work in works):
        raise ArchiveError(f"{works[0].name} is being recovered", hint="liput recover finishes it.")
    ordered = sorted(works, key=lambda work: (work.begun.part, work.begun.copy))
    first, last = ordered[0].begun, ordered[-1]
    # Of any: one of two copies may not have taken the line.
    if any(had_ended(work.path) for work in ordered):
        raise ArchiveError(f"{last.name} had ended and was not sealed", hint="liput recover seals it.")
    return Resumption(
        title=first.title,
        started_at=first.started_at,
        context=first.context,
        uuid=UUID(first.uuid),
        # One on a disk that does not answer has its number all the same.
        part=max(last.begun.part, names.part_of(folder.name)) + 1,
        works=tuple(ordered),
        zero_ns=_zero_ns(ordered),
        end_s=max(work.begun.offset_s + plays_s_of(work) for work in ordered),
        form=next(
            (form for work in ordered for event in read_events(log_of(work.path)) if (form := _form(event))), None
        ),
    )


def _zero_ns(works: Sequence[WorkFolder]) -> int | None:
    """Return CLOCK_MONOTONIC at the session's media time 0, if one of its recorders ran in this boot of the PC."""
    for work in works:
        events, begun = read_events(log_of(work.path)), work.begun
        live = next((event for event in events if event.kind == "session-live"), None)
        clock_ns = live.detail.get("clock_ns") if live else None
        if isinstance(clock_ns, int) and clock_ns > 0 and begun.boot and begun.boot == boot_id():
            return clock_ns - round((begun.offset_s - into_run_s(events, begun.part)) * NANOSECONDS)
    return None


def _form(event: Event) -> VideoFormat | None:
    """Return the form of the program as the event of its beginning has it (`recorder.session.plan.live_facts`)."""
    match event.kind, dict(event.detail):
        case "session-live", {
            "width": int(width), "height": int(height), "rate": int() | float() as rate, "matrix": str(matrix)
        } if matrix in Matrix.__members__:  # fmt: skip
            return VideoFormat(width, height, Fraction(rate).limit_denominator(1001), Matrix[matrix])
    return None


def plays_s_of(work: WorkFolder) -> float:
    """Return how much of a part plays, read from its last fragments alone: a day of it in a moment."""
    with suppress(OSError, ValueError), open(open_regular(work.program), "rb", buffering=0) as file:  # noqa: PTH123 - no link is followed
        return float(plays_s(file.fileno()))
    return 0.0
