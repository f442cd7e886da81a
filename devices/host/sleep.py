"""Whether the PC was asleep: when it wakes, every USB device may be plugged in anew, and nobody has touched any."""

import time
from collections.abc import Callable

from devices.host.clock import NANOSECONDS

_LEAST_NS = NANOSECONDS
"""The two clocks are not read at the same moment."""
WAKING_S = 10
"""How long after waking the kernel may still find devices gone."""


def slept_ns() -> int:
    """Return for how long the PC has slept since it was started: CLOCK_MONOTONIC stands still meanwhile."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


class Sleep:
    """Asked at each look; `slept` returns for how long the PC has slept so far, in nanoseconds."""

    def __init__(self, slept: Callable[[], int] = slept_ns) -> None:
        self._slept = slept
        self._known_ns = slept()
        self._woke_ns: int | None = None

    def since_ns(self) -> int:
        """Return for how long it has slept since a sleep was returned last; 0 for less than a second."""
        asleep_ns = self._slept() - self._known_ns
        if asleep_ns < _LEAST_NS:
            return 0
        self._known_ns += asleep_ns
        return asleep_ns

    def is_waking(self, now_ns: int) -> bool:
        """Return whether the PC has just woken, or woke since this was asked last."""
        if self.since_ns():
            self._woke_ns = now_ns
        return self._woke_ns is not None and now_ns - self._woke_ns <= WAKING_S * NANOSECONDS
