"""The benchmark measures what it says: the same work on both sides, by whole processes, over clips that stay alike."""

import itertools
import json
import sys
from pathlib import Path

import pytest

from tests.bench import bench, watches
from tests.bench.bench import BARS, Pair, summary
from tests.bench.clips import FRAMES, camera_jpeg, slide_jpeg
from tests.bench.peers import Job, JobFailed, cpu_seconds, ffmpeg_job, output, picture_count, x264_options

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def encode(folder: Path, pictures: int, *options: str) -> Job:
    """Return a job that makes MP4 and FLV of a few synthetic pictures."""
    source = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=30", "-frames:v", str(pictures))
    sinks = ("-flags", "+global_header", "-f", "tee", "-map", "0:v")
    return Job(
        "ffmpeg",
        (*source, "-c:v", "libx264", *options, *sinks, f"[f=mp4]{folder}/out.mp4|[f=flv]{folder}/out.flv"),
        ("out.mp4", "out.flv"),
    )


def test_the_time_of_a_process_and_its_children_is_counted(tmp_path: Path) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    assert cpu_seconds(Job("x", (sys.executable, "-c", BURN), ("", "")), tmp_path) >= 0.3
    assert cpu_seconds(Job("x", (sys.executable, "-c", nested), ("", "")), tmp_path) >= 0.3


def test_a_job_that_fails_tells_why(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"(?s)ended with .*missing\.mkv"):
        cpu_seconds(ffmpeg_job(tmp_path / "missing.mkv", tmp_path), tmp_path)


def test_outputs_are_counted_and_their_settings_read(tmp_path: Path) -> None:
    cpu_seconds(encode(tmp_path, 7, "-preset", "veryfast", "-g", "60"), tmp_path)
    for name in ("out.mp4", "out.flv"):
        assert picture_count(output(tmp_path, name)) == 7
        assert x264_options(tmp_path / name)["keyint"] == "60"


@pytest.mark.parametrize(
    ("pictures", "options", "complaint"),
    [
        (FRAMES - 1, (), "719 pictures instead of 720"),
        (FRAMES, ("-bf", "0"), "set differently in .*bframes"),
    ],
)
def test_unequal_work_is_no_comparison(
    monkeypatch: pytest.MonkeyPatch, pictures: int, options: tuple[str, ...], complaint: str
) -> None:
    def liput_job(clip: Path, folder: Path) -> Job:
        return Job("liput", encode(folder, pictures, "-preset", "ultrafast", *options).command, ("out.mp4", "out.flv"))

    monkeypatch.setattr(
        bench, "ffmpeg_job", lambda clip, folder: encode(folder, FRAMES, "-preset", "ultrafast", "-bf", "1")
    )
    monkeypatch.setattr(bench, "liput_job", liput_job)
    with pytest.raises(JobFailed, match=complaint):
        bench.measure(Path("any.mkv"), liput_first=False)


def test_the_document_is_that_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ratios = iter((0.8, 0.9, 0.7))
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--clips", "mix", "--pairs", "3", "--cache", str(tmp_path)])
    monkeypatch.setattr(bench, "clips", lambda folder: {"mix": folder / "mix.mkv"})
    monkeypatch.setattr(bench, "measure", lambda clip, liput_first: Pair(next(ratios) * 10, 10.0))
    assert bench.main() == 0
    mix = json.loads(capsys.readouterr().out)["clips"]["mix"]["ffmpeg"]
    assert [mix[key] for key in ("median", "min", "max", "pairs")] == [0.8, 0.7, 0.9, 3]


def test_a_bar_that_is_missed_shows_in_the_exit_status(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--clips", "slides", "--pairs", "1", "--cache", str(tmp_path)])
    monkeypatch.setattr(bench, "clips", lambda folder: {"slides": folder / "slides.mkv"})
    monkeypatch.setattr(bench, "measure", lambda clip, liput_first: Pair(BARS["slides"] + 0.01, 1.0))
    assert bench.main() == 1


def test_the_cost_of_the_watches_is_in_the_document_and_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--clips", "watches"])
    costs = iter([watches.Cost(100.0, 0.9, 0.1, 12.0), watches.Cost(100.0, 1.3, 0.1, 12.0)])
    monkeypatch.setattr(watches, "NAMES", ("camera",))
    monkeypatch.setattr(watches, "measure", lambda name: next(costs))
    assert bench.main() == 0
    camera = json.loads(capsys.readouterr().out)["watches"]["camera"]
    assert camera["cpu_percent"] == pytest.approx(0.8)
    assert camera["ratio"] == pytest.approx(12.9 / 12.1, abs=1e-4)
    assert bench.main() == 1


@pytest.mark.parametrize("name", watches.NAMES)
def test_the_watches_are_measured_over_what_cameras_and_cards_send(name: str) -> None:
    payloads, pictures, decode_s = watches._material(name)
    assert {(picture.width, picture.height, picture.format.name) for picture in pictures} == {(1920, 1080, "yuv420p")}
    assert (decode_s > 0) is (name != "uncompressed")
    pairs = list(itertools.pairwise(payloads))
    assert not any(before is after for before, after in pairs)
    assert any(before == after for before, after in pairs) is (name == "slides")


def test_the_median_of_the_ratios_is_given_not_the_ratio_of_the_medians() -> None:
    assert summary([Pair(1, 2), Pair(9, 10), Pair(30, 100)])["median"] == 0.5


def test_the_material_is_what_it_says() -> None:
    assert slide_jpeg(3) == slide_jpeg(3)
    assert camera_jpeg(3) == camera_jpeg(3) != camera_jpeg(4)
    assert 200_000 < (len(slide_jpeg(2)) + len(slide_jpeg(3))) / 2 < 235_000
    assert 245_000 < len(camera_jpeg(50)) < 275_000
