"""Corrects a package: changes its description or adds files. Media stay as they are."""

import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from config.errors import ArchiveError, StorageError
from config.files import json_text
from config.settings.quantities import brief_size
from config.version import VERSION
from recorder.archive.package_draft import PackageDraft, corrected_package, regular_size
from recorder.archive.seal_step import seal_steps
from recorder.disk.archive_folder import MARGIN_BYTES
from recorder.disk.durable import PRIVATE_MODE, DurableFiles
from recorder.model.marks import MOST_MARKS, Seconds
from recorder.model.names import one_line, slug, utf8_safe
from recorder.package.bag import INFO_FILE, MANIFEST_FILE, manifest_text, read_info
from recorder.package.documents import (
    EventType,
    MetadataChange,
    bag_info,
    dublin_core,
    person_agent,
    premis_event,
    premis_lines,
    readme_files,
    software_agent,
)
from recorder.package.fixity import ByteProgress, Progress
from recorder.package.metadata import Addition, Chapter, Consent, Recording, RequestFacts
from recorder.package.work_folder import DUBLIN_CORE_FILE, PREMIS_FILE, RECORDING_FILE

type RawRecording = dict[str, Any]  # recording.json as plain JSON: fields of a newer Liput stay
type MarkText = Annotated[str, Meta(max_length=500)]
type MarkTexts = Annotated[tuple[tuple[Seconds, MarkText], ...], Meta(max_length=MOST_MARKS)]
"""Marks by media time."""


def read_raw_recording(draft: PackageDraft) -> RawRecording:
    raw: RawRecording = msgspec.json.decode(draft.read(RECORDING_FILE))
    return raw


def describe_draft(
    draft: PackageDraft,
    raw: RawRecording,
    kind: EventType,
    now: datetime,
    detail: str,
    by: str | None = None,
    **more: Any,
) -> None:
    """Put the description `raw` and a PREMIS event into `draft`; raises ArchiveError for an invalid description."""
    try:
        recording = msgspec.convert(raw, Recording)
    except msgspec.ValidationError as error:
        raise ArchiveError(f"The description would become invalid: {error}") from None
    happened = premis_event(recording, kind, now, detail, (person_agent(by), software_agent(VERSION)), **more)
    draft.write(RECORDING_FILE, json_text(raw))
    draft.write(DUBLIN_CORE_FILE, dublin_core(recording))
    kept = read_info(draft.read(INFO_FILE))
    draft.write(INFO_FILE, bag_info(recording, draft.sizes, kept.get("Bagging-Date", ""), kept))
    draft.write(PREMIS_FILE, draft.read(PREMIS_FILE) + premis_lines([happened]))
    for name, content in readme_files(recording, draft.paths).items():
        draft.write(name, content)
    changed = {**draft.written, MANIFEST_FILE: manifest_text(draft.payload)}
    for step in seal_steps():
        for name, content in step.corrected(draft.folder, changed).items():
            draft.write(name, content, mode=PRIVATE_MODE if recording.request else 0o666)


EDITABLE_FIELDS = (
    "title", "office", "room",
    "records.classification", "records.security", "records.retention_active", "records.retention_inactive",
    "records.disposition",
    "consent.state", "consent.note",
    "request.letter_number", "request.letter_date", "request.applicant", "request.unit", "request.event",
    "request.place",
)  # fmt: skip
"""The fields of `Recording` that can be corrected, dotted below the top."""
_SECTIONS: Mapping[str, RawRecording] = {
    "records": {},
    "consent": msgspec.to_builtins(Consent()),
    "request": msgspec.to_builtins(RequestFacts(id="")),  # for sessions without a request
}


def edit_package(
    folder: Path,
    wanted: Mapping[str, str | date],
    *,
    marks: MarkTexts | None = None,
    by: str | None,
    reason: str,
    now: datetime,
    disk: DurableFiles | None = None,
    progress: Progress | None = None,
) -> tuple[MetadataChange, ...]:
    """Set fields, and all marks (media time in seconds, text); return the changes.

    Raises as `corrected_package`, and ArchiveError for an empty title or mark.
    """
    if "title" in wanted and not one_line(str(wanted["title"])):
        raise ArchiveError("The title is empty", hint="Name the session.")
    if not all(one_line(text) for _, text in marks or ()):
        raise ArchiveError("A mark has no text", hint="Name the mark, or remove it.")
    with corrected_package(folder, disk or DurableFiles(), ByteProgress(0, progress)) as draft:
        raw = read_raw_recording(draft)
        changes = (*_apply(raw, wanted), *(() if marks is None else _set_marks(raw, marks)))
        draft.is_wanted = bool(changes)
        if changes:
            if any(change.field.startswith("consent.") for change in changes):
                raw["consent"]["noted_at"] = now.isoformat()
            detail = f"Corrected: {', '.join(change.field for change in changes)}"
            detail += f"; {reason}" if reason else ""
            describe_draft(draft, raw, "metadata modification", now, detail, by, changes=changes)
    return changes


