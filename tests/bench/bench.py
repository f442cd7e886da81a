"""Compare Liput with the ffmpeg command: CPU seconds of the same job, in interleaved pairs.

    python -m tests.bench.bench [--json] [--pairs 3] [--clips mix,slides,camera,watches] [--cache FOLDER]

Each clip is decoded, encoded once (x264 veryfast, AAC) and written twice (MP4, FLV) by either side in turn. The
figure is Liput's CPU time by ffmpeg's, so less than 1 is less work. A pair whose outputs do not hold
the same number of pictures, or were not encoded with the same settings, is no comparison, and ends the run.

`watches` compares nothing with ffmpeg: it is what watching a source takes (tests/bench/watches.py).
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.table import Table

from tests.bench import watches
from tests.bench.clips import FRAMES, NAMES, clips
from tests.bench.peers import Job, JobFailed, cpu_seconds, ffmpeg_job, liput_job, output, picture_count, x264_options

BARS = {"mix": 0.90, "slides": 0.65, "camera": 0.95}
WATCHES = "watches"


@dataclass(frozen=True)
class Pair:
    """CPU seconds of both sides over the same clip, one after the other."""

    liput_s: float
    ffmpeg_s: float

    @property
    def ratio(self) -> float:
        """Liput's share of what ffmpeg takes."""
        return self.liput_s / self.ffmpeg_s


def measure(clip: Path, *, liput_first: bool) -> Pair:
    """Run both sides once and check that they did the same."""
    jobs = (liput_job, ffmpeg_job) if liput_first else (ffmpeg_job, liput_job)
    seconds: dict[str, float] = {}
    options: dict[str, dict[str, str]] = {}
    for make in jobs:
        with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
            folder = Path(name)
            job = make(clip, folder)
            seconds[job.name] = cpu_seconds(job, folder)
            _check_pictures(job, folder)
            options[job.name] = x264_options(output(folder, job.outputs[0]))
    different = {name for name in options["ffmpeg"] if options["ffmpeg"][name] != options["liput"].get(name)}
    if different:
        raise JobFailed(f"x264 was set differently in {', '.join(sorted(different))}")
    return Pair(seconds["liput"], seconds["ffmpeg"])


def _check_pictures(job: Job, folder: Path) -> None:
    for pattern in job.outputs:
        count = picture_count(output(folder, pattern))
        if count != FRAMES:
            raise JobFailed(f"{job.name} wrote {count} pictures instead of {FRAMES} to {pattern}")


def summary(pairs: Sequence[Pair]) -> dict[str, float | int]:
    """Return the ratios as the command line's contract has them, and the seconds behind them."""
    ratios = [pair.ratio for pair in pairs]
    return {
        "median": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
        "pairs": len(pairs),
        "liput_cpu_s": round(statistics.median(pair.liput_s for pair in pairs), 2),
        "peer_cpu_s": round(statistics.median(pair.ffmpeg_s for pair in pairs), 2),
    }


def _table(results: dict[str, dict[str, float | int]]) -> Table:
    table = Table("clip", "Liput CPU s", "ffmpeg CPU s", "ratio", "spread", "bar", "")
    for name, result in results.items():
        table.add_row(
            name,
            f"{result['liput_cpu_s']:.2f}",
            f"{result['peer_cpu_s']:.2f}",
            f"{result['median']:.3f}",
            f"{result['min']:.3f}-{result['max']:.3f}",
            f"<= {BARS[name]:.2f}",
            "holds" if result["median"] <= BARS[name] else "missed",
        )
    return table


def _watches_table(costs: dict[str, watches.Cost]) -> Table:
    table = Table("watched source, 1080p30", "% of a core", "decoding it, %", "bar", "")
    for name, cost in costs.items():
        verdict = "holds" if cost.percent <= watches.BAR_PERCENT else "missed"
        decoding = f"{cost.decode_percent:.2f}"
        table.add_row(name, f"{cost.percent:.3f}", decoding, f"<= {watches.BAR_PERCENT:.2f}", verdict)
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench", description="CPU seconds against the ffmpeg command.")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side per clip (default 3)")
    names = (*NAMES, WATCHES)
    parser.add_argument("--clips", default=",".join(names), help="which clips, and watches, separated by commas")
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("liput") / "bench")
    arguments = parser.parse_args()
    arguments.clips = arguments.clips.split(",")
    if unknown := set(arguments.clips) - set(names):
        parser.error(f"no clip named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    arguments.watches = WATCHES in arguments.clips
    arguments.clips = [name for name in arguments.clips if name != WATCHES]
    if arguments.pairs < 1:
        parser.error("--pairs must be 1 or more")
    return arguments


def _compare(arguments: argparse.Namespace, progress: Console) -> dict[str, dict[str, float | int]]:
    """Run both sides over the clips in turn; raises JobFailed."""
    if not arguments.clips:
        return {}
    progress.print("making the clips, unless they are there already")
    paths = clips(arguments.cache)
    pairs: dict[str, list[Pair]] = {name: [] for name in arguments.clips}
    for turn in range(arguments.pairs):
        for name in arguments.clips:
            pair = measure(paths[name], liput_first=turn % 2 == 0)
            pairs[name].append(pair)
            progress.print(f"{name}: {pair.liput_s:.2f} s, ffmpeg {pair.ffmpeg_s:.2f} s: {pair.ratio:.3f}")
    return {name: summary(measured) for name, measured in pairs.items()}


def main() -> int:
    """Measure, print, and return 0 when every bar holds."""
    arguments = _arguments()
    progress = Console(stderr=True)
    try:
        results = _compare(arguments, progress)
    except JobFailed as error:
        progress.print(f"[red]no comparison:[/red] {error}")
        return 1
    costs = {name: watches.measure(name) for name in watches.NAMES} if arguments.watches else {}
    if arguments.json:
        document = {
            "clips": {name: {"ffmpeg": result} for name, result in results.items()},
            "bars": BARS,
            "watches": {name: cost.summary() for name, cost in costs.items()},
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        for table in [_table(results)] * bool(results) + [_watches_table(costs)] * bool(costs):
            Console().print(table)
    holds = all(result["median"] <= BARS[name] for name, result in results.items())
    return 0 if holds and all(cost.percent <= watches.BAR_PERCENT for cost in costs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
