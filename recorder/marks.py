"""The moments that somebody marks while a session is recorded: its chapters."""

import threading

from config.errors import UsageError
from config.events import Emit
from devices.clock import Clock
from recorder.archive.model import Mark


class Marks:
    """The marks of one session, in the order they were made; from any thread."""

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._marks: list[Mark] = []

    def add(self, text: str, media_s: float) -> Mark:
        """Mark `media_s` and tell of it; raises UsageError for an empty text."""
        if not text.strip():
            raise UsageError("the mark has no text", hint='say what begins here: liput mark "Pertanyaan"')
        mark = Mark(at=self._clock.now(), media_s=media_s, text=" ".join(text.split()))
        with self._lock:
            self._marks.append(mark)
            number = len(self._marks)
        self._emit("mark", mark.text, f"Marked: {mark.text}", media_s=media_s, number=number)
        return mark

    @property
    def all(self) -> tuple[Mark, ...]:
        """Every mark so far."""
        with self._lock:
            return tuple(self._marks)
