"""A fault with hysteresis: it begins when a watch is sure of it, and ends only when it has been over for a while."""

from devices.clock import NANOSECONDS
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker

RECOVERS_AFTER_S = 1.0
"""How long all must be well before a fault is over."""


class Latch:
    """One fault, as one watch sees it; used by one thread. A fault that the tracker already has is taken over."""

    def __init__(self, tracker: HealthTracker, fault: Fault, *, recovers_after_s: float = RECOVERS_AFTER_S) -> None:
        self._tracker = tracker
        self._fault = fault
        self._recovers_after_ns = round(recovers_after_s * NANOSECONDS)
        self._good_since_ns: int | None = None
        self.is_on = tracker.has(fault)

    def bad(self, reason: str, *, began_ns: int, **detail: object) -> None:
        """Say that the fault is there, and has been since `began_ns`."""
        self._good_since_ns = None
        if not self.is_on:
            self.is_on = True
            self._tracker.find(self._fault, reason, began_ns=began_ns, **detail)

    def unsure(self) -> None:
        """Say that it is neither there nor over."""
        self._good_since_ns = None

    def good(self, now_ns: int) -> None:
        """Say that nothing is wrong at `now_ns`; ends the fault when that was so for long enough."""
        if not self.is_on:
            return
        if self._good_since_ns is None:
            self._good_since_ns = now_ns
        if now_ns - self._good_since_ns >= self._recovers_after_ns:
            self.end()

    def end(self) -> None:
        """End the fault at once."""
        self._good_since_ns = None
        if self.is_on:
            self.is_on = False
            self._tracker.clear(self._fault)
