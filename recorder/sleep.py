"""Whether the PC was asleep while it recorded: its clock stands still meanwhile, and nothing seems to be missing."""

from collections.abc import Callable

from config.events import Emit
from devices.clock import NANOSECONDS
from devices.monitor.sleep import slept_ns

LEAST_NS = NANOSECONDS
"""The two clocks are not read at the same moment."""


class SleepWatch:
    """Looked at now and then by the session's thread; tells of each sleep once."""

    def __init__(self, emit: Emit, slept: Callable[[], int] = slept_ns) -> None:
        """`slept` returns for how long the PC has slept so far, in nanoseconds."""
        self._emit = emit
        self._slept = slept
        self._known_ns = slept()

    def look(self, media_s: float | None) -> None:
        """Tell if the PC has slept since this was called last; `media_s` is where in the recording, None before it."""
        slept_ns = self._slept()
        if (asleep_ns := slept_ns - self._known_ns) < LEAST_NS:
            return
        self._known_ns = slept_ns
        if media_s is not None:
            asleep_s = asleep_ns / NANOSECONDS
            self._emit(
                "pc-slept",
                "session",
                f"This PC was asleep for {asleep_s:.0f} s; nothing was recorded meanwhile",
                media_s=media_s,
                slept_s=round(asleep_s, 1),
                hint="see that nothing sends it to sleep: liput check says what does",
            )
