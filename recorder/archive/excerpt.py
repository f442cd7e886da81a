"""An excerpt of a package, to be shared: its media and what was recorded how, without letters and personal data.

It is a package of its own, with a UUID of its own, which says of which one it is an excerpt. What goes into it is named
here; whatever else a package holds, or will hold one day, stays out.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from config.files import json_text
from config.version import VERSION
from recorder.archive import bag, catalog, names, premis
from recorder.archive.baginfo import bag_info
from recorder.archive.contents import Content, contents, with_manifests
from recorder.archive.dublincore import dublin_core
from recorder.archive.model import Consent, Recording
from recorder.archive.premis import EventType
from recorder.archive.readme import readme_files
from recorder.archive.work import DEVICES_FILE, DUBLIN_CORE_FILE, POSTER_FILE, PREMIS_FILE, RECORDING_FILE
from recorder.troubles import kind_and_subject

SHARED = ("data/media/", POSTER_FILE, "data/thumbnails.jpg", "data/slides/", "data/transcript/")
"""What of the payload is shared: what everybody saw and heard who was there."""
TECHNICAL = (DEVICES_FILE,)
"""What of the metadata is shared; logs name accounts, and folders that are called after people."""


def excerpt(folder: Path, now: datetime) -> tuple[str, list[Content]]:
    """Return the name and the files of an excerpt of the package at `folder`.

    Raises PackageDamaged when that is not whole.
    """
    whole = contents(folder)
    payload = [one for one in whole if one.path.startswith(SHARED)]
    technical = {one.path: _read(one) for one in whole if one.path in TECHNICAL}
    recording = _without_persons(catalog.read_recording(folder), payload)
    paths = [*(one.path for one in payload), *technical, RECORDING_FILE, DUBLIN_CORE_FILE, PREMIS_FILE]
    tags = technical | {
        RECORDING_FILE: json_text(recording),
        DUBLIN_CORE_FILE: dublin_core(recording),
        PREMIS_FILE: _events(recording, now),
        **readme_files(recording, paths),
        bag.INFO_FILE: bag_info(recording, {one.path: one.size for one in payload}, f"{now:%Y-%m-%d}"),
        bag.DECLARATION_FILE: bag.DECLARATION.encode(),
    }
    name = names.package_name(recording.title, recording.started_at, UUID(recording.uuid))
    return name, list(with_manifests(payload, tags))


def _read(content: Content) -> bytes:
    with content.open() as file:
        return file.read()


def _without_persons(recording: Recording, payload: Sequence[Content]) -> Recording:
    """Return the description of the excerpt: of the request what was announced anyway, of the consent that it was."""
    request = recording.request and msgspec.structs.replace(
        recording.request, id="", letter_number="", letter_date=None, applicant=""
    )
    there = {one.path for one in payload}
    return msgspec.structs.replace(
        recording,
        uuid=str(uuid4()),
        session=None,
        copy=1,
        part=1,
        excerpt_of=recording.uuid,
        request=request,
        consent=Consent(state=recording.consent.state),
        degraded=tuple(dict.fromkeys(map(_without_place, recording.degraded))),
        additions=tuple(
            msgspec.structs.replace(one, name=Path(one.file).name, note="")
            for one in recording.additions
            if one.file in there
        ),
        chapters=tuple(
            chapter if chapter.thumbnail in there else msgspec.structs.replace(chapter, thumbnail=None)
            for chapter in recording.chapters
        ),
    )


def _without_place(reason: str) -> str:
    """Return a reason without the folder or the letter that it is about: those are called after people."""
    kind, subject = kind_and_subject(reason)
    return kind if "/" in subject else reason


def _events(recording: Recording, now: datetime) -> bytes:
    detail = f"An excerpt of urn:uuid:{recording.excerpt_of}: letters and personal data are left out"
    return premis.lines([premis.event(recording, EventType.REDACTION, now, detail, [premis.program(VERSION)])])
