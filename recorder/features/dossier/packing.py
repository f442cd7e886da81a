"""Puts the request of a session into its package, and notes the package in the dossier.

A thread copies the letters while the session records, since the dossier's disk may hang. Sealing copies the letters
that are still missing. A lost, hung or damaged dossier never stops it: the request as carried replaces it, and
`degraded` has the reasons.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from config.errors import DossierError
from config.files import json_text
from config.settings.office import Office, zone_name
from devices.host.clock import NANOSECONDS, Clock
from devices.host.deadline import DeadlineTask
from recorder.archive.seal_step import Seal, SealStep
from recorder.disk.durable import PRIVATE_MODE, DurableFiles, temporary_of
from recorder.features.dossier.papers import letter_content
from recorder.features.dossier.steps import WorkingHours, steps_of
from recorder.features.dossier.store import Dossier, with_change
from recorder.model.session_faults import kind_and_subject, reason_of
from recorder.package.metadata import Recording, RequestFacts, SessionContext
from recorder.package.request import (
    INCOMPLETE_REASONS,
    LETTER_CHANGED,
    LETTER_MISSING,
    REQUEST_NOT_FOUND,
    REQUEST_NOT_NOTED,
    CarriedRequest,
    Letter,
    RecordedSession,
    Request,
    RequestRecord,
    Step,
)
from recorder.package.work_folder import REQUEST_FILE, WorkFolder

PAYLOAD = "data"  # the folder of letters in a package, laid out as in the dossier
DOSSIER_ANSWER_S = 10.0  # deadline for an answer of the dossier's disk


def request_to_carry(dossier: Dossier, request: Request, office: Office, *, history: bool = False) -> CarriedRequest:
    """Return the request for a session to carry, with its history only on demand."""
    return CarriedRequest(
        folder=str(dossier.folder),
        request=request if history else msgspec.structs.replace(request, history=()),
        office=msgspec.structs.replace(office, time_zone=zone_name(office.time_zone)),
    )


def put_letter(package: Path, letter: Letter, content: bytes, disk: DurableFiles) -> None:
    """Write a letter into a package or work folder; raises OSError."""
    path = package / PAYLOAD / letter.file
    disk.make_folder(path.parent)
    try:
        disk.write(path, content, mode=PRIVATE_MODE)
    except OSError:
        with suppress(OSError):
            temporary_of(path).unlink(missing_ok=True)
        raise


def carry_letters(work: Path, taken: CarriedRequest, clock: Clock) -> Callable[[], None]:
    """Start to copy the letters; return a function that waits for that until ANSWER_S, and then blocks writes."""
    writing = threading.Lock()
    until_ns = clock.now_ns() + round(DOSSIER_ANSWER_S * NANOSECONDS)

    def copy() -> None:
        for letter in taken.request.letters:
            with suppress(OSError, DossierError):  # reported when the session is sealed
                content = letter_content(Path(taken.folder), letter)
                with writing:
                    put_letter(work, letter, content, DurableFiles())

    copying = DeadlineTask(copy, "request-letters", clock=clock)

    def end() -> None:
        if not copying.wait(max(0, until_ns - clock.now_ns()) / NANOSECONDS):
            writing.acquire(timeout=DOSSIER_ANSWER_S)  # never released

    return end


def put_request(work: WorkFolder, recording: Recording, target: Path, now: datetime, disk: DurableFiles) -> Recording:
    """Write the request into the work folder, and return `recording` with it. Raises OSError of the package's disk."""
    taken = work.begun.context.request
    if taken is None:
        return recording
    recorded = recorded_session(recording, work.begun.context.checked, target, now)
    missing: list[str] = []
    fresh, answers = _current_request(taken)
    if fresh is None:
        missing.append(REQUEST_NOT_FOUND)
    elif not note_package(taken, msgspec.structs.replace(recorded, archived_at=None), now):
        missing.append(REQUEST_NOT_NOTED)
    request = fresh or taken.request
    letters = tuple(_letters(work.path, taken, request, missing, disk, answers=answers))
    request = request_in_package(with_recording(request, recorded), letters)
    steps: tuple[Step, ...] = ()
    with suppress(ArithmeticError, ValueError):
        steps = steps_of(request, WorkingHours(taken.office), now)
    record = RequestRecord(as_of=now, request=request, steps=steps, office=taken.office, missing=tuple(missing))
    disk.write(work.path / REQUEST_FILE, json_text(record), mode=PRIVATE_MODE)
    others = (reason for reason in recording.degraded if kind_and_subject(reason)[0] not in INCOMPLETE_REASONS)
    degraded = (*others, *missing)  # an interrupted attempt may have missed a letter that exists now
    return msgspec.structs.replace(recording, request=request_facts(request), degraded=degraded)


