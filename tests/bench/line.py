"""What a row of the benchmark gives: lines, each a figure beside its bar; and what it is told."""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One figure that was measured several times, of which the median counts: at most `bar`, in `unit`."""

    row: str
    what: str
    bar: float
    values: tuple[float, ...]
    unit: str
    behind: Mapping[str, float] = field(default_factory=dict)
    """What the figure was worked out from, by name: medians, for whoever reads the document."""

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the bar is kept."""
        return self.median <= self.bar

    def summary(self) -> dict[str, float | int | str | bool]:
        """Return it for the JSON document."""
        return {
            "median": round(self.median, 4),
            "min": round(min(self.values), 4),
            "max": round(max(self.values), 4),
            "pairs": len(self.values),
            "bar": self.bar,
            "unit": self.unit,
            "holds": self.holds,
            **{name: round(value, 4) for name, value in self.behind.items()},
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """What rows are told: how often, which clips, where things are kept that are made once, who hears how it goes."""

    cache: Path
    pairs: int = 3
    clips: tuple[str, ...] = ()
    """Which of tests/bench/clips.py `ffmpeg` and `gstreamer` are compared on; none for all."""
    say: Callable[[str], None] = lambda text: None


type Row = Callable[[Bench], Iterator[Line]]
"""Measures, and gives its lines as they are known; raises JobFailed where nothing can be compared."""
