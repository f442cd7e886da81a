"""Row `scale`: how CPU grows with sources and destinations; the bar: along a line (tests/bench/plot.py draws it).

Sources: cameras of 1080p30, all of them shown side by side, as CPU for a second of media. Destinations: as row
`destination`. The length, up to eight hours, is part of tests/proofs/endurance.py.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from tests.bench.destinations import measured
from tests.bench.material import clips
from tests.bench.pairs import Bench, Line
from tests.bench.peers import check_pictures, liput_job, usage

ROW = "scale"
BAR = 0.10
"""So far from the straight line that fits best each point may be, as a part of the largest."""
SOURCES, DESTINATIONS = (1, 2, 3, 4), (1, 2, 4, 8)


def scale(bench: Bench) -> Iterator[Line]:
    """Measure each series once; `bench.pairs` does not count here."""
    yield line_of("sources", dict(zip(SOURCES, map(_sources(bench), SOURCES), strict=True)))
    yield line_of("destinations", dict(zip(DESTINATIONS, measured(DESTINATIONS), strict=True)))


def line_of(name: str, points: Mapping[int, float]) -> Line:
    """Return how far the points are off the line that fits them best, and the points."""
    numbers, costs = np.array(list(points)), np.array(list(points.values()))
    slope, at_zero = np.polyfit(numbers, costs, 1)
    off = np.abs(costs - (at_zero + slope * numbers)) / costs.max()
    behind = {f"{name}_{number}": cost for number, cost in points.items()} | {"each": float(slope)}
    return Line(ROW, name, BAR, (float(off.max()),), "off the line", behind)


def _sources(bench: Bench) -> Callable[[int], float]:
    camera = clips(bench.cache)["camera"]

    def cost(count: int) -> float:
        with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
            folder = Path(name)
            job = liput_job(camera, folder, "--layout", "side-by-side", further=(camera,) * (count - 1))
            took = usage(job, folder)
            check_pictures(job, folder, camera.pictures)
        bench.say(f"{ROW}: {count} sources, {took.cpu_s:.2f} s")
        return took.cpu_s / camera.seconds

    return cost
