"""The watch over what a driver says of the signal at its input."""

from capture.source import VideoSource
from capture.watch.latch import Latch
from devices.clock import NANOSECONDS
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker

_ASKS_EVERY_S = 1.0
_SURE_AFTER = 2
"""How often a driver whose pictures come must say that there is no signal: a computer that changes its resolution
takes a moment."""


class SignalWatch:
    """Asks the driver about its signal, once a second and where pictures stay away."""

    def __init__(self, tracker: HealthTracker, source: VideoSource) -> None:
        self._name = tracker.name
        self._source = source
        self._asked_ns = -round(_ASKS_EVERY_S * NANOSECONDS)
        self._bad_since_ns: int | None = None
        self._times_bad = 0
        self._was_without_pictures = False
        self._latch = Latch(tracker, Fault.NO_SIGNAL, takes_over=False)  # it may have been found in the pictures

    def look(self, now_ns: int, *, pictures_come: bool) -> bool:
        """Return whether the driver says that there is no usable signal."""
        just_stopped = not pictures_come and not self._was_without_pictures
        self._was_without_pictures = not pictures_come
        if just_stopped or now_ns - self._asked_ns >= _ASKS_EVERY_S * NANOSECONDS:
            self._asked_ns = now_ns
            self._hear(self._source.signal_problem(), now_ns, at_once=not pictures_come)
        return self._latch.is_on

    def _hear(self, problem: str | None, now_ns: int, *, at_once: bool) -> None:
        if problem is None:
            self._bad_since_ns, self._times_bad = None, 0
            self._latch.good(now_ns)
            return
        if self._bad_since_ns is None:
            self._bad_since_ns = now_ns
        self._times_bad += 1
        if at_once or self._times_bad >= _SURE_AFTER:
            reason = f"{self._name} says that it has no signal: {problem}; check the cable and the computer at its end"
            self._latch.bad(reason, began_ns=self._bad_since_ns, driver=True)
        else:
            self._latch.unsure()
