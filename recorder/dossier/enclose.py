"""The request of a session, taken into its package, and the package noted in the request's dossier.

Sealing never fails because of a dossier: one that is gone, on a disk that hangs, or damaged, is gone on without. What
the session took along at its beginning stands in for it, and what is missing is a reason in `degraded`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from config.errors import DossierError
from config.files import json_text
from devices.host.deadline import DeadlineTask
from recorder.archive.disk import Disk
from recorder.archive.model import Recording, RequestFacts
from recorder.archive.work import REQUEST_FILE, WorkFolder
from recorder.dossier.carry import ANSWER_S, PAYLOAD, put_letter
from recorder.dossier.changes import amended
from recorder.dossier.hours import WorkingHours
from recorder.dossier.letters import letter_content
from recorder.dossier.model import CarriedRequest, Letter, RecordedSession, Request, RequestRecord, Step
from recorder.dossier.steps import steps_of
from recorder.dossier.store import FILE, Dossier
from recorder.troubles import kind_and_subject, reason_of

NOT_FOUND, NOT_NOTED, MISSING, CHANGED = "request-not-found", "request-not-noted", "letter-missing", "letter-changed"
"""Reasons why a package has less of its request than there was."""
_REASONS = frozenset({NOT_FOUND, NOT_NOTED, MISSING, CHANGED})


def enclose(work: WorkFolder, recording: Recording, target: Path, now: datetime, disk: Disk) -> Recording:
    """Write the request that `work` was recorded for into it, and return `recording` with it.

    `target` is where the package will be, `now` when it is sealed. Raises OSError where the package's own disk does not
    take it.
    """
    taken = work.begun.context.request
    if taken is None:
        return recording
    recorded = recorded_session(recording, work.begun.context.checked, target, now)
    return _Enclosing(work.path, taken, recorded, disk).enclosed(recording)


def recorded_session(
    recording: Recording, checked: Mapping[str, Any] | None, target: Path, archived_at: datetime | None
) -> RecordedSession:
    """Return what a dossier says of a session that was recorded for it; `checked` is what the check before it found."""
    ready = (checked or {}).get("ready")
    return RecordedSession(
        package=target.name,
        uuid=recording.uuid,
        path=str(target),
        title=recording.title,
        room=recording.room,
        started_at=recording.started_at,
        ended_at=recording.ended_at,
        archived_at=archived_at,
        ready=ready if isinstance(ready, bool) else None,
        degraded=recording.degraded,
    )


def note(taken: CarriedRequest, recorded: RecordedSession, now: datetime) -> bool:
    """Note a package in the dossier of its request; return whether that could be done.

    One that is not archived yet is noted as recorded. `recorder.dossier.reading.seen` makes up for a lost note.
    """
    kind = "archived" if recorded.archived_at else "recorded"
    change = partial(_noted, recorded=recorded, kind=kind, now=now)
    dossier = Dossier(Path(taken.folder), office=taken.office)
    noting = DeadlineTask(partial(dossier.change, change), "request-note")
    try:
        noting.get(ANSWER_S, DossierError(f"the disk of {taken.folder} does not answer"))
    except Exception:  # of whatever kind: a dossier costs no recording its package
        return False
    return True


def _noted(request: Request, *, recorded: RecordedSession, kind: str, now: datetime) -> Request:
    recordings = with_recording(request, recorded).recordings
    return amended(request, now, kind, note=recorded.package, recordings=recordings)


def with_recording(request: Request, recorded: RecordedSession) -> Request:
    """Return `request` with a recording more, in place of what was noted of it before it was sealed."""
    others = (
        each
        for each in request.recordings
        if each.path != recorded.path and (each.uuid != recorded.uuid or each.archived_at)
    )
    return msgspec.structs.replace(request, recordings=(*others, recorded))


class _Enclosing:
    def __init__(self, package: Path, taken: CarriedRequest, recorded: RecordedSession, disk: Disk) -> None:
        self._package = package
        self._taken = taken
        self._recorded = recorded
        self._disk = disk
        self._missing: list[str] = []
        self._answers = True

    def enclosed(self, recording: Recording) -> Recording:
        """Write letters and `metadata/request.json`; return `recording` with the request and what is missing of it."""
        now = self._recorded.archived_at or self._recorded.ended_at
        fresh = self._fresh()
        if fresh and not note(self._taken, msgspec.structs.replace(self._recorded, archived_at=None), now):
            self._missing.append(NOT_NOTED)
        request = fresh or self._taken.request
        letters = tuple(self._letters(request))
        request = in_package(with_recording(request, self._recorded), letters)
        record = RequestRecord(
            as_of=now,
            request=request,
            steps=self._steps(request, now),
            office=self._taken.office,
            missing=tuple(self._missing),
        )
        self._disk.write(self._package / REQUEST_FILE, json_text(record), mode=FILE)
        others = (reason for reason in recording.degraded if kind_and_subject(reason)[0] not in _REASONS)
        degraded = (*others, *self._missing)  # an attempt that was stopped may have missed what is there now
        return msgspec.structs.replace(recording, request=facts_of(request), degraded=degraded)

    def _fresh(self) -> Request | None:
        """Return the request as its dossier has it now."""
        try:
            return self._ask(Dossier(Path(self._taken.folder)).read)
        except Exception:  # of whatever kind: a dossier costs no recording its package
            self._missing.append(NOT_FOUND)
            return None

    def _ask[T](self, act: Callable[[], T]) -> T:
        """Return what `act` gets of the dossier's disk; one that has not answered once is not asked again."""
        silent = DossierError(f"the disk of {self._taken.folder} does not answer")
        if not self._answers:
            raise silent
        asked = DeadlineTask(act, "request-read")
        self._answers = asked.wait(ANSWER_S)
        return asked.get(0.0, silent)

    def _letters(self, request: Request) -> Iterator[Letter]:
        """Yield the letters that are in the package, by their paths there; copy those that are not yet."""
        for letter in request.letters:
            try:
                try:
                    letter_content(self._package / PAYLOAD, letter)
                except (OSError, DossierError):
                    content = self._ask(partial(letter_content, Path(self._taken.folder), letter))
                    put_letter(self._package, letter, content, self._disk)
            except DossierError:
                self._missing.append(reason_of(CHANGED if self._answers else MISSING, letter.file))
            except OSError:
                self._missing.append(reason_of(MISSING, letter.file))
            else:
                yield msgspec.structs.replace(letter, file=f"{PAYLOAD}/{letter.file}")

    def _steps(self, request: Request, now: datetime) -> tuple[Step, ...]:
        """Return the steps; none where the hours or the times of a dossier from elsewhere cannot be reckoned with."""
        try:
            return steps_of(request, WorkingHours(self._taken.office), now)
        except (ArithmeticError, ValueError):
            return ()


def in_package(request: Request, letters: tuple[Letter, ...]) -> Request:
    """Return a request as a package has it that has `letters`, with their paths there; its sheets are among them."""
    kept = {letter.file for letter in letters}
    dispositions = tuple(
        msgspec.structs.replace(
            each, sheets=tuple(path for sheet in each.sheets if (path := f"{PAYLOAD}/{sheet}") in kept)
        )
        for each in request.dispositions
    )
    return msgspec.structs.replace(request, letters=letters, dispositions=dispositions)


def facts_of(request: Request) -> RequestFacts:
    """Return what is searched for of a request."""
    return msgspec.convert(request, RequestFacts, from_attributes=True)
