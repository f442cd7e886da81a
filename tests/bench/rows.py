"""The rows of the benchmark, by name: what each shows, and who measures it."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median, quantiles

from recorder.mp4.boxes import read_head
from recorder.mp4.fragments import FragmentTable
from tests.bench import watches
from tests.bench.adaptive import adaptive
from tests.bench.default_profile import default_profile
from tests.bench.destinations import destination
from tests.bench.inset import inset
from tests.bench.isolating import isolated
from tests.bench.material import NAMES, Clip, clips
from tests.bench.pairs import Bench, Line, Match, Row, cpu_line, interleaved
from tests.bench.peers import Job, JobFailed, ffmpeg_job, gstreamer_job, liput_job, output, picture_count, usage
from tests.bench.playable import playable
from tests.bench.quality import check_plays, psnr
from tests.bench.scaling import scale
from tests.proofs.latency import Shown
from tests.proofs.latency import start as armed_start
from tests.support import command
from tests.support.room import Room

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


ROW = "start"
COLD_BAR, ARMED_BAR = 1.0, 0.2
PROFILE = "1080p30"
SECONDS = "3s"
GIVE_UP_S = 30.0


def start(bench: Bench) -> Iterator[Line]:
    """Start `bench.pairs` recordings of each kind."""
    colds, armeds = [], []
    for _ in range(bench.pairs):
        with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
            colds.append(cold(Room(Path(name) / "room")))
            armeds.append(armed_start(Path(name) / "armed", Shown(), PROFILE, 0.0))
        bench.say(f"{ROW}: cold {colds[-1]:.3f} s, armed {armeds[-1]:.3f} s")
    yield Line(ROW, "cold", COLD_BAR, tuple(colds), "s")
    yield Line(ROW, "armed", ARMED_BAR, tuple(armeds), "s")


def cold(room: Room) -> float:
    """Return the seconds from the command's start to the first fragment; it then records to its end."""
    room.home.mkdir()
    room.configure()
    words = room.words("--json", "--for", SECONDS, "--profile", PROFILE)
    began = time.monotonic()
    with command.running(room.home, *words) as recording:
        while not any(fragments(path) for path in room.archive.glob(".incoming/**/program.mp4")):
            if time.monotonic() - began > GIVE_UP_S:
                raise JobFailed(f"no fragment was written within {GIVE_UP_S:.0f} s")
            time.sleep(0.005)
        took = time.monotonic() - began
        if recording.wait() not in {0, 3}:  # 3: something is missing, as where others keep this machine busy
            raise JobFailed(f"the recording failed: {recording.errors()}")
    return took


def fragments(path: Path) -> int:
    """Return how many whole fragments a recording has that is still open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        head = read_head(descriptor, size)
        return FragmentTable(descriptor, head, size).count if head and not head.is_torn else 0
    finally:
        os.close(descriptor)


def watched(bench: Bench) -> Iterator[Line]:
    """Measure what watching each kind of source takes; tests/bench/watches.py repeats by itself."""
    for name in watches.NAMES:
        yield Line("watches", name, watches.BAR_PERCENT, watches.measure(name), "% of a core")


ROWS: Mapping[str, tuple[Row, str]] = {
    "ffmpeg": (against_ffmpeg, "the same job as the ffmpeg command, with the same settings"),
    "gstreamer": (against_gstreamer, "the same job as GStreamer, with the same settings"),
    "default": (default_profile, "the default profile beside ffmpeg's veryfast: CPU, memory, VMAF"),
    "adaptive": (adaptive, "an adaptive frame rate beside the ffmpeg command, which encodes every frame"),
    "latency": (latency, "the low-latency profile: the delay of the encode stage"),
    "low-latency": (memory, "the low-latency profile: the memory of a session"),
    "inset": (inset, "slides with a camera in a corner, beside ffmpeg's overlay: whole job, compositing"),
    "isolated": (isolated, "iso recordings of two cameras by stream copy"),
    "destination": (destination, "the cost of one more RTMP destination"),
    "playable": (playable, "the delay from camera to playable on the RTMP server, beside ffmpeg"),
    "start": (
        start,
        "the delay from `liput record`, or from the start of an armed session, to the first frame on disk",
    ),
    "scale": (scale, "the cost by number of sources and destinations"),
    "watches": (watched, "the cost of a source's detectors"),
}
