"""Rows `latency` and `low-latency`: a session of the low-latency profile as time passes, over a camera's pictures.

How long a picture is in the encode stage, composing included, and the most memory that the session had resident.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.bench.material import Clip, clips
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed, liput_job, output, picture_count, usage
from tests.bench.quality import check_plays

MEDIAN_BAR_MS, P99_BAR_MS = 20.0, 50.0
MEMORY_BAR_MB = 200.0
SETTLE_S = 2.0
"""What is encoded while the session begins does not count: packets wait for the disk to be opened."""
LEAST = 0.95
"""Of the clip's pictures so many must be in the file: a busy machine loses some, and what it loses is not late."""


def latency(bench: Bench) -> Iterator[Line]:
    """Measure the delay of each picture, in one session after the other."""
    found = []
    for _ in range(bench.pairs):
        delays_ms, _ = once(clips(bench.cache)["camera"])
        found.append((median(delays_ms), quantiles(delays_ms, n=100)[98]))
        bench.say("latency: median {:.1f} ms, p99 {:.1f} ms".format(*found[-1]))
    yield Line("latency", "median", MEDIAN_BAR_MS, tuple(middle for middle, _ in found), "ms")
    yield Line("latency", "p99", P99_BAR_MS, tuple(late for _, late in found), "ms")


def memory(bench: Bench) -> Iterator[Line]:
    """Measure the memory of whole sessions."""
    peaks = tuple(once(clips(bench.cache)["camera"])[1] for _ in range(bench.pairs))
    yield Line("low-latency", "memory", MEMORY_BAR_MB, peaks, "MB")


def once(clip: Clip) -> tuple[list[float], float]:
    """Run a session; return the delays in milliseconds from SETTLE_S on, and the peak of its memory in MB."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        folder = Path(name)
        job = liput_job(clip, folder, "--live", "--low-latency", "--delays")
        took = usage(job, folder)
        film = output(folder, job.outputs[0])
        check_plays(film)
        if (count := picture_count(film)) < LEAST * clip.pictures:
            raise JobFailed(f"of {clip.pictures} pictures {count} were recorded")
        delays_s: list[float] = json.loads((folder / "delays.json").read_text())
    if len(delays_s) < LEAST * clip.pictures:
        raise JobFailed(f"of {clip.pictures} pictures the delays of {len(delays_s)} are known")
    return [1000 * delay for delay in delays_s[round(SETTLE_S * clip.rate) :]], took.peak_mb
