"""Row `isolated`: two cameras recorded apart by stream copy beside the program, as part of a core.

Up to the end of the recording, and with the sealing of what was recorded. In real time, as cameras are, beside a
program that costs next to nothing, so that what is measured is not its encoder.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.liput_job import RECORDED
from tests.bench.material import RATE, Clip, clips
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed, liput_job, picture_count, usage

ROW = "isolated"
BAR = 0.02
MISSING_S = 0.5
"""So much shorter than the program may a file be, of seconds: they begin with the next picture of their camera."""
PROGRAM = ("--live", "--size", "320x180", "--bit-rate", "300000", "--preset", "ultrafast")


def isolated(bench: Bench) -> Iterator[Line]:
    """Record with and without the copies, by turns."""
    known = clips(bench.cache)
    cameras = known["camera"], known["mix"]
    alone: list[Took] = []
    beside: list[Took] = []
    for turn in range(bench.pairs):
        for apart in (False, True) if turn % 2 == 0 else (True, False):
            (beside if apart else alone).append(measured(cameras, apart=apart))
        bench.say(f"{ROW}: {beside[-1]}, without {alone[-1]}")
    for what, part in (("two cameras", "recorded_s"), ("two cameras, sealed", "sealed_s")):
        ours, without = ([getattr(took, part) for took in side] for side in (beside, alone))
        more = tuple((with_s - without_s) / cameras[0].seconds for with_s, without_s in zip(ours, without, strict=True))
        behind = {"with_cpu_s": median(ours), "without_cpu_s": median(without), "media_s": cameras[0].seconds}
        yield Line(ROW, what, BAR, more, "of a core", behind)


@dataclass(frozen=True, slots=True)
class Took:
    """CPU seconds of a session: when its recording ended, and when it was sealed."""

    recorded_s: float
    sealed_s: float

    def __str__(self) -> str:
        return f"{self.recorded_s:.2f} s, sealed {self.sealed_s:.2f} s"


def measured(cameras: tuple[Clip, ...], *, apart: bool) -> Took:
    """Return what a session takes; `apart` each camera has a file of its own, with all of its pictures."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        folder, (first, *others) = Path(name), cameras
        job = liput_job(first, folder, *PROGRAM, *(["--isolate"] if apart else []), further=tuple(others))
        took = usage(job, folder)
        check_files(folder, cameras if apart else ())
        return Took(float((folder / RECORDED).read_text()), took.cpu_s)


def check_files(folder: Path, cameras: tuple[Clip, ...]) -> None:
    """Raise JobFailed unless there is a file for each camera and no other, each as long as the program."""
    counts = [picture_count(path) for path in folder.glob("archive/**/media/*.mkv")]
    program = [picture_count(path) for path in folder.glob("archive/**/program.mp4")]
    if len(counts) != len(cameras) or any(count < max(program) - RATE * MISSING_S for count in counts):
        raise JobFailed(f"of {len(cameras)} cameras there are files with {counts} pictures, the program has {program}")