def _apply(raw: RawRecording, wanted: Mapping[str, str | date]) -> list[MetadataChange]:
    changes = []
    for field, value in wanted.items():
        new: Any = value.isoformat() if isinstance(value, date) else utf8_safe(value)
        section, _, name = field.rpartition(".")
        place = raw
        if section:
            place = raw[section] = dict(_SECTIONS[section]) | (raw.get(section) or {})
        old = place.get(name, "")
        if old != new and (old or new):
            place[name] = new
            changes.append(MetadataChange(field, old, new))
    return changes


def _set_marks(raw: RawRecording, marks: MarkTexts) -> list[MetadataChange]:
    """Replace the marks, and the chapters made of them."""
    old, new = list(raw.get("marks", ())), []
    known = {mark["media_s"]: mark["at"] for mark in old}
    chapters = [chapter for chapter in raw.get("chapters", ()) if chapter["source"] != "mark"]
    for media_s, text in sorted(marks):
        at = datetime.fromisoformat(raw["started_at"]) + timedelta(seconds=media_s)
        new.append({"at": known.get(media_s) or at.isoformat(), "media_s": media_s, "text": one_line(text)})
        chapters.append(msgspec.to_builtins(Chapter(start_s=media_s, title=one_line(text), source="mark")))
    raw["marks"], raw["chapters"] = new, sorted(chapters, key=lambda chapter: chapter["start_s"])
    return [] if new == old else [MetadataChange("marks", old, new)]


ADDED_FOLDER = "data/tambahan/"
TRANSCRIPT_FOLDER = "data/transcript/"


def add_files(
    folder: Path,
    sources: Sequence[Path],
    *,
    place: str = ADDED_FOLDER,
    note: str = "",
    by: str | None,
    now: datetime,
    disk: DurableFiles | None = None,
    progress: Progress | None = None,
) -> tuple[list[Addition], list[tuple[Path, str]]]:
    """Add files to `place` in the package; return the additions, and known files with their paths.

    Checks all files and the free space before it copies. Content and time of a file stay; its stored name is safe
    everywhere. Raises as `corrected_package`, and ArchiveError for a source that is not a regular file.
    """
    total = sum(regular_size(source) for source in sources)
    _refuse_too_much(folder, total)
    with corrected_package(folder, disk or DurableFiles(), ByteProgress(2 * total, progress)) as draft:
        added: list[Addition] = []
        known: list[tuple[Path, str]] = []
        by_digest = {digest: path for path, digest in draft.payload.items()}
        for source in sources:
            path = place + _free_name(source.name, {one.rpartition("/")[2] for one in draft.payload})
            digest = draft.add(source, path)
            if digest in by_digest:
                draft.drop(path)
                draft.refuse_changed(by_digest[digest])  # the caller may remove the source then
                known.append((source, by_digest[digest]))
                continue
            by_digest[digest] = path
            size = draft.sizes[path]
            added.append(
                Addition(file=path, name=utf8_safe(source.name), bytes=size, added_at=now, note=utf8_safe(note))
            )
        draft.is_wanted = bool(added)
        if added:
            raw = read_raw_recording(draft)
            raw["additions"] = [*raw.get("additions", ()), *(msgspec.to_builtins(one) for one in added)]
            detail = f"Added: {', '.join(one.name for one in added)}" + (f"; {note}" if note else "")
            describe_draft(draft, raw, "accession", now, detail, by, linking_object=tuple(one.file for one in added))
    return added, known


def _refuse_too_much(folder: Path, total: int) -> None:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ArchiveError(f"{folder} cannot be looked at: {error.strerror}") from None
    if free < total + MARGIN_BYTES:
        raise StorageError(
            f"The files take {brief_size(total)}, and only {brief_size(free)} are free for {folder.name}",
            hint="Free space on that disk.",
            why="full",
        )


def _free_name(name: str, taken: Collection[str]) -> str:
    """Return `name` in `[a-z0-9.-]`, with a number if it is taken."""
    stem, dot, end = name.rpartition(".")
    end = re.sub(r"[^a-z0-9]", "", end.lower())[:8] if dot and stem else ""
    stem = slug(stem if end else name, "berkas")
    ends = f".{end}" if end else ""
    number = 1
    while (free := f"{stem}{f'-{number}' if number > 1 else ''}{ends}") in taken:
        number += 1
    return free
