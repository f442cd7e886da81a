"""`./run bench`: what Liput takes, beside other programs doing the same job and beside what is promised.

    python -m tests.bench.bench [--json] [--rows ffmpeg,start] [--pairs 3] [--clips mix,slides] [--cache FOLDER]

Every row (tests/bench/rows.py) gives figures with a bar each. CPU is compared within one run, by turns, and the median
of the ratios counts; less than 1 is less work than the peer's. Sides that did not do the same, or wrote what does not
play, are no comparison: the row says so, and the exit status is 1, as where a bar is missed.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs
from rich.console import Console
from rich.table import Table

from tests.bench.material import NAMES
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed
from tests.bench.rows import ROWS

PEERS = ("ffmpeg", "gstreamer")
"""The rows that scripts find by clip."""


def run(names: Sequence[str], bench: Bench) -> tuple[list[Line], dict[str, str]]:
    """Measure the rows; return their lines, and why there is no comparison, by the row's name."""
    lines: list[Line] = []
    failures: dict[str, str] = {}
    for name in names:
        try:
            for line in ROWS[name][0](bench):
                lines.append(line)
                bench.say(f"{line.row}, {line.what}: {line.median:.3f}, bar {line.bar}")
        except (JobFailed, AssertionError) as error:
            failures[name] = str(error)
    return lines, failures


def document(lines: Sequence[Line], failures: Mapping[str, str]) -> dict[str, object]:
    """Return all of it for scripts."""
    rows: dict[str, dict[str, object]] = {}
    by_clip: dict[str, dict[str, object]] = {}
    for line in lines:
        rows.setdefault(line.row, {})[line.what] = line.summary()
        if line.row in PEERS:
            by_clip.setdefault(line.what, {})[line.row] = line.summary()
    return {"clips": by_clip, "rows": rows, "no_comparison": dict(failures), "load": round(os.getloadavg()[0], 1)}


def table(lines: Sequence[Line]) -> Table:
    """Return the lines for people."""
    shown = Table("row", "", "Liput", "peer", "median", "spread", "", "bar", "")
    for line in lines:
        ours, peers = (_behind(line, side) for side in ("liput_", "peer_"))
        spread = f"{min(line.values):.3f}-{max(line.values):.3f}"
        verdict = "holds" if line.holds else "missed"
        shown.add_row(line.row, line.what, ours, peers, f"{line.median:.3f}", spread, line.unit, f"{line.bar}", verdict)
    return shown


def _behind(line: Line, side: str) -> str:
    """Return the first figure of a side, with what it counts."""
    found = next(((name, value) for name, value in line.behind.items() if name.startswith(side)), None)
    return f"{found[1]:.2f} {found[0].removeprefix(side)}" if found else ""


def _arguments() -> argparse.Namespace:
    rows = "\n".join(f"  {name:12} {text}" for name, (_, text) in ROWS.items())
    parser = argparse.ArgumentParser(
        prog="./run bench", description=f"Rows:\n{rows}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    parser.add_argument("--rows", default=",".join(ROWS), help="rows, separated by commas (default: all)")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--clips", default=",".join(NAMES), help="clips for ffmpeg and gstreamer")
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("liput") / "bench", help="the folder of clips"
    )
    arguments = parser.parse_args()
    for name, known in (("rows", tuple(ROWS)), ("clips", NAMES)):
        chosen = getattr(arguments, name).split(",")
        if unknown := set(chosen) - set(known):
            parser.error(f"no {name} named {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        setattr(arguments, name, tuple(chosen))
    if arguments.pairs < 1:
        parser.error("--pairs must be 1 or more")
    return arguments


def main() -> int:
    """Measure, print, and return 0 when everything was compared and every bar holds."""
    arguments = _arguments()
    progress = Console(stderr=True)
    bench = Bench(arguments.cache, arguments.pairs, arguments.clips, lambda text: progress.print(text, markup=False))
    lines, failures = run(arguments.rows, bench)
    if arguments.json:
        sys.stdout.write(json.dumps(document(lines, failures), indent=2) + "\n")
    elif lines:
        Console().print(table(lines))
    for name, why in failures.items():
        progress.print(f"{name}: no comparison: {why}", style="red", markup=False)
    return 0 if not failures and all(line.holds for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
