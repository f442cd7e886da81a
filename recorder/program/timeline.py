"""Program time, media time, and stalls of this PC.

Program time 0 is the capture time of an armed session's first frame; media time 0 is the start of its recording. In a
live session time passes with the session clock, else with the furthest track.

After a stall or a sleep, captured data waits in a queue or the kernel, and its place must stay free. A source that gave
nothing meanwhile was not silent.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from capture.cpu_stages import CpuTimer, untimed
from config.events import Emit
from devices.host.clock import NANOSECONDS, Clock, SleepDetector, slept_ns
from recorder.model.packet import Track

ENDING_NS = NANOSECONDS  # the tracks may already leave out frames for an end so near


class Timeline:
    """Times of a session in nanoseconds of program time, or of media time if so named; thread-safe."""

    def __init__(
        self,
        clock: Clock,
        *,
        live: bool,
        tracks: Iterable[Track],
        ending: Iterable[Track],
        release: Callable[[str], None] | None = None,
    ) -> None:
        """Start with nothing encoded; the session ends with the sources of all `ending` tracks.

        `release` gets each track with an ended source, once the end is known: until then a pace holds the tracks
        together.
        """
        self.live = live
        self.origin_ns = 0  # program time of media time 0
        self._release = release
        self._clock = clock
        self._lock = threading.Lock()
        self.zero_ns = 0  # session-clock time of program time 0, once started
        self._has_started = False
        self.end_ns: int | None = None  # end of the session; None while undecided
        self._positions = dict.fromkeys(tracks, 0)
        self._ending = frozenset(ending)
        self._running = set(self._ending)

    def start(self, zero_ns: int) -> None:
        """Make the session-clock time `zero_ns` program time 0."""
        self.zero_ns, self._has_started = zero_ns, True

    def program_ns(self, timestamp_ns: int) -> int:
        """Return a session-clock time as program time."""
        return timestamp_ns - self.zero_ns

    def media_now_ns(self) -> int:
        """Return the current media time, at most the end; negative before the recording."""
        now_ns = self.now_ns()
        return (now_ns if self.end_ns is None else min(now_ns, self.end_ns)) - self.origin_ns

    def media_position_ns(self) -> int:
        """Return the media time up to which all tracks are encoded."""
        return max(0, self.position_ns() - self.origin_ns)

    def now_ns(self) -> int:
        if not self._has_started:
            return 0
        if self.live:
            return self.program_ns(self._clock.now_ns())
        with self._lock:
            return max(self._positions.values())

    def advance(self, track: Track, position_ns: int) -> None:
        """Note that `track` is encoded up to `position_ns`."""
        with self._lock:
            self._positions[track] = position_ns

    def position_ns(self) -> int:
        """Return the time up to which all tracks are encoded."""
        with self._lock:
            return min(self._positions.values())

    def end_at(self, end_ns: int) -> None:
        """End the session at `end_ns`, unless it ends earlier."""
        with self._lock:
            self.end_ns = end_ns if self.end_ns is None else min(self.end_ns, end_ns)

    def ends_in_s(self) -> float | None:
        """Return the time until the end, None while it is undecided."""
        end_ns = self.end_ns
        return None if end_ns is None else round(max(0, end_ns - self.now_ns()) / NANOSECONDS, 3)

    def move_end(self, end_ns: int) -> bool:
        """End the session at `end_ns` instead of a later or earlier end; return False if it has none or is ending."""
        now_ns = self.now_ns()
        with self._lock:
            is_coming = self.end_ns is not None and self.end_ns > now_ns + ENDING_NS
            if is_coming:
                self.end_ns = end_ns
            return is_coming

    def source_ended(self, track: Track) -> None:
        """Note that the source of `track` has ended; the last one ends the session at the longest track."""
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
    """Clock, timeline and event log of one run; `timing` accounts for CPU."""

    timeline: Timeline
    clock: Clock
    emit: Emit
    timing: CpuTimer = untimed


class SleepWatch:
    """Reports each sleep of the PC within the recording, once. For the session's thread."""

    def __init__(self, emit: Emit, clock: Clock, slept: Callable[[], int] = slept_ns) -> None:
        """`slept` returns the nanoseconds that the PC has slept so far."""
        self._emit = emit
        self._clock = clock
        self._slept = SleepDetector(slept)
        self._early_sleep: tuple[int, int] | None = None  # last sleep before the recording: end, length

    def update(self, media_s: float | None) -> None:
        """Report a sleep since the last call; `media_s` is the media time, None before the recording."""
        now_ns, asleep_ns = self._clock.now_ns(), self._slept.since_ns()
        if asleep_ns and media_s is None:
            self._early_sleep = now_ns, asleep_ns
        elif asleep_ns and media_s is not None:
            self._report(media_s, asleep_ns)
        if media_s is not None and self._early_sleep is not None:
            woke_ns, earlier_ns = self._early_sleep
            self._early_sleep = None
            if (ago_s := (now_ns - woke_ns) / NANOSECONDS) < media_s:  # the pre-roll reaches across it
                self._report(media_s - ago_s, earlier_ns)

    def _report(self, media_s: float, asleep_ns: int) -> None:
        asleep_s = asleep_ns / NANOSECONDS
        self._emit(
            "pc-slept",
            "session",
            f"This PC was asleep for {asleep_s:.0f} s; nothing was recorded meanwhile",
            media_s=round(media_s, 3),
            slept_s=round(asleep_s, 1),
            hint="prevent sleep: liput check names the cause",
        )


STALL_NS = 300_000_000  # a longer time between two looks at a source is a stall of this PC
EMPTY_WAIT_NS = 100_000_000  # wait without data after which nothing is on its way
MAX_LOOK_NS = 50_000_000  # most that one look adds to that wait: the data needs several
MAX_EXCUSE_NS = 1_000_000_000  # limit of the excuse after a stall, for slow sources


class StallDetector:
    """Excuses one source after a stall; for one thread."""

    def __init__(self) -> None:
        self._looked_ns: int | None = None
        self._excused_ns = 0
        self._in_vain_ns = 0

    @property
    def is_excused(self) -> bool:
        """Whether data of a quiet source may still arrive."""
        return self._excused_ns > 0

    def update(self, now_ns: int, *, came: bool) -> int:
        """Note a look at `now_ns`, and whether data `came`; return the length of a stall, or 0."""
        passed_ns = 0 if self._looked_ns is None else now_ns - self._looked_ns
        self._looked_ns = now_ns
        if passed_ns > STALL_NS:
            self._excused_ns, self._in_vain_ns = MAX_EXCUSE_NS, 0
            return passed_ns
        self._in_vain_ns = 0 if came else self._in_vain_ns + min(passed_ns, MAX_LOOK_NS)
        has_nothing = self._in_vain_ns >= EMPTY_WAIT_NS
        self._excused_ns = 0 if has_nothing else max(0, self._excused_ns - passed_ns)
        return 0
