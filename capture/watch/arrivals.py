"""The watch over arrivals of pictures; evenness is judged by capture times, as the PC may be busy."""

from collections import deque
from fractions import Fraction
from itertools import pairwise
from statistics import median

from capture.watch.latch import Latch
from capture.watch.patience import SILENT_FRAMES, SILENT_S
from devices.health.faults import Fault
from devices.health.tracker import HealthTracker
from devices.host.clock import NANOSECONDS
from devices.model import DeviceKind

FIRST_PICTURE_S = 3.0
"""How long a device may take for its first picture."""
WINDOW_S = 3.0
_SETTLES_S = 1.0
_LOOKS_EVERY_S = 0.5
SLOW, FAST_ENOUGH = 0.78, 0.9
"""Parts of the nominal rate: below the first a source is slow, from the second on it is not. 24 of 30 is not slow."""
SIGNAL_RATES = (24, 25, 30, 50, 60)
"""What computers and players send. A capture card that hands on one of these evenly gives all that it is given."""
_SIGNAL_SHARE = 0.01
UNEVEN, EVEN = 0.7, 0.5
"""Jitter (the mean difference of one interval and the next, as in RFC 3550) as a part of the mean interval.
Every fifth picture missing makes 0.4; a camera that changes its rate makes none."""
GAP = 1.5
"""An interval of more than so many usual ones has pictures missing in it."""
_FEWEST = 4
_MOST = 1000
"""More pictures than any source has in WINDOW_S; one whose times stand still must not fill the memory."""

_WINDOW_NS = round(WINDOW_S * NANOSECONDS)


