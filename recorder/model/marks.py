"""The moments that somebody marks while a session is recorded: its chapters."""

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
type Seconds = Annotated[float, Meta(ge=0, le=1e9)]
"""No recording lasts thirty years; what a package says that came from elsewhere is calculated with all the same."""
type Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")]
type Moment = Annotated[datetime, Meta(tz=True)]


MOST = 2000
"""Marks of one session: more than anybody means, and what a program that marks without end may cost."""
MOST_TOLD = 8
"""Marks that the status tells of: so many fit on a page."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment that somebody marked while it was recorded: the time of day, the media time, what they wrote."""

    at: Moment
    media_s: Seconds
    text: str


class Marks:
    """The marks of one session, in the order they were made; from any thread."""

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._marks: list[Mark] = []
        self.offset_s = 0.0
        """Where in the session's media time that of this recorder begins."""

    def add(self, text: str, media_s: float) -> Mark:
        """Mark `media_s` and tell of it; return it in the session's time.

        Raises UsageError for an empty text, and where there are MOST already.
        """
        if not text.strip():
            raise UsageError("the mark has no text", hint='say what begins here: liput mark "Pertanyaan"')
        mark = Mark(at=self._clock.now(), media_s=media_s, text=" ".join(text.split()))
        with self._lock:
            if len(self._marks) >= MOST:
                raise UsageError(f"this session has {MOST} marks already", hint="it goes on without more of them")
            self._marks.append(mark)
            number = len(self._marks)
        self._emit("mark", mark.text, f"Marked: {mark.text}", media_s=media_s, number=number)
        return msgspec.structs.replace(mark, media_s=round(media_s + self.offset_s, 3))

    @property
    def all(self) -> tuple[Mark, ...]:
        """Every mark so far."""
        with self._lock:
            return tuple(self._marks)

    def lines(self) -> list[MarkLine]:
        """Return the newest few for the status, in the session's time."""
        with self._lock:
            newest = self._marks[-MOST_TOLD:]
        return [MarkLine(media_s=round(mark.media_s + self.offset_s, 3), text=mark.text) for mark in newest]
