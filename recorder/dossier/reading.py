"""Reading a request from its dossier, and what a sealed package tells it: people may have edited both."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import msgspec

from config.errors import DossierError
from config.files import json_lines, read_file
from recorder.archive.bag import TAG_MANIFEST_FILE
from recorder.archive.premis import EventType
from recorder.archive.runs import moment
from recorder.archive.work import CHECKS_FILE, PREMIS_FILE
from recorder.dossier.model import Request

REQUEST_FILE = "request.json"
YEARS = range(1900, 2300)
"""What is written by hand is not taken beyond these: there is a calendar to be made of it."""
_decoder = msgspec.json.Decoder(Request)


def read_request(folder: Path) -> Request:
    """Return what is known of the request whose dossier is at `folder`; raises DossierError."""
    path = folder / REQUEST_FILE
    try:
        request = _decoder.decode(read_file(path))
        if impossible := [at for at in _moments(request) if at.year not in YEARS]:
            raise msgspec.ValidationError(f"{impossible[0]} is not a time of our days")
        return seen(request)
    except OSError as error:
        raise DossierError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DossierError(
            f"{path} is not what Liput has written: {error}",
            hint="Mend it, or bring it back from a backup; the letters beside it are as they were.",
        ) from None


def _moments(request: Request) -> Iterator[datetime]:
    """Yield all times that are reckoned with, or told in another zone."""
    yield request.received_at
    yield from filter(None, (request.starts_at, request.ends_at, request.receipt and request.receipt.at))
    yield from (each.at for each in request.dispositions)
    yield from (each.at for each in request.history)
    for recorded in request.recordings:
        yield from filter(None, (recorded.started_at, recorded.ended_at, recorded.archived_at))


def seen(request: Request) -> Request:
    """Return `request` with the time at which each package was complete that was being sealed when it was noted.

    Whoever sealed it may have been killed before it could say so.
    """
    if all(recorded.archived_at for recorded in request.recordings):
        return request
    recordings = []
    for recorded in request.recordings:
        with contextlib.suppress(OSError):
            if recorded.archived_at is None and Path(recorded.path).is_dir():
                complete_at = archived_at(Path(recorded.path), recorded.ended_at.tzinfo)
                recorded = msgspec.structs.replace(recorded, archived_at=complete_at)
        recordings.append(recorded)
    return msgspec.structs.replace(request, recordings=tuple(recordings))


def archived_at(folder: Path, zone: tzinfo | None) -> datetime:
    """Return when the package at `folder` was complete; raises OSError where there is none.

    Its log of events knows. The time of a file does not: a correction, or a copy that came back, makes it another.
    """
    changed = (folder / TAG_MANIFEST_FILE).stat().st_mtime
    return _ingested_at(folder) or datetime.fromtimestamp(changed, zone)


def _ingested_at(folder: Path) -> datetime | None:
    with contextlib.suppress(OSError):
        for line in json_lines(read_file(folder / PREMIS_FILE), dict[str, Any]):
            if line.get("eventType") == EventType.INGESTION and (at := moment(line.get("eventDateTime"))):
                return at
    return None


def checked_of(folder: Path) -> Mapping[str, Any] | None:
    """Return what the check before the session of the package at `folder` found; None where there was none."""
    try:
        return msgspec.json.decode(read_file(folder / CHECKS_FILE), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
