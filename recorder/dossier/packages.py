"""What a sealed package tells the dossier of its request: when it was complete, and what the check before it said."""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import msgspec

from config.files import read_file
from recorder.archive.bag import TAG_MANIFEST_FILE
from recorder.archive.premis import EventType
from recorder.archive.work import CHECKS_FILE, PREMIS_FILE


class _Happened(msgspec.Struct, frozen=True, rename="camel"):
    event_type: str
    event_date_time: datetime


_happened = msgspec.json.Decoder(_Happened)


def archived_at(folder: Path, zone: tzinfo | None) -> datetime:
    """Return when the package at `folder` was complete; raises OSError where there is none.

    Its log of events knows. The time of a file does not: a correction, or a copy that came back, makes it another.
    """
    changed = (folder / TAG_MANIFEST_FILE).stat().st_mtime
    return _ingested_at(folder) or datetime.fromtimestamp(changed, zone)


def _ingested_at(folder: Path) -> datetime | None:
    try:
        for line in read_file(folder / PREMIS_FILE).splitlines():
            happened = _happened.decode(line)
            if happened.event_type == EventType.INGESTION and happened.event_date_time.tzinfo:
                return happened.event_date_time
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return None


def checked_of(folder: Path) -> Mapping[str, Any] | None:
    """Return what the check before the session of the package at `folder` found; None where there was none."""
    try:
        checked = msgspec.json.decode(read_file(folder / CHECKS_FILE))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return checked if isinstance(checked, dict) else None
