"""Whether a driver's timestamps can be believed, frame by frame."""

from devices.clock import NANOSECONDS

_OLDEST_NS = 2 * NANOSECONDS
_FUTURE_NS = NANOSECONDS // 4
"""Some drivers stamp a frame with the time at which it should have been complete."""


class Stamps:
    """Turns a driver's timestamps into times of the session clock that never go back.

    V4L2 stamps frames with CLOCK_MONOTONIC, the session clock, unless a driver or its settings choose the wall clock or
    the device's own. Whether they do shows at the first frame, which was captured just now; from then on a stamp that
    is late is a frame that waited, and one from the future is not believed.
    """

    def __init__(self) -> None:
        self.is_monotonic: bool | None = None
        self._last_ns = 0

    def begin_anew(self) -> None:
        """Judge the driver's stamps anew: the device has been opened again, and may have another clock than before."""
        self.is_monotonic = None

    def stamp(self, driver_ns: int | None, now_ns: int) -> int:
        """Return when a frame was captured that the driver stamped `driver_ns` and that arrived at `now_ns`."""
        if self.is_monotonic is None:
            self.is_monotonic = driver_ns is not None and -_FUTURE_NS < now_ns - driver_ns < _OLDEST_NS
        believed = now_ns
        if self.is_monotonic and driver_ns is not None and driver_ns <= now_ns + _FUTURE_NS:
            believed = driver_ns
        self._last_ns = max(believed, self._last_ns + 1)
        return self._last_ns
