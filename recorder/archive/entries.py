"""What a package is searched by: the words of its description, when and where it was."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from config.files import read_file
from recorder.archive import bag, catalog, names
from recorder.archive.model import Package, PackageState, Recording
from recorder.archive.work import RECORDING_FILE


@dataclass(frozen=True, slots=True)
class Entry:
    """A package as it stands in the index.

    `started` in seconds since 1970, `room` as `room_key` has it, `document` the package as `liput archive list --json`
    prints it, `words` the texts of title, request, place, marks, chapters and files.
    """

    started: float
    room: str
    document: bytes
    words: tuple[str, str, str, str, str, str]


def room_key(room: str) -> str:
    """Return a room's name without its accents, capitals and signs: what people type is compared with that."""
    return names.slug(room, "")


def read_entry(folder: Path) -> Entry:
    """Return the entry of the package at `folder`; one that is damaged can be found by its name only."""
    package = catalog.read_package(folder)
    if package.recording and not _is_vouched_for(folder):
        package = msgspec.structs.replace(package, state=PackageState.DAMAGED)
    recording = package.recording or None
    document = msgspec.json.encode(msgspec.structs.replace(package, recording=msgspec.UNSET))
    room = room_key(recording.room) if recording else ""
    return Entry(package.started_at.timestamp(), room, document, _words(package, recording))


def _is_vouched_for(folder: Path) -> bool:
    """Return whether the description is the one that the tag manifest lists; nothing else of a package is looked at."""
    try:
        digest = hashlib.sha256(read_file(folder / RECORDING_FILE)).hexdigest()
        listed = read_file(folder / bag.TAG_MANIFEST_FILE)
        # Decoding a whole manifest takes longer than everything else; ours has the line as it is looked for here.
        return f"{digest}  {RECORDING_FILE}\n".encode() in listed or (
            bag.read_manifest(listed).get(RECORDING_FILE) == digest
        )
    except (OSError, bag.BagFormatError):
        return False


def _words(package: Package, recording: Recording | None) -> tuple[str, str, str, str, str, str]:
    if recording is None:
        return package.title, "", "", "", "", ""
    request = recording.request
    asked = (request.letter_number, request.applicant, request.unit, request.event) if request else ()
    place = (recording.room, recording.office, request.place if request else "")
    return (
        recording.title,
        _lines(*asked),
        _lines(*place),
        _lines(*(mark.text for mark in recording.marks)),
        _lines(*(text for chapter in recording.chapters for text in (chapter.title, chapter.text))),
        _lines(*(text for one in recording.additions for text in (one.name, one.note))),
    )


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))
