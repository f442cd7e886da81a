"""Prepares to resume the session of a killed recorder.

CLOCK_MONOTONIC goes on while nobody records: within one boot the gap is known to the millisecond. After a restart of
the PC the wall clock gives it.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from uuid import UUID

from capture.source import ColorMatrix, VideoFormat
from config.errors import ArchiveError, LiputError, PackageNotFound, StorageError
from config.events import Event
from config.files import open_regular
from devices.host.clock import NANOSECONDS, Clock, boot_id
from devices.host.deadline import DeadlineTask
from recorder.archive.archive import Archive
from recorder.disk.errors import DISK_ANSWER_S, disk_stalled
from recorder.model.eventlog import read_events, read_log
from recorder.model.names import part_in_name, session_in_name
from recorder.mp4.fragments import playable_end_s
from recorder.package.metadata import SessionContext
from recorder.package.work_folder import EVENTS_FILE, WorkFolder
from recorder.recovery.rebuild import run_offset_s
from recorder.recovery.unfinished import find_unfinished

END_EVENTS = {"session-stopping", "session-ended"}  # events after which a session is not resumed


@dataclass(frozen=True, slots=True)
class Resumption:
    """A session to resume: the facts for the next part, and its place.

    `works` are its locked parts, of all copies: nobody seals them meanwhile. `zero_ns` is CLOCK_MONOTONIC at media time
    0, None after a restart of the PC. `end_s` is the end of playback. `form` is the program's format, None if no log
    has it: only parts of one format are joined.
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
        """Return the media time of a moment, given by both clocks; at least `end_s`."""
        if self.zero_ns is not None:
            passed_s = (clock_ns - self.zero_ns) / NANOSECONDS
        else:
            passed_s = (now - self.started_at).total_seconds()
        return max(passed_s, self.end_s)

    def release(self) -> None:
        """Unlock the parts, for recovery."""
        _release(self.works)


def lock_for_resume(archives: Iterable[Archive], folder: Path, clock: Clock) -> Resumption:
    """Lock the session of work folder `folder`, the last that its recorder wrote.

    A disk that is unreadable or does not answer within DISK_ANSWER_S is left out. Raises PackageNotFound without a
    session, PackageBusy while another process holds it, ArchiveError if it had ended and awaits recovery.
    """
    name = session_in_name(folder.name)
    works: list[WorkFolder] = []
    try:
        for archive in archives:
            looking = DeadlineTask(partial(_reopen, archive, name), "resume-look", late=_release, clock=clock)
            with suppress(StorageError, OSError):
                works += looking.get(DISK_ANSWER_S, disk_stalled(archive.root, DISK_ANSWER_S))
        return _resumption(works, folder)
    except LiputError:
        _release(works)
        raise


def session_had_ended(folder: Path) -> bool:
    """Return whether the log in a work folder says that its session ended; locks nothing."""
    return any(event.kind in END_EVENTS for event in read_events(read_log(folder / EVENTS_FILE)))


def _reopen(archive: Archive, name: str) -> list[WorkFolder]:
    works: list[WorkFolder] = []
    try:
        for session in find_unfinished([archive]):
            if session.name == name:
                works += (part.archive.reopen(part.folder) for part in session.parts)
    except (LiputError, OSError):  # no lock, as on an unmounted share
        _release(works)
        raise
    return works


def _release(works: Iterable[WorkFolder]) -> None:
    for work in works:
        work.release()


def _resumption(works: Sequence[WorkFolder], folder: Path) -> Resumption:
    if not works:
        raise PackageNotFound(f"{folder} holds no session to continue")
    if any(work.begun.joined for work in works):
        raise ArchiveError(f"{works[0].name} is being recovered", hint="liput recover finishes it.")
    ordered = sorted(works, key=lambda work: (work.begun.part, work.begun.copy))
    first, last = ordered[0].begun, ordered[-1]
    # One of two copies may have missed the event.
    if any(session_had_ended(work.path) for work in ordered):
        raise ArchiveError(f"{last.name} had ended and was not sealed", hint="liput recover seals it.")
    return Resumption(
        title=first.title,
        started_at=first.started_at,
        context=first.context,
        uuid=UUID(first.uuid),
        # A part on a hung disk counts, too.
        part=max(last.begun.part, part_in_name(folder.name)) + 1,
        works=tuple(ordered),
        zero_ns=_zero_ns(ordered),
        end_s=max(work.begun.offset_s + playable_s(work) for work in ordered),
        form=next(
            (form for work in ordered for event in read_events(read_log(work.events)) if (form := _form(event))), None
        ),
    )


def _zero_ns(works: Sequence[WorkFolder]) -> int | None:
    """Return CLOCK_MONOTONIC at the session's media time 0; None if no recorder of it ran since boot."""
    for work in works:
        events, begun = read_events(read_log(work.events)), work.begun
        live = next((event for event in events if event.kind == "session-live"), None)
        clock_ns = live.detail.get("clock_ns") if live else None
        if isinstance(clock_ns, int) and clock_ns > 0 and begun.boot and begun.boot == boot_id():
            return clock_ns - round((begun.offset_s - run_offset_s(events, begun.part)) * NANOSECONDS)
    return None


def _form(event: Event) -> VideoFormat | None:
    """Return the program's format from `session-live` (`recorder.session.session.live_facts`)."""
    match event.kind, dict(event.detail):
        case "session-live", {
            "width": int(width), "height": int(height), "rate": int() | float() as rate, "matrix": str(matrix)
        } if matrix in ColorMatrix.__members__:  # fmt: skip
            return VideoFormat(width, height, Fraction(rate).limit_denominator(1001), ColorMatrix[matrix])
    return None


def playable_s(work: WorkFolder) -> float:
    """Return the playable seconds of a part, read from its last fragments."""
    with suppress(OSError, ValueError), open(open_regular(work.program), "rb", buffering=0) as file:  # noqa: PTH123 - no link is followed
        return float(playable_end_s(file.fileno()))
    return 0.0
