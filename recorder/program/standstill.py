"""Times in which this PC stood still, or slept: a source that gave nothing then was not silent.

Whatever was captured meanwhile waits in a queue or the kernel, and comes once its thread has its turn: until then its
place is left free. Only time in which somebody waited for it counts.
"""

from collections.abc import Callable

from config.events import Emit
from devices.host.clock import NANOSECONDS, Clock, Sleep, slept_ns


class SleepWatch:
    """Tells once of each sleep of the PC that the recording reaches across. For the session's thread."""

    def __init__(self, emit: Emit, clock: Clock, slept: Callable[[], int] = slept_ns) -> None:
        """`slept` returns for how long the PC has slept so far, in nanoseconds."""
        self._emit = emit
        self._clock = clock
        self._slept = Sleep(slept)
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


STOOD_NS = 300_000_000
"""If it takes so long from one look at a source to the next, that is not the source's silence."""
IN_VAIN_NS = 100_000_000
"""A source that was waited for so long in vain has nothing on its way any more..."""
LOOK_NS = 50_000_000
"""...of which no look counts for more than this: it takes several, between which others have their turn."""
MOST_EXCUSED_NS = 1_000_000_000
"""So long after this PC stood still a source that gives only little by little is taken for what it is."""


class StallDetector:
    """Takes note of each look at one source; used by one thread."""

    def __init__(self) -> None:
        """Begin with no look."""
        self._looked_ns: int | None = None
        self._excused_ns = 0
        self._in_vain_ns = 0

    @property
    def is_excused(self) -> bool:
        """Whether a source that gives nothing may have something on its way, so that its place is left free."""
        return self._excused_ns > 0

    def look(self, now_ns: int, *, came: bool) -> int:
        """Take note of a look until `now_ns`, and whether something came; return for how long this PC stood still."""
        passed_ns = 0 if self._looked_ns is None else now_ns - self._looked_ns
        self._looked_ns = now_ns
        if passed_ns > STOOD_NS:
            self._excused_ns, self._in_vain_ns = MOST_EXCUSED_NS, 0
            return passed_ns
        self._in_vain_ns = 0 if came else self._in_vain_ns + min(passed_ns, LOOK_NS)
        has_nothing = self._in_vain_ns >= IN_VAIN_NS
        self._excused_ns = 0 if has_nothing else max(0, self._excused_ns - passed_ns)
        return 0