class ArrivalWatch:
    """Judges when pictures come, for a `kind` of device of `nominal` pictures a second; used by the thread that reads.

    A screen is not judged by evenness. `fps` and `jitter_s` were measured last; `missing` counts since the opening.
    """

    def __init__(
        self, tracker: HealthTracker, kind: DeviceKind, nominal: Fraction, opened_ns: int, *, is_screen: bool = False
    ) -> None:
        self.fps = 0.0
        self.jitter_s = 0.0
        self.missing = 0
        self._name = tracker.name
        self._kind = kind
        self._is_screen = is_screen
        self._nominal = float(nominal)
        self._times: deque[int] = deque(maxlen=_MOST)
        """The capture times of the last WINDOW_S; they begin anew after a pause."""
        self._began_ns = 0
        self._opened_ns = opened_ns
        self._last_ns: int | None = None
        self._next_look_ns = 0
        self._silent = Latch(tracker, Fault.NO_DATA)
        self._slow = Latch(tracker, Fault.SLOW)
        self._jitter = Latch(tracker, Fault.JITTER)

    def arrived(self, captured_ns: int, now_ns: int) -> None:
        """Take note of a picture."""
        self.missing += self._missing_before(captured_ns)
        if self._last_ns is not None and now_ns - self._last_ns > self._patience_ns():
            self._times.clear()
        self._last_ns = now_ns
        self._silent.good(now_ns)
        self._add(captured_ns)
        if now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + round(_LOOKS_EVERY_S * NANOSECONDS)
            if self._is_settled:
                self._judge(captured_ns)

    def _add(self, at_ns: int) -> None:
        if self._times and at_ns < self._times[-1] - NANOSECONDS:  # another clock
            self._times.clear()
        if not self._times:
            self._began_ns = at_ns
        self._times.append(max(at_ns, self._times[-1]) if self._times else at_ns)
        while at_ns - self._times[0] > _WINDOW_NS:
            self._times.popleft()

    @property
    def _is_settled(self) -> bool:
        """Whether the window is full, and the first second, in which cameras start, is not in it any more."""
        return len(self._times) > _FEWEST and self._times[-1] - self._began_ns >= _WINDOW_NS + _SETTLES_S * NANOSECONDS

    @property
    def _interval_ns(self) -> int:
        """The mean time between two pictures, 0 if that is not known."""
        return (self._times[-1] - self._times[0]) // (len(self._times) - 1) if len(self._times) > _FEWEST else 0

    def _missing_before(self, at_ns: int) -> int:
        """Return how many pictures are missing before one captured at `at_ns`, by the rhythm, or the nominal rate."""
        interval_ns, least_ns = self._interval_ns, NANOSECONDS / self._nominal
        if not interval_ns or at_ns - self._times[-1] <= GAP * max(interval_ns, least_ns):
            return 0
        usual_ns = max(median(self._intervals()), least_ns)  # the mean holds the gaps before this one
        return max(0, round((at_ns - self._times[-1]) / usual_ns) - 1)

    def _intervals(self) -> list[int]:
        """Return the intervals without the longest: one hiccup is neither a rate nor a rhythm."""
        intervals = [after - before for before, after in pairwise(self._times)]
        if intervals:
            intervals.remove(max(intervals))
        return intervals

    def _slow_since(self) -> int:
        """Return when the first interval of the window that is longer than usual began."""
        usual_ns = NANOSECONDS / self._nominal
        for before, after in pairwise(self._times):
            if after - before > usual_ns / FAST_ENOUGH:
                return before
        return self._times[0]

    def excuse(self, for_ns: int) -> None:
        """Take note that for so long nobody has asked for pictures."""
        self._times.clear()
        if self._last_ns is None:
            self._opened_ns += for_ns
        else:
            self._last_ns += for_ns

    def is_overdue(self, now_ns: int) -> bool:
        """Return whether a picture should have come by now."""
        return now_ns - self._waiting_since_ns() >= self._patience_ns()

    def nothing_came(self, now_ns: int, *, is_explained: bool) -> None:
        """Say that no picture has come for longer than it may take, and whether another fault explains that."""
        if is_explained:
            self._silent.end()
            return
        since_ns = self._waiting_since_ns()
        for_s = (now_ns - since_ns) / NANOSECONDS
        if self._last_ns is None:
            what = f"{self._name} has given no picture in the {for_s:.1f} s since it was opened"
        else:
            what = f"{self._name} has given no picture for {for_s:.1f} s"
        advice = "check its cable and that it is switched on; unplug it, wait two seconds and plug it in again"
        if self._is_screen:
            advice = "its desktop hangs; log out and in again"
        self._silent.bad(f"{what}: {advice}", began_ns=since_ns, patience_s=self._patience_ns() / NANOSECONDS)

    def _waiting_since_ns(self) -> int:
        return self._opened_ns if self._last_ns is None else self._last_ns

    def _patience_ns(self) -> int:
        """Return the longer of SILENT_S and five intervals, the true ones where they are longer than promised."""
        if self._last_ns is None:
            return round(FIRST_PICTURE_S * NANOSECONDS)
        interval_ns = max(NANOSECONDS / self._nominal, self._interval_ns)
        return round(max(SILENT_S * NANOSECONDS, SILENT_FRAMES * interval_ns))

    def _judge(self, now_ns: int) -> None:
        intervals = self._intervals()
        mean_ns = sum(intervals) / len(intervals)
        if mean_ns <= 0:
            return
        self.fps = NANOSECONDS / mean_ns
        jitter_ns = sum(abs(after - before) for before, after in pairwise(intervals)) / (len(intervals) - 1)
        self.jitter_s = jitter_ns / NANOSECONDS
        jitter = jitter_ns / mean_ns
        self._judge_rate(now_ns, is_even=jitter <= EVEN)
        if not self._is_screen:
            self._judge_evenness(jitter, now_ns)

    def _judge_rate(self, now_ns: int, *, is_even: bool) -> None:
        share = self.fps / self._nominal
        if share >= FAST_ENOUGH or (is_even and self._is_what_it_is_given()):
            self._slow.good(now_ns)
        elif share < SLOW:
            why = (
                "many cameras lower their rate in the dark (auto exposure): more light, or fixed exposure; else its"
                " cable or port"
            )
            if self._is_screen:
                why = "this PC is busy: close other programs"
            self._slow.bad(
                f"{self._name} gives {self.fps:.1f} pictures a second instead of {self._nominal:.3g}: {why}",
                began_ns=self._slow_since(),
                fps=round(self.fps, 2),
                nominal_fps=round(self._nominal, 3),
            )
        else:
            self._slow.unsure()

    def _is_what_it_is_given(self) -> bool:
        return self._kind is DeviceKind.CAPTURE_CARD and any(
            abs(self.fps / rate - 1) < _SIGNAL_SHARE for rate in SIGNAL_RATES
        )

    def _judge_evenness(self, jitter: float, now_ns: int) -> None:
        if jitter > UNEVEN:
            self._jitter.bad(
                f"the pictures of {self._name} come at uneven intervals, {1000 / self.fps:.0f} ms and on the average"
                f" {self.jitter_s * 1000:.0f} ms more or less than the one before: something else keeps its USB bus"
                " busy, or its cable is bad",
                began_ns=now_ns - _WINDOW_NS,
                jitter_ms=round(self.jitter_s * 1000, 1),
                fps=round(self.fps, 2),
            )
        elif jitter <= EVEN:
            self._jitter.good(now_ns)
        else:
            self._jitter.unsure()
