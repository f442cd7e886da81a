"""Work folders as killed recorders leave them, in archives of their own."""

import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from config.events import Event
from recorder.archive.archive import Archive
from tests.support.archives import CONTEXT, STARTED

UUID_ = UUID("3f2a91c0-0000-4000-8000-000000000001")
TITLE = "Rapat Senat"


def event(after_s: float, kind: str, subject: str = "", **detail: object) -> Event:
    return Event(STARTED + timedelta(seconds=after_s), kind, subject or kind, detail, f"{kind} happened.")


def live(after_s: float = 0.0, **detail: object) -> Event:
    return event(after_s, "session-live", "paket", **({"picture": "podium", "rate": 30.0} | detail))


def leave(
    archive: Archive,
    media: Mapping[str, Path],
    *,
    part: int = 1,
    offset_s: float = 0.0,
    copy: int = 1,
    events: Sequence[Event] = (),
    written_s: float | None = None,
    uuid: UUID = UUID_,
    title: str = TITLE,
    started_at: datetime = STARTED,
) -> Path:
    """Leave a part of a session: files of media by name, its events, written last `written_s` after the start."""
    work = archive.begin(title, started_at, CONTEXT, uuid=uuid, part=part, offset_s=offset_s, copy=copy)
    for name, source in media.items():
        shutil.copyfile(source, work.media / name)
        if written_s is not None:
            moment = (started_at + timedelta(seconds=written_s)).timestamp()
            os.utime(work.media / name, (moment, moment))
    work.events.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in events))
    work.release()
    return work.path