def recorded_session(
    recording: Recording, checked: Mapping[str, Any] | None, target: Path, archived_at: datetime | None
) -> RecordedSession:
    """Return the dossier's entry for a recorded session; `checked` is the result of the check before it."""
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


def note_package(taken: CarriedRequest, recorded: RecordedSession, now: datetime) -> bool:
    """Note a package in its dossier; return whether that succeeded. `seen` corrects a lost note."""
    kind = "archived" if recorded.archived_at else "recorded"

    def change(request: Request) -> Request:
        recordings = with_recording(request, recorded).recordings
        return with_change(request, now, kind, note=recorded.package, recordings=recordings)

    dossier = Dossier(Path(taken.folder), office=taken.office)
    noting = DeadlineTask(partial(dossier.change, change), "request-note")
    try:
        noting.get(DOSSIER_ANSWER_S, _no_answer(taken))
    except Exception:  # any failure: a dossier must not cost the package
        return False
    return True


def with_recording(request: Request, recorded: RecordedSession) -> Request:
    """Return `request` with a recording, which replaces the entry from before sealing."""
    others = (
        each
        for each in request.recordings
        if each.path != recorded.path and (each.uuid != recorded.uuid or each.archived_at)
    )
    return msgspec.structs.replace(request, recordings=(*others, recorded))


def _current_request(taken: CarriedRequest) -> tuple[Request | None, bool]:
    """Return the request from its dossier, None if it cannot be read; and whether the disk answers."""
    answers = True
    try:
        reading = DeadlineTask(Dossier(Path(taken.folder)).read, "request-read")
        answers = reading.wait(DOSSIER_ANSWER_S)
        return reading.get(0.0, _no_answer(taken)), answers
    except Exception:  # any failure: a dossier must not cost the package
        return None, answers


def _no_answer(taken: CarriedRequest) -> DossierError:
    return DossierError(f"the disk of {taken.folder} does not answer")


def _letters(
    package: Path, taken: CarriedRequest, request: Request, missing: list[str], disk: DurableFiles, *, answers: bool
) -> Iterator[Letter]:
    """Yield the letters in the package, and copy missing ones. A silent disk is not asked twice."""
    for letter in request.letters:
        try:
            try:
                letter_content(package / PAYLOAD, letter)
            except (OSError, DossierError):
                if not answers:
                    raise _no_answer(taken) from None
                asked = DeadlineTask(partial(letter_content, Path(taken.folder), letter), "request-read")
                answers = asked.wait(DOSSIER_ANSWER_S)
                put_letter(package, letter, asked.get(0.0, _no_answer(taken)), disk)
        except DossierError:
            missing.append(reason_of(LETTER_CHANGED if answers else LETTER_MISSING, letter.file))
        except OSError:
            missing.append(reason_of(LETTER_MISSING, letter.file))
        else:
            yield msgspec.structs.replace(letter, file=f"{PAYLOAD}/{letter.file}")


def request_in_package(request: Request, letters: tuple[Letter, ...]) -> Request:
    """Return the request with the package's `letters` and their paths there."""
    kept = {letter.file for letter in letters}
    dispositions = tuple(
        msgspec.structs.replace(
            each, sheets=tuple(path for sheet in each.sheets if (path := f"{PAYLOAD}/{sheet}") in kept)
        )
        for each in request.dispositions
    )
    return msgspec.structs.replace(request, letters=letters, dispositions=dispositions)


def request_facts(request: Request) -> RequestFacts:
    """Return the searchable part of a request."""
    return msgspec.convert(request, RequestFacts, from_attributes=True)


class DossierStep(SealStep):
    """Puts the session's request into the package, and notes the package in the dossier."""

    def prepare(self, work: Path, context: SessionContext, clock: Clock) -> Callable[[], None]:
        """Start to copy the letters."""
        return carry_letters(work, context.request, clock) if context.request else super().prepare(work, context, clock)

    def describe(self, seal: Seal, recording: Recording) -> Recording:
        """Write the request, and return `recording` with it. Raises OSError of the package's disk."""
        return put_request(seal.work, recording, seal.target, seal.now, seal.disk)

    def sealed(self, target: Path, recording: Recording, context: SessionContext, now: datetime) -> None:
        """Note the package in the dossier."""
        if context.request:
            note_package(context.request, recorded_session(recording, context.checked, target, now), now)


STEP = DossierStep()
