"""How a room's uplink is, what measuring it may cost, and how far a measurement is."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from statistics import mean, median, quantiles

import msgspec

STEP_S = 0.5
TOGETHER = 4
"""So many steps make a window, one beginning with each: what was lost and is sent again holds up all that came after
it for a round trip or two, and a live stream waits for longer than that."""


class Rate(msgspec.Struct, frozen=True):
    """Bits a second that a link carries: in the middle of all windows, in the worst tenth, on average (`_average`)."""

    median_bps: float
    p10_bps: float
    mean_bps: float

    @property
    def sustained_bps(self) -> float:
        """What may be counted on: windows in which lost packets are made up for can show more than a link carries."""
        return min(self.median_bps, self.mean_bps)

    @classmethod
    def of(cls, steps: Sequence[float]) -> "Rate":
        """Return what the rates of steps that follow on each other come to; there must be one at least."""
        windows = [mean(steps[at : at + TOGETHER]) for at in range(max(1, len(steps) - TOGETHER + 1))]
        worst = quantiles(windows, n=10, method="inclusive")[0] if len(windows) > 1 else windows[0]
        return cls(median(windows), worst, _average(steps))


def _average(steps: Sequence[float]) -> float:
    """Return the average rate of steps, whatever was held up at their beginning and end.

    A lost packet holds up those after it, which then count at once: some come from before the first step, some are
    missing at the last. So the upper convex hull of the sum counts, over the middle half.
    """
    hull: list[tuple[int, float]] = []
    for point in enumerate(accumulate(steps, initial=0.0)):
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], point):
            hull.pop()
        hull.append(point)
    count = len(steps)
    return (_height(hull, count * 0.75) - _height(hull, count * 0.25)) / (count * 0.5)


def _slope(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[1] - before[1]) / (after[0] - before[0])


def _height(points: Sequence[tuple[float, float]], at: float) -> float:
    before, after = next(pair for pair in pairwise(points) if at <= pair[1][0])
    return before[1] + _slope(before, after) * (at - before[0])


class Latency(msgspec.Struct, frozen=True):
    """Seconds there and back, the middle of what was measured, and the usual difference from one to the next."""

    rtt_s: float
    jitter_s: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Latency | None":
        """Return what samples come to, in the order they were taken; None where there is none."""
        if not samples:
            return None
        steps = [abs(after - before) for before, after in pairwise(samples)]
        return cls(median(samples), mean(steps) if steps else 0.0)


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; None is what this way of measuring does not tell.

    `loaded` and `loaded_down` are latencies while the link was full. `again_share` of all bytes was sent again, an
    estimate of the loss. `is_capped`: the data it may take ended it.
    """

    up: Rate
    down: Rate | None = None
    idle: Latency | None = None
    loaded: Latency | None = None
    loaded_down: Latency | None = None
    again_share: float | None = None
    moved_bytes: int
    streams: int
    is_capped: bool = False

    @property
    def bloat_s(self) -> float | None:
        """How much longer a packet takes while the link is full."""
        loaded = [each.rtt_s for each in (self.loaded, self.loaded_down) if each]
        return max(0.0, round(max(loaded) - self.idle.rtt_s, 6)) if loaded and self.idle else None


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement may take: connections at once, bytes both ways, seconds each way, warm-up included."""

    streams: int = 6
    """Three by BBR come to half of a fast, long way that loses packets, or to all of it, as chance has it."""
    most_bytes: int = 100_000_000
    up_s: float = 8.0
    down_s: float = 6.0
    warm_up_s: float = 2.0
    idle_s: float = 1.5

    UP_SHARE = 2 / 3
    """Of the bytes: it is the way up that a session needs."""

    @property
    def up_bytes(self) -> int:
        """What of it may go up."""
        return round(self.most_bytes * self.UP_SHARE)


type Tell = Callable[[str, float, float | None], None]
"""Hears the phase (reach, idle, up or down), which share of the whole is done, and the rate in bits a second."""
