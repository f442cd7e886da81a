"""A fault with hysteresis: it begins when a watch is sure of it, and ends only when it has been over for a while."""

from devices.health.faults import Fault
from devices.health.tracker import HealthTracker
from devices.host.clock import NANOSECONDS

RECOVERS_AFTER_S = 1.0
"""How long all must be well before a fault is over."""
AGAIN_S = 30.0
"""A fault that begins so soon after its end has never been quite over."""
OFTEN, MOST_TIMES = 3, 32
"""From this beginning in a row on, all must be well for twice as long each time, up to so many times as long."""


class Latch:
    """One fault, as one watch sees it; used by one thread.

    A fault that the tracker already has is taken over. A fault that comes and goes for hours becomes one that does not
    end.
    """

    def __init__(
        self,
        tracker: HealthTracker,
        fault: Fault,
        *,
        recovers_after_s: float = RECOVERS_AFTER_S,
        takes_over: bool = True,
    ) -> None:
        self._tracker = tracker
        self._fault = fault
        self._recovers_after_ns = round(recovers_after_s * NANOSECONDS)
        self._good_since_ns: int | None = None
        self._ended_ns: int | None = None
        self._in_a_row = 0
        self.is_on = takes_over and tracker.has(fault)

    def bad(self, reason: str, *, began_ns: int, **detail: object) -> None:
        """Say that the fault is there, and has been since `began_ns`."""
        self._good_since_ns = None
        if not self.is_on or not self._tracker.has(self._fault):  # which another watch may have ended
            self.is_on = True
            self._count(began_ns)
            self._tracker.find(self._fault, reason, began_ns=began_ns, **detail)

    def _count(self, began_ns: int) -> None:
        is_again = self._ended_ns is not None and began_ns - self._ended_ns < AGAIN_S * NANOSECONDS
        self._in_a_row = self._in_a_row + 1 if is_again else 1

    def unsure(self) -> None:
        """Say that it is neither there nor over."""
        self._good_since_ns = None

    def good(self, now_ns: int) -> None:
        """Say that nothing is wrong at `now_ns`; ends the fault when that was so for long enough."""
        if not self.is_on:
            return
        if self._good_since_ns is None:
            self._good_since_ns = now_ns
        times = min(2 ** max(0, self._in_a_row - OFTEN + 1), MOST_TIMES)
        if now_ns - self._good_since_ns >= self._recovers_after_ns * times:
            self._ended_ns = now_ns
            self.end()

    def end(self) -> None:
        """End the fault at once."""
        self._good_since_ns = None
        if self.is_on:
            self.is_on = False
            self._tracker.clear(self._fault)
