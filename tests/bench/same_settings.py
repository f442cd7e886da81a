"""Rows `ffmpeg` and `gstreamer`: the same job with the same encoder settings, on three clips."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.material import NAMES, Clip, clips
from tests.bench.pairs import Bench, Line, Match, cpu_line, interleaved
from tests.bench.peers import Job, JobFailed, ffmpeg_job, gstreamer_job, liput_job
from tests.bench.quality import psnr

BARS = {
    "ffmpeg": {"mix": 0.84, "camera": 0.95, "slides": 0.65},
    "gstreamer": {"mix": 0.97, "camera": 1.00, "slides": 0.82},
}
ALIKE_DB = 1.0
"""So far apart the PSNR of both sides may be, against the clip."""
SEEN_DB = 50.0
"""What is nearer to the clip than this is the same."""

type MakeJob = Callable[[Clip, Path], Job]


def against_ffmpeg(bench: Bench) -> Iterator[Line]:
    """Compare with the ffmpeg command."""
    return _compare(bench, "ffmpeg", ffmpeg_job)


def against_gstreamer(bench: Bench) -> Iterator[Line]:
    """Compare with a GStreamer pipeline."""
    if shutil.which("gst-launch-1.0") is None:
        raise JobFailed("there is no gst-launch-1.0; ./run bench installs it")
    return _compare(bench, "gstreamer", gstreamer_job)


def _compare(bench: Bench, row: str, peer: MakeJob) -> Iterator[Line]:
    known = clips(bench.cache)
    for name in bench.clips or NAMES:
        match = match_of(known[name], peer)
        yield cpu_line(row, name, BARS[row][name], interleaved(bench, f"{row}, {name}", match), row)


def match_of(clip: Clip, peer: MakeJob) -> Match:
    """Return how the clip is compared: with x264's own settings for the preset on both sides."""
    ours = partial(liput_job, clip)
    return Match(
        lambda folder: ours(folder, "--as-peers"),
        partial(peer, clip),
        clip.pictures,
        inspect=lambda mine, theirs: check_alike(psnr(mine, clip.path), psnr(theirs, clip.path)),
    )


def check_alike(ours_db: float, peers_db: float) -> None:
    """Raise JobFailed unless both pictures are as near to what went in."""
    if abs(min(ours_db, SEEN_DB) - min(peers_db, SEEN_DB)) > ALIKE_DB:
        raise JobFailed(f"the pictures differ: PSNR {ours_db:.2f} dB, the peer's {peers_db:.2f} dB")
