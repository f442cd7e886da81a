"""Row `inset`: slides with a camera in a corner, the whole job and the compositing stage, beside ffmpeg's overlay."""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from capture.compose.layout import Layout
from config.settings.layouts import BUILT_IN_LAYOUTS
from tests.bench.material import Clip, clips
from tests.bench.pairs import Bench, Line, Match, Pair, cpu_line, interleaved
from tests.bench.peers import FFMPEG, Job, JobFailed, Usage, liput_job, tee, usage, x264_words
from tests.bench.quality import psnr

ROW = "inset"
BARS = {"whole job": 0.75, "stage": 0.55}
LAYOUT = "pip"
ALIKE_DB = 30.0
"""So near are the pictures of both sides to each other at least: they scale by different means, and move."""


def inset(bench: Bench) -> Iterator[Line]:
    """Compare the whole job, then decoding and compositing alone."""
    known = clips(bench.cache)
    slides, camera = known["slides"], known["camera"]
    yield cpu_line(ROW, "whole job", BARS["whole job"], interleaved(bench, ROW, match_of(slides, camera)))
    stages = [stage(slides, camera, ours_first=turn % 2 == 0) for turn in range(bench.pairs)]
    yield cpu_line(ROW, "stage", BARS["stage"], stages)


def match_of(slides: Clip, camera: Clip) -> Match:
    """Return how the whole job is compared: with x264's own settings for the preset on both sides."""
    return Match(
        lambda folder: liput_job(slides, folder, "--as-peers", "--layout", LAYOUT, further=(camera,)),
        lambda folder: overlaid(slides, camera, ("-map", "0:a", *x264_words(slides), *tee(folder))),
        slides.pictures,
        inspect=check_alike,
    )


def overlaid(slides: Clip, camera: Clip, sinks: tuple[str, ...]) -> Job:
    """Return the ffmpeg command that puts the camera where the layout has it."""
    layout = Layout(LAYOUT, BUILT_IN_LAYOUTS[LAYOUT])
    _, corner = layout.places(slides.width, slides.height, ["1", "2"]).values()
    graph = f"[1:v]scale={corner.width}:{corner.height}[small];[0:v][small]overlay={corner.x}:{corner.y}[program]"
    sources = ("-i", str(slides.path), "-i", str(camera.path), "-filter_complex", graph)
    return Job("ffmpeg", (*FFMPEG, *sources, "-map", "[program]", *sinks))


def stage(slides: Clip, camera: Clip, *, ours_first: bool) -> Pair:
    """Run decoding and compositing of both sides once, without an encoder."""
    took: dict[str, Usage] = {}
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        folder = Path(name)
        counts = {side: folder / side for side in ("liput", "ffmpeg")}
        to_nowhere = ("-pix_fmt", "yuv420p", "-progress", str(counts["ffmpeg"]), "-f", "null", "-")
        module = (sys.executable, "-m", "tests.bench.inset_stage")
        jobs = [
            Job("liput", (*module, str(slides.path), str(camera.path), str(counts["liput"])), ()),
            overlaid(slides, camera, to_nowhere),
        ]
        for job in jobs if ours_first else reversed(jobs):
            took[job.name] = usage(job, folder)
            check_count(job.name, counts[job.name].read_text(), slides.pictures)
    return Pair(took["liput"], took["ffmpeg"])


def check_count(side: str, told: str, pictures: int) -> None:
    """Raise JobFailed unless the last `frame=` that a side told is the number of pictures."""
    found = re.findall(r"frame=\s*(\d+)", told)
    if not found or int(found[-1]) != pictures:
        raise JobFailed(f"{side} composed {found[-1] if found else 'no'} pictures instead of {pictures}")


def check_alike(ours: Path, peers: Path) -> None:
    """Raise JobFailed unless both sides show the same."""
    if (found := psnr(ours, peers)) < ALIKE_DB:
        raise JobFailed(f"the pictures differ: {found:.1f} dB")
