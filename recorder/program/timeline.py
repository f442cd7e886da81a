"""Program time and media time: where the session is, how far each track has come, and where it ends.

Program time 0 is the capture time of an armed session's first picture, media time 0 where its recording begins. Time
passes with the session clock; in a session without one it is where the furthest track is.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from capture.timing import Timing, untimed
from config.events import Emit
from devices.host.clock import NANOSECONDS, Clock, Sleep, slept_ns
from recorder.model.packet import Track


class Timeline:
    """Shared by the tracks and the session; all times are nanoseconds of program time, unless they say `media`."""

    def __init__(
        self,
        clock: Clock,
        *,
        live: bool,
        tracks: Iterable[Track],
        ending: Iterable[Track],
        release: Callable[[str], None] | None = None,
    ) -> None:
        """Begin with nothing encoded; the session ends with the last of the `ending` tracks' sources.

        `release` hears of each track whose source has ended, once the end is known: until then a pace holds the tracks
        together.
        """
        self.live = live
        self.origin_ns = 0
        """Where media time 0 lies in program time."""
        self._release = release
        self._clock = clock
        self._lock = threading.Lock()
        self._zero_ns: int | None = None
        self.end_ns: int | None = None
        """Where the session ends; None while it is not decided."""
        self._positions = dict.fromkeys(tracks, 0)
        self._ending = frozenset(ending)
        self._running = set(self._ending)

    def start(self, zero_ns: int) -> None:
        """Make the session-clock time `zero_ns` program time 0."""
        self._zero_ns = zero_ns

    @property
    def zero_ns(self) -> int:
        """The session-clock time that is program time 0; 0 before `start`."""
        return self._zero_ns or 0

    def program_ns(self, timestamp_ns: int) -> int:
        """Return the program time of a moment of the session clock."""
        return timestamp_ns - self.zero_ns

    def media_now_ns(self) -> int:
        """Return where the recording is now, or where it ended; negative before it begins."""
        now_ns = self.now_ns()
        return (now_ns if self.end_ns is None else min(now_ns, self.end_ns)) - self.origin_ns

    def media_position_ns(self) -> int:
        """Return up to where every track of the recording is encoded."""
        return max(0, self.position_ns() - self.origin_ns)

    def now_ns(self) -> int:
        """Return where the session is now."""
        if self._zero_ns is None:
            return 0
        if self.live:
            return self.program_ns(self._clock.now_ns())
        with self._lock:
            return max(self._positions.values())

    def advance(self, track: Track, position_ns: int) -> None:
        """Say that `track` is encoded up to `position_ns`."""
        with self._lock:
            self._positions[track] = position_ns

    def position_ns(self) -> int:
        """Return up to where every track is encoded."""
        with self._lock:
            return min(self._positions.values())

    def end_at(self, end_ns: int) -> None:
        """End the session there, unless it ends earlier already."""
        with self._lock:
            self.end_ns = end_ns if self.end_ns is None else min(self.end_ns, end_ns)

    def source_ended(self, track: Track) -> None:
        """Say that the source of `track`, encoded up to there, gives no more; the last one ends the session."""
        with self._lock:
            if track in self._running:
                self._running.remove(track)
                if not self._running:
                    longest = max(self._positions[ended] for ended in self._ending)
                    self.end_ns = longest if self.end_ns is None else min(self.end_ns, longest)
        if self._release:
            self._release(str(track))


@dataclass(frozen=True, slots=True)
class RunContext:
    """The time and the event log that all parts of one run share; `timing` accounts for their CPU."""

    timeline: Timeline
    clock: Clock
    emit: Emit
    timing: Timing = untimed


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
