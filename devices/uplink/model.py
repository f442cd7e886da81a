"""The result of an uplink measurement, its budget, and its progress."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from statistics import mean, median, quantiles

import msgspec

STEP_S = 0.5
WINDOW_STEPS = 4
"""Steps in a sliding window. A lost packet delays later ones for a round trip or two; live streams tolerate that."""


class LinkRate(msgspec.Struct, frozen=True):
    """A link's bits a second: median and 10th percentile of all windows, and the average (`_average`)."""

    median_bps: float
    p10_bps: float
    mean_bps: float

    @property
    def sustained_bps(self) -> float:
        """The reliable rate: windows that make up for lost packets can exceed the link's rate."""
        return min(self.median_bps, self.mean_bps)

    @classmethod
    def of(cls, steps: Sequence[float]) -> "LinkRate":
        """Return the rate of consecutive steps, at least one."""
        windows = [mean(steps[at : at + WINDOW_STEPS]) for at in range(max(1, len(steps) - WINDOW_STEPS + 1))]
        worst = quantiles(windows, n=10, method="inclusive")[0] if len(windows) > 1 else windows[0]
        return cls(median(windows), worst, _average(steps))


def _average(steps: Sequence[float]) -> float:
    """Return the average rate of steps, without the delays at their beginning and end.

    A lost packet holds up later ones, which then count at once: the first step gets earlier bytes, the last one misses
    some. So the upper convex hull of the sum counts, over the middle half.
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


class LinkLatency(msgspec.Struct, frozen=True):
    """The median round trip in seconds, and the mean difference from one to the next."""

    rtt_s: float
    jitter_s: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "LinkLatency | None":
        """Return the latency of samples in order; None where there are none."""
        if not samples:
            return None
        steps = [abs(after - before) for before, after in pairwise(samples)]
        return cls(median(samples), mean(steps) if steps else 0.0)


class UplinkResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a measurement; None where this kind of server does not tell.

    `loaded` and `loaded_down` are latencies on the full link. `again_share` is the retransmitted share of all bytes, an
    estimate of the loss. `is_capped`: the data limit ended the measurement.
    """

    up: LinkRate
    down: LinkRate | None = None
    idle: LinkLatency | None = None
    loaded: LinkLatency | None = None
    loaded_down: LinkLatency | None = None
    again_share: float | None = None
    moved_bytes: int
    streams: int
    is_capped: bool = False

    @property
    def bloat_s(self) -> float | None:
        """The additional latency on the full link."""
        loaded = [each.rtt_s for each in (self.loaded, self.loaded_down) if each]
        return max(0.0, round(max(loaded) - self.idle.rtt_s, 6)) if loaded and self.idle else None


class UplinkBudget(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a measurement: connections, bytes both ways, seconds each way, warm-up included."""

    streams: int = 6  # three streams by BBR reach between half and all of a fast, long, lossy link, by chance
    most_bytes: int = 100_000_000
    up_s: float = 8.0
    down_s: float = 6.0
    warm_up_s: float = 2.0
    idle_s: float = 1.5

    UP_SHARE = 2 / 3  # of the bytes: a session needs the upload

    @property
    def up_bytes(self) -> int:
        return round(self.most_bytes * self.UP_SHARE)


type UplinkProgress = Callable[[str, float, float | None], None]
"""Called with the phase (reach, idle, up or down), the finished share of the whole, and the rate in bits a second."""
