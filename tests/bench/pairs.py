"""Rows of the benchmark: figures beside their bars, and pairs of runs over the same material, by turns."""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.peers import Job, JobFailed, Usage, check_pictures, output, usage, x264_options
from tests.bench.quality import check_plays


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
    """Which of tests/bench/material.py `ffmpeg` and `gstreamer` are compared on; none for all."""
    say: Callable[[str], None] = lambda text: None


type Row = Callable[[Bench], Iterator[Line]]
"""Measures, and gives its lines as they are known; raises JobFailed where nothing can be compared."""

type Make = Callable[[Path], Job]
"""Returns a job that writes into a folder."""
type Inspect = Callable[[Path, Path], None]
"""Looks at the MP4s of both sides, ours first; raises JobFailed for what is no comparison."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What both sides took for the same, one after the other."""

    ours: Usage
    peers: Usage

    @property
    def cpu(self) -> float:
        """Our share of the peer's CPU seconds."""
        return self.ours.cpu_s / self.peers.cpu_s

    @property
    def memory(self) -> float:
        """Our share of the peer's memory."""
        return self.ours.peak_mb / self.peers.peak_mb


@dataclass(frozen=True, slots=True)
class Match:
    """Two jobs that are to be compared, and how many pictures each must give."""

    ours: Make
    peers: Make
    pictures: int
    same_settings: bool = True
    """Whether x264 must have been told the same by both."""
    inspect: Inspect = lambda ours, peers: None
    """Looks at what the first pair wrote, which must also play without a complaint."""
    check_ours: Callable[[Path], None] | None = None
    """Looks at each file of our side instead of counting its pictures; raises JobFailed."""


def measure(match: Match, *, ours_first: bool, look_closely: bool = False) -> Pair:
    """Run both sides once and check that they did the same."""
    took: dict[str, Usage] = {}
    with ExitStack() as stack:
        made = [("ours", match.ours), ("peers", match.peers)]
        folders: dict[str, tuple[Job, Path]] = {}
        for side, make in made if ours_first else reversed(made):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="liput-bench-")))
            job = make(folder)
            folders[side] = job, folder
            took[side] = usage(job, folder)
            if side == "ours" and match.check_ours:
                for pattern in job.outputs:
                    match.check_ours(output(folder, pattern))
            else:
                check_pictures(job, folder, match.pictures)
        ours, peers = (output(folders[side][1], folders[side][0].outputs[0]) for side, _ in made)
        if match.same_settings:
            check_settings(ours, peers)
        if look_closely:
            for job, folder in folders.values():
                for pattern in job.outputs:
                    check_plays(output(folder, pattern))
            match.inspect(ours, peers)
    return Pair(took["ours"], took["peers"])


def check_settings(ours: Path, peers: Path) -> None:
    """Raise JobFailed unless x264 was told in our film what it was told in the peer's."""
    told, wanted = x264_options(ours), x264_options(peers)
    if different := {name for name in wanted if wanted[name] != told.get(name)}:
        words = ", ".join(f"{name} ({told.get(name)}, not {wanted[name]})" for name in sorted(different))
        raise JobFailed(f"x264 was set differently in {words}")


def interleaved(bench: Bench, what: str, match: Match) -> list[Pair]:
    """Measure `bench.pairs` pairs, each beginning with the other side."""
    pairs = []
    for turn in range(bench.pairs):
        pair = measure(match, ours_first=turn % 2 == 0, look_closely=turn == 0)
        pairs.append(pair)
        bench.say(f"{what}: {pair.ours.cpu_s:.2f} s, the peer {pair.peers.cpu_s:.2f} s: {pair.cpu:.3f}")
    return pairs


def cpu_line(row: str, what: str, bar: float, pairs: Sequence[Pair], peer: str = "ffmpeg") -> Line:
    """Return the line of the ratios of CPU seconds: the median of the ratios, not the ratio of the medians."""
    behind = {
        "liput_cpu_s": median(pair.ours.cpu_s for pair in pairs),
        "peer_cpu_s": median(pair.peers.cpu_s for pair in pairs),
    }
    return Line(row, what, bar, tuple(pair.cpu for pair in pairs), f"of {peer}'s CPU", behind)
