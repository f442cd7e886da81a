"""An event: a dated fact of a session, kept in its log."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Protocol

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """One event: local time with offset, kind, subject (such as a device), facts, and a sentence for people."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    kind: str
    subject: str
    detail: Mapping[str, object]
    message: str


def encode_event(event: Event) -> bytes:
    """Return an event as a line of JSON, without `detail` where that is not JSON."""
    try:
        return msgspec.json.encode(event) + b"\n"
    except (TypeError, ValueError, OverflowError):
        return msgspec.json.encode(msgspec.structs.replace(event, detail={})) + b"\n"


class Emit(Protocol):
    """Appends an event to the session's log. Thread-safe; never blocks on a disk or network."""

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        """Log that `kind` happened to `subject`; `detail` holds JSON values, no secrets."""
        ...
