"""What half a second takes, which is mostly what does not grow with the length: `python -m tests.bench.short [RUNS]`.

By turns: a session of Liput and the ffmpeg command over the same 15 pictures of 1080p (tests/bench/liput_job.py; CPU
and the highest memory), and `liput record` of half a second of the synthetic source (CPU of command and recorder).
Printed are the medians.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from tests.bench.material import Clip, write
from tests.bench.peers import Job, Usage, check_pictures, ffmpeg_job, liput_job, usage
from tests.support import command
from tests.support.room import Room

RUNS = 7
PICTURES = 15
SECONDS = "0.5s"
LOST_IS_FINE = (0, 3)


def clip(folder: Path) -> Clip:
    """Return half a second of a picture that moves, with sound."""
    made = Clip(folder / "half.mkv", 1920, 1080, 30, PICTURES, 4_500_000)
    write(made, _jpegs(made))
    return made


def _jpegs(made: Clip) -> Iterator[bytes]:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (made.height // 24, made.width // 24, 3), np.uint8)
    picture = np.asarray(cv2.resize(coarse, (made.width, made.height), interpolation=cv2.INTER_CUBIC), np.uint8)
    for number in range(made.pictures):
        moved = np.ascontiguousarray(np.roll(picture, 4 * number, axis=1))
        yield bytes(simplejpeg.encode_jpeg(moved, 88, "BGR", "422"))


def one(make: Callable[[Path], Job]) -> Usage:
    """Run a job in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        folder = Path(name)
        job = make(folder)
        took = usage(job, folder)
        check_pictures(job, folder, PICTURES)
        return took


def recorded() -> float:
    """Return the CPU seconds of `liput record` and the recorder that it starts and waits for."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        room = Room(Path(name) / "room")
        room.home.mkdir()
        room.configure()
        before = os.times()
        done = command.liput(room.home, *room.words("--json", "--for", SECONDS, "--profile", "1080p30"))
        after = os.times()
        if done.returncode not in LOST_IS_FINE:
            raise SystemExit(f"the recording failed: {done.stderr}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Run all three by turns, the first time for nothing, and print the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        made = clip(Path(name))
        ours, peers, records = [], [], []
        for _ in range(runs + 1):
            ours.append(one(lambda folder: liput_job(made, folder, "--as-peers")))
            peers.append(one(lambda folder: ffmpeg_job(made, folder)))
            records.append(recorded())
    for side, took in (("liput", ours[1:]), ("ffmpeg", peers[1:])):
        cpu, peak = statistics.median(run.cpu_s for run in took), statistics.median(run.peak_mb for run in took)
        print(f"{side}: {cpu:.2f} s of CPU, {peak:.0f} MB")
    print(f"liput record, {SECONDS} synthetic: {statistics.median(records[1:]):.2f} s of CPU")


if __name__ == "__main__":
    main()
