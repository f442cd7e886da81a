"""How much of the job is Liput's own: `python -m tests.bench.floor [--clips mix,slides,camera] [--runs 3]`.

By turns, with the same settings: a session, the same libraries with nothing around them (tests/bench/bare_job.py),
GStreamer, and the ffmpeg command, by whose CPU seconds the others are told (the median of the ratios, least, most).
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import platformdirs

from tests.bench.material import NAMES, Clip, clips
from tests.bench.pairs import check_settings
from tests.bench.peers import Job, check_pictures, ffmpeg_job, gstreamer_job, liput_job, output, usage


def bare_job(clip: Clip, folder: Path) -> Job:
    """Return the job with nothing but the libraries."""
    form = ("--rate", str(clip.rate), "--bit-rate", str(clip.bit_rate))
    return Job("bare", (sys.executable, "-m", "tests.bench.bare_job", *form, str(folder), str(clip.path)))


SIDES: Mapping[str, Callable[[Clip, Path], Job]] = {
    "session": lambda clip, folder: liput_job(clip, folder, "--as-peers"),
    "bare": bare_job,
    "gstreamer": gstreamer_job,
}


def turns(clip: Clip, sides: Mapping[str, Callable[[Clip, Path], Job]], runs: int) -> Iterator[dict[str, float]]:
    """Yield the CPU seconds of every side and of ffmpeg, so many times; raises JobFailed where one did less."""
    for _ in range(runs):
        took = {}
        with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
            films = {}
            for side, make in {"ffmpeg": ffmpeg_job, **sides}.items():
                folder = Path(name) / side
                folder.mkdir()
                job = make(clip, folder)
                took[side] = usage(job, folder).cpu_s
                check_pictures(job, folder, clip.pictures)
                films[side] = output(folder, job.outputs[0])
                check_settings(films[side], films["ffmpeg"])
        yield took


def main() -> None:
    """Print a line for each clip and side."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", default=",".join(NAMES))
    parser.add_argument("--runs", type=int, default=3)
    told = parser.parse_args()
    known = clips(platformdirs.user_cache_path("liput") / "bench")
    for name in told.clips.split(","):
        found = list(turns(known[name], SIDES, told.runs))
        for side in SIDES:
            shares = [took[side] / took["ffmpeg"] for took in found]
            cpu_s = statistics.median(took[side] for took in found)
            spread = f"{min(shares):.3f} to {max(shares):.3f}"
            print(f"{name}, {side}: {cpu_s:.2f} s, {statistics.median(shares):.3f} of ffmpeg ({spread})", flush=True)


if __name__ == "__main__":
    main()
