"""Program time and media time: where the session is, how far each track has come, and where it ends.

Program time 0 is the capture time of an armed session's first picture, media time 0 where its recording begins. Time
passes with the session clock; in a session without one it is where the furthest track is.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from capture.timing import Timing, untimed
from config.events import Emit
from devices.host.clock import Clock
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
