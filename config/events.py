"""An event: something that happened in a session and that its log keeps."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="type", tag="event"):
    """When it happened (local time with offset), what kind of thing, to whom, the facts, and a sentence for people."""

    at: datetime
    kind: str
    subject: str
    detail: Mapping[str, object]
    message: str


def encoded(event: Event) -> bytes:
    """Return an event as a line of JSON; one whose detail is no JSON is kept without it."""
    try:
        return msgspec.json.encode(event) + b"\n"
    except (TypeError, ValueError, OverflowError):
        return msgspec.json.encode(msgspec.structs.replace(event, detail={})) + b"\n"


class Emit(Protocol):
    """Takes an event into the session's log; callable from any thread, never blocks on a disk or a network."""

    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        """Log that `kind` happened to `subject`; `detail` holds JSON values, no secrets."""
        ...
