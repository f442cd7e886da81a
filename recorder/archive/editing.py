"""Correcting what a package says about its session: fields of the description, never the media."""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from config.errors import ArchiveError
from config.version import VERSION
from recorder.archive import premis
from recorder.archive.describing import Raw, decoded, describe, read_raw
from recorder.archive.disk import Disk
from recorder.archive.fixity import Progress, Tally
from recorder.archive.model import Consent, RequestFacts
from recorder.archive.names import one_line, storable
from recorder.archive.premis import Change, EventType
from recorder.archive.rebuilding import rebuilding

FIELDS = (
    "title", "office", "room",
    "records.classification", "records.security", "records.retention_active", "records.retention_inactive",
    "records.disposition",
    "consent.state", "consent.note",
    "request.letter_number", "request.letter_date", "request.applicant", "request.unit", "request.event",
    "request.place",
)  # fmt: skip
"""What can be corrected: fields of `Recording`, dotted below the top."""

_SECTIONS: Mapping[str, Raw] = {
    "records": {},
    "consent": msgspec.to_builtins(Consent()),
    "request": msgspec.to_builtins(RequestFacts(id="")),  # corrected where no request was kept with the session
}


def edit(
    folder: Path,
    wanted: Mapping[str, str | date],
    *,
    by: str | None,
    reason: str,
    now: datetime,
    disk: Disk | None = None,
    progress: Progress | None = None,
) -> tuple[Change, ...]:
    """Let the package at `folder` say what is `wanted` (by FIELDS); return what that changed, nothing if nothing.

    `by` and `reason` go into its events. Raises what `rebuilding` raises, and ArchiveError for what is no title.
    """
    if "title" in wanted and not one_line(str(wanted["title"])):
        raise ArchiveError("The title is empty", hint="Say what the session was.")
    with rebuilding(folder, disk or Disk(), Tally(0, progress)) as draft:
        raw = read_raw(draft)
        changes = tuple(_apply(raw, wanted))
        draft.is_wanted = bool(changes)
        if changes:
            if any(change.field.startswith("consent.") for change in changes):
                raw["consent"]["noted_at"] = now.isoformat()
            detail = f"Corrected: {', '.join(change.field for change in changes)}"
            happened = premis.event(
                decoded(raw), EventType.MODIFICATION, now, detail + (f"; {reason}" if reason else ""),
                (premis.person(by), premis.program(VERSION)), changes=changes,
            )  # fmt: skip
            describe(draft, raw, happened)
    return changes


def _apply(raw: Raw, wanted: Mapping[str, str | date]) -> list[Change]:
    """Change `raw` to what is wanted; return what differs."""
    changes = []
    for field, value in wanted.items():
        new: Any = value.isoformat() if isinstance(value, date) else storable(value)
        section, _, name = field.rpartition(".")
        place = raw
        if section:
            place = raw[section] = dict(_SECTIONS[section]) | (raw.get(section) or {})
        old = place.get(name, "")
        if old != new and (old or new):
            place[name] = new
            changes.append(Change(field, old, new))
    return changes
