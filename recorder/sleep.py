"""Whether the PC was asleep while it recorded: its clock stands still meanwhile, and nothing seems to be missing."""

from collections.abc import Callable

from config.events import Emit
from devices.clock import NANOSECONDS, Clock
from devices.monitor.sleep import Slept, slept_ns


class SleepWatch:
    """Looked at now and then by the session's thread; tells once of each sleep that the recording reaches across."""

    def __init__(self, emit: Emit, clock: Clock, slept: Callable[[], int] = slept_ns) -> None:
        """`slept` returns for how long the PC has slept so far, in nanoseconds."""
        self._emit = emit
        self._clock = clock
        self._slept = Slept(slept)
        self._before: tuple[int, int] | None = None  # the last one before it recorded: when it was over, and its length

    def look(self, media_s: float | None) -> None:
        """Tell if the PC has slept since this was called last; `media_s` is where in the recording, None before it."""
        now_ns, asleep_ns = self._clock.now_ns(), self._slept.since_ns()
        if asleep_ns and media_s is None:
            self._before = now_ns, asleep_ns
        elif asleep_ns and media_s is not None:
            self._tell(media_s, asleep_ns)
        if media_s is not None and self._before is not None:
            woke_ns, earlier_ns = self._before
            self._before = None
            if (ago_s := (now_ns - woke_ns) / NANOSECONDS) < media_s:  # it begins with what was kept from before
                self._tell(media_s - ago_s, earlier_ns)

    def _tell(self, media_s: float, asleep_ns: int) -> None:
        asleep_s = asleep_ns / NANOSECONDS
        self._emit(
            "pc-slept",
            "session",
            f"This PC was asleep for {asleep_s:.0f} s; nothing was recorded meanwhile",
            media_s=round(media_s, 3),
            slept_s=round(asleep_s, 1),
            hint="see that nothing sends it to sleep: liput check says what does",
        )
