"""Row `isolated`: two cameras recorded apart by stream copy beside the program, as part of a core.

Up to the end of the recording, and with the sealing of what was recorded. In real time, as cameras are, beside a
program that costs next to nothing, so that what is measured is not its encoder. Beside it stands what the system takes
for as many bytes, written and synced by nobody's program: what an absolute bar is worth on this machine today.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.liput_job import recorded_cpu_s
from tests.bench.material import RATE, Clip, clips
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed, liput_job, picture_count, usage

ROW = "isolated"
BAR = 0.02
MISSING_S = 0.5
"""So much shorter than the program may a file be, of seconds: they begin with the next picture of their camera."""
SYNCED_EVERY = RATE // 2
"""After so many pictures of a camera they are synced, as a session does it."""
PROGRAM = ("--live", "--size", "320x180", "--bit-rate", "300000", "--preset", "ultrafast")


def isolated(bench: Bench) -> Iterator[Line]:
    """Record with and without the copies, by turns."""
    known = clips(bench.cache)
    cameras = known["camera"], known["mix"]
    alone: list[Took] = []
    beside: list[Took] = []
    bytes_alone: list[float] = []
    for turn in range(bench.pairs):
        for apart in (False, True) if turn % 2 == 0 else (True, False):
            (beside if apart else alone).append(measured(cameras, apart=apart))
        bytes_alone.append(written_cpu_s(cameras))
        bench.say(f"{ROW}: {beside[-1]}, without {alone[-1]}; the bytes alone {bytes_alone[-1]:.2f} s")
    for what, part in (("two cameras", "recorded_s"), ("two cameras, sealed", "sealed_s")):
        ours, without = ([getattr(took, part) for took in side] for side in (beside, alone))
        more = tuple((with_s - without_s) / cameras[0].seconds for with_s, without_s in zip(ours, without, strict=True))
        behind = {
            "with_cpu_s": median(ours),
            "without_cpu_s": median(without),
            "media_s": cameras[0].seconds,
            "bytes_alone_cpu_s": median(bytes_alone),
        }
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
        return Took(recorded_cpu_s(folder), took.cpu_s)


def written_cpu_s(cameras: tuple[Clip, ...]) -> float:
    """Return the CPU seconds of writing the cameras' pictures into a file each, as time passes, and syncing them."""
    sent = [clip.jpegs() for clip in cameras]
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="liput-bench-")))
        files = [opened.enter_context((folder / str(number)).open("wb", buffering=0)) for number in range(len(cameras))]
        begun, before = time.monotonic(), time.thread_time()
        for number, pictures in enumerate(zip(*sent, strict=True)):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            for file, picture in zip(files, pictures, strict=True):
                file.write(picture)
                if number % SYNCED_EVERY == 0:
                    os.fdatasync(file)
        return time.thread_time() - before


def check_files(folder: Path, cameras: tuple[Clip, ...]) -> None:
    """Raise JobFailed unless there is a file for each camera and no other, each as long as the program."""
    counts = [picture_count(path) for path in folder.glob("archive/**/media/*.mkv")]
    program = [picture_count(path) for path in folder.glob("archive/**/program.mp4")]
    if len(counts) != len(cameras) or any(count < max(program) - RATE * MISSING_S for count in counts):
        raise JobFailed(f"of {len(cameras)} cameras there are files with {counts} pictures, the program has {program}")
