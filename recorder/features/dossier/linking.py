"""Links a sealed package to its request: letters go into the package, a note into the dossier."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from config.errors import ArchiveError, DossierError
from config.files import json_text, read_file, read_json
from recorder.archive.archive import read_recording
from recorder.archive.correction import describe_draft, read_raw_recording
from recorder.archive.package_draft import PackageDraft, corrected_package
from recorder.disk.durable import PRIVATE_MODE, DurableFiles
from recorder.features.dossier.packing import (
    PAYLOAD,
    note_package,
    recorded_session,
    request_facts,
    request_in_package,
    with_recording,
)
from recorder.features.dossier.papers import letter_changed, refuse_letter_name
from recorder.features.dossier.steps import WorkingHours, steps_of
from recorder.features.dossier.store import archived_at
from recorder.package.fixity import ByteProgress
from recorder.package.request import CarriedRequest, Letter, RecordedSession, RequestRecord
from recorder.package.work_folder import CHECKS_FILE, REQUEST_FILE

_record = msgspec.json.Decoder(RequestRecord)


def link_request(folder: Path, taken: CarriedRequest, now: datetime) -> RecordedSession:
    """Put the request `taken` into the package at `folder`, and note the package in the dossier.

    A package with this request gets only missing papers and the note. Media and their hashes stay. Raises ArchiveError
    if it is practice, has another request or lacks nothing, DossierError for a changed letter, and as `rebuilding`; the
    package then stays as it was.
    """
    record = _record_of(folder, taken)
    missing = record.missing if record else ()
    recorded = _recorded(folder, missing)
    # The path is not compared: rooms mount archives differently.
    is_noted = any(
        (each.uuid, each.package) == (recorded.uuid, recorded.package) and each.archived_at
        for each in taken.request.recordings
    )
    if record and not missing and is_noted:
        raise ArchiveError(f"{folder.name} has a request already: {record.request.id}")
    if record is None or missing:
        with corrected_package(folder, DurableFiles(), ByteProgress(0, None)) as draft:
            _put(draft, taken, recorded, missing, now)
    if not note_package(taken, recorded, now):
        raise DossierError(
            f"{folder.name} has its request; {taken.folder} cannot be written, and lacks the package",
            hint="Run this command again once it is writable.",
        )
    return recorded


def _record_of(folder: Path, taken: CarriedRequest) -> RequestRecord | None:
    """Return the package's record of the request, None without one; raises ArchiveError for another request."""
    try:
        record = _record.decode(read_file(folder / REQUEST_FILE))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{folder.name} has a request already, which cannot be read: {error}") from None
    if record.request.uuid != taken.request.uuid:
        raise ArchiveError(f"{folder.name} has a request already: {record.request.id}")
    return record


def _recorded(folder: Path, missing: tuple[str, ...]) -> RecordedSession:
    recording = read_recording(folder)
    if recording.practice:
        raise ArchiveError(f"{folder.name} is practice, which counts for no request")
    degraded = tuple(reason for reason in recording.degraded if reason not in missing)
    return recorded_session(
        msgspec.structs.replace(recording, degraded=degraded),
        read_json(folder / CHECKS_FILE, dict[str, Any]),
        folder,
        archived_at(folder, recording.ended_at.tzinfo),
    )


def _put(
    draft: PackageDraft, taken: CarriedRequest, recorded: RecordedSession, missing: tuple[str, ...], now: datetime
) -> None:
    letters = tuple(_add(draft, Path(taken.folder), letter) for letter in taken.request.letters)
    request = request_in_package(with_recording(taken.request, recorded), letters)
    steps = steps_of(request, WorkingHours(taken.office), now)
    record = RequestRecord(as_of=now, request=request, steps=steps, office=taken.office)
    draft.write(REQUEST_FILE, json_text(record), mode=PRIVATE_MODE)
    raw = read_raw_recording(draft)
    raw["request"] = msgspec.to_builtins(request_facts(request))
    raw["degraded"] = list(recorded.degraded)
    detail = f"{'What was missing of its' if missing else 'Its'} request {request.id} was put into it"
    files = (REQUEST_FILE, *(letter.file for letter in letters))
    describe_draft(draft, raw, "accession", now, detail, linking_object=files)


def _add(draft: PackageDraft, dossier: Path, letter: Letter) -> Letter:
    path = f"{PAYLOAD}/{letter.file}"
    refuse_letter_name(letter)
    if path not in draft.payload:
        draft.add(dossier / letter.file, path)
        (draft.new / path).chmod(PRIVATE_MODE)
    if draft.payload[path] != letter.sha256:
        raise letter_changed(dossier / letter.file)
    return msgspec.structs.replace(letter, file=path)
