"""Tells the event log of pictures and sound that never came into the program, often enough and not too often."""

from config.events import Emit
from devices.clock import NANOSECONDS, Clock

EVERY_NS = 5 * NANOSECONDS


class LossReporter:
    """Watches one growing count of things lost from one source."""

    def __init__(self, kind: str, subject: str, sentence: str, *, emit: Emit, clock: Clock) -> None:
        """`kind` and `subject` are the event's; `sentence` has {count} for how many are new and {name} for whose."""
        self._kind, self._subject, self._sentence = kind, subject, sentence
        self._emit = emit
        self._clock = clock
        self._told = 0
        self._told_ns: int | None = None

    def begin(self, count: int) -> None:
        """Leave out what was lost so far, of which there are `count`."""
        self._told = count

    def update(self, count: int, *, final: bool = False, **detail: object) -> None:
        """Take the count of now; what is new is told at once, later news every EVERY_NS, the `final` one always."""
        new, now_ns = count - self._told, self._clock.now_ns()
        if new <= 0 or not (final or self._told_ns is None or now_ns > self._told_ns + EVERY_NS):
            return
        self._told, self._told_ns = count, now_ns
        message = self._sentence.format(count=new, name=self._subject)
        self._emit(self._kind, self._subject, message, count=new, **detail)
