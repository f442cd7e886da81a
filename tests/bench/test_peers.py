"""Both sides of a comparison do the same work, whole processes of it are counted, and unequal work is refused."""

import re
import sys
from pathlib import Path

import pytest

from tests.bench.material import Clip
from tests.bench.pairs import Bench, Match, Pair, cpu_line, interleaved, measure
from tests.bench.peers import (
    Job,
    JobFailed,
    Usage,
    check_pictures,
    ffmpeg_job,
    gstreamer_job,
    liput_job,
    output,
    picture_count,
    usage,
    x264_options,
)
from tests.bench.same_settings import MakeJob, check_alike, match_of

BURN = "import time\nwhile time.process_time() < 0.3: pass"
GRAB = "import time; held = bytearray(b'x') * 120_000_000; time.sleep(0.5)"


def encode(folder: Path, pictures: int, *options: str) -> Job:
    """Return a job that makes MP4 and FLV of a few synthetic pictures."""
    source = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=30", "-frames:v", str(pictures))
    sinks = ("-flags", "+global_header", "-f", "tee", "-map", "0:v")
    return Job(
        "ffmpeg",
        (*source, "-c:v", "libx264", *options, *sinks, f"[f=mp4]{folder}/out.mp4|[f=flv]{folder}/out.flv"),
    )


def test_the_time_of_a_process_and_its_children_is_counted(tmp_path: Path) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    assert usage(Job("x", (sys.executable, "-c", BURN)), tmp_path).cpu_s >= 0.3
    assert usage(Job("x", (sys.executable, "-c", nested)), tmp_path).cpu_s >= 0.3


def test_the_memory_of_a_job_is_its_own(tmp_path: Path) -> None:
    ours = bytearray(b"x" * 200_000_000)
    assert 120 < usage(Job("x", (sys.executable, "-c", GRAB)), tmp_path).peak_mb < 180
    assert len(ours) == 200_000_000


def test_a_job_that_fails_tells_why(tmp_path: Path) -> None:
    missing = Clip(tmp_path / "missing.mkv", 64, 48, 30, 1, 1000)
    with pytest.raises(JobFailed, match=r"(?s)ended with .*missing\.mkv"):
        usage(ffmpeg_job(missing, tmp_path), tmp_path)


def test_outputs_are_counted_and_their_settings_read(tmp_path: Path) -> None:
    job = encode(tmp_path, 7, "-preset", "veryfast", "-g", "60")
    usage(job, tmp_path)
    for name in job.outputs:
        assert picture_count(output(tmp_path, name)) == 7
        assert x264_options(tmp_path / name)["keyint"] == "60"
    with pytest.raises(JobFailed, match=re.escape("wrote 7 pictures instead of 8 to out.mp4")):
        check_pictures(job, tmp_path, 8)


@pytest.mark.parametrize(
    ("pictures", "options", "complaint"),
    [(6, (), "6 pictures instead of 7"), (7, ("-bf", "0"), r"set differently in .*bframes \(0, not 1\)")],
)
def test_unequal_work_is_no_comparison(pictures: int, options: tuple[str, ...], complaint: str) -> None:
    match = Match(
        lambda folder: encode(folder, pictures, "-preset", "ultrafast", *options),
        lambda folder: encode(folder, 7, "-preset", "ultrafast", "-bf", "1"),
        7,
    )
    with pytest.raises(JobFailed, match=complaint):
        measure(match, ours_first=False)


def test_the_median_of_the_ratios_is_given_not_the_ratio_of_the_medians() -> None:
    pairs = [Pair(Usage(ours, 1), Usage(peers, 1)) for ours, peers in ((1, 2), (9, 10), (30, 100))]
    line = cpu_line("x", "y", 0.5, pairs)
    assert line.median == 0.5
    assert line.behind == {"liput_cpu_s": 9, "peer_cpu_s": 10}


def test_pictures_that_differ_are_no_comparison() -> None:
    check_alike(40.0, 40.9)
    check_alike(56.0, 52.0)
    with pytest.raises(JobFailed, match=r"PSNR 38\.00 dB, the peer's 40\.00"):
        check_alike(38.0, 40.0)


@pytest.mark.slow
@pytest.mark.parametrize("peer", [ffmpeg_job, gstreamer_job])
def test_liput_and_its_peers_do_the_same(clip: Clip, peer: MakeJob) -> None:
    said: list[str] = []
    (pair,) = interleaved(Bench(Path(), pairs=1, say=said.append), "small", match_of(clip, peer))
    assert pair.ours.cpu_s > 0.1
    assert pair.ours.peak_mb > 30
    assert said == [f"small: {pair.ours.cpu_s:.2f} s, the peer {pair.peers.cpu_s:.2f} s: {pair.cpu:.3f}"]


@pytest.mark.slow
def test_x264_is_told_what_the_job_is_told(clip: Clip, tmp_path: Path) -> None:
    found: dict[str, dict[str, str]] = {}
    for name, more in (("peers", ("--as-peers",)), ("given", ("--x264", "ref=2"))):
        folder = tmp_path / name
        folder.mkdir()
        job = liput_job(clip, folder, *more)
        usage(job, folder)
        check_pictures(job, folder, clip.pictures)
        found[name] = x264_options(output(folder, job.outputs[0]))
    assert found["peers"]["ref"] == "1"
    assert found["given"]["ref"] == "2"
