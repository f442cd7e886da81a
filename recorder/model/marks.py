"""Marks: the moments that people mark while a session records. They become chapters."""

import threading
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from config.errors import UsageError
from config.events import Emit
from devices.host.clock import Clock
from recorder.model.status import MarkLine

type Count = Annotated[int, Meta(ge=0)]
type Seconds = Annotated[float, Meta(ge=0, le=1e9)]  # calculations accept values of foreign packages up to thirty years
type Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
type Moment = Annotated[datetime, Meta(tz=True)]

MOST_MARKS = 2000  # marks of one session: this bounds the cost of a program that marks in a loop
MOST_MARKS_SHOWN = 8  # marks in the status: a page has room for this many


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A marked moment: time of day, media time and text."""

    at: Moment
    media_s: Seconds
    text: str


class Marks:
    """The marks of one session in order. Thread-safe."""

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._marks: list[Mark] = []
        self.offset_s = 0.0
        """The start of this recorder's media time in that of the session."""

    def add(self, text: str, media_s: float) -> Mark:
        """Add a mark and emit an event; return it in session time. Raises UsageError for no text, or too many."""
        if not text.strip():
            raise UsageError("the mark has no text", hint='name the mark: liput mark "Pertanyaan"')
        mark = Mark(at=self._clock.now(), media_s=media_s, text=" ".join(text.split()))
        with self._lock:
            if len(self._marks) >= MOST_MARKS:
                raise UsageError(f"this session has {MOST_MARKS} marks already", hint="it continues without more")
            self._marks.append(mark)
            number = len(self._marks)
        self._emit("mark", mark.text, f"Marked: {mark.text}", media_s=media_s, number=number)
        return msgspec.structs.replace(mark, media_s=round(media_s + self.offset_s, 3))

    @property
    def all(self) -> tuple[Mark, ...]:
        with self._lock:
            return tuple(self._marks)

    def lines(self) -> list[MarkLine]:
        """Return the newest marks for the status, in the session's media time."""
        with self._lock:
            newest = self._marks[-MOST_MARKS_SHOWN:]
        return [MarkLine(media_s=round(mark.media_s + self.offset_s, 3), text=mark.text) for mark in newest]
