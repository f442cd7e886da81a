"""The benchmark: what its rows say and refuse, and that both sides of a comparison do the same work."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from capture.source import Frame
from recorder.encode.encoder import AUDIO_TIME_BASE
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track
from tests.bench import adaptive, bench, inset, isolating, playable, rows, scaling, sinks, watches
from tests.bench.camera_feed import RATE
from tests.bench.material import Clip, camera_jpeg, slide_jpeg, write
from tests.bench.pairs import Bench, Line, Match, Pair, cpu_line, interleaved, measure
from tests.bench.peers import (
    Job,
    JobFailed,
    Usage,
    check_pictures,
    ffmpeg_job,
    output,
    picture_count,
    usage,
    x264_options,
)
from tests.bench.quality import check_plays, vmaf
from tests.bench.rows import check_alike, match_of
from tests.net.session import Seen
from tests.support.room import Room


def told(monkeypatch: pytest.MonkeyPatch, *lines: Line, fails: str = "") -> None:
    """Let the rows be one, called `ffmpeg`, that gives these lines and then fails, if it is to."""

    def row(bench: Bench) -> Iterator[Line]:
        yield from lines
        if fails:
            raise JobFailed(fails)

    monkeypatch.setattr(bench, "ROWS", {"ffmpeg": (row, "made up")})
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--rows", "ffmpeg"])


def test_the_document_is_that_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, Line("ffmpeg", "mix", 0.8, (0.8, 0.9, 0.7), "of ffmpeg's CPU", {"liput_cpu_s": 8.0}))
    assert bench.main() == 0
    document = json.loads(capsys.readouterr().out)
    mix = document["clips"]["mix"]["ffmpeg"]
    assert [mix[key] for key in ("median", "min", "max", "pairs")] == [0.8, 0.7, 0.9, 3]
    assert document["rows"]["ffmpeg"]["mix"] == mix
    assert mix["liput_cpu_s"] == 8.0


def test_a_bar_that_the_median_misses_shows_in_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, Line("ffmpeg", "slides", 0.65, (0.66, 0.7, 0.1), ""))
    assert bench.main() == 1


def test_a_row_that_cannot_be_compared_says_why_and_keeps_what_it_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, Line("ffmpeg", "mix", 0.84, (0.8,), ""), fails="719 pictures instead of 720")
    assert bench.main() == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["no_comparison"] == {"ffmpeg": "719 pictures instead of 720"}
    assert "mix" in document["clips"]
    assert "719 pictures" in captured.err


@pytest.mark.parametrize("words", [["--rows", "ffmpg"], ["--clips", "mixed"], ["--pairs", "0"]])
def test_what_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2


def test_the_watches_are_measured_over_what_cards_send() -> None:
    payloads, pictures = watches.material("slides")
    assert {(picture.width, picture.height, picture.format.name) for picture in pictures} == {(1920, 1080, "yuv420p")}
    pairs = list(itertools.pairwise(payloads))
    assert not any(before is after for before, after in pairs)
    assert any(before == after for before, after in pairs)


def test_the_material_is_what_it_says() -> None:
    assert slide_jpeg(3) == slide_jpeg(3)
    assert camera_jpeg(3) == camera_jpeg(3) != camera_jpeg(4)
    assert 200_000 < (len(slide_jpeg(2)) + len(slide_jpeg(3))) / 2 < 235_000
    assert 245_000 < len(camera_jpeg(50)) < 275_000


def test_each_side_must_have_composed_every_picture() -> None:
    inset.check_count("ffmpeg", "frame=12\nfps=3\nframe=720\nprogress=end\n", 720)
    with pytest.raises(JobFailed, match="liput composed 719 pictures instead of 720"):
        inset.check_count("liput", "frame=719\n", 720)
    with pytest.raises(JobFailed, match="composed no pictures"):
        inset.check_count("liput", "", 720)


def test_files_apart_must_have_every_picture(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "x.mkv", 1, 1, 30, 720, 1)
    isolating.check_files(tmp_path, ())
    with pytest.raises(JobFailed, match=r"of 2 cameras there are files with \[\] pictures"):
        isolating.check_files(tmp_path, (clip, clip))


def test_how_old_a_picture_was_counts_from_its_capture() -> None:
    first = round(playable.SETTLE_S * RATE)
    last = round(playable.SECONDS * RATE)
    seen = [Seen(number, 100 + number / RATE + 0.4) for number in range(last)]
    old = playable.ages(seen, 100.0)
    assert len(old) == last - first
    assert old == pytest.approx([0.4] * len(old))
    with pytest.raises(JobFailed, match="of 360 pictures came"):
        playable.ages(seen[: last // 2], 100.0)


@pytest.mark.slow
def test_a_recording_begins_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PROFILE", "240p15")
    monkeypatch.setattr(rows, "SECONDS", "2s")
    assert 0.2 < rows.cold(Room(tmp_path / "room")) < rows.GIVE_UP_S


@pytest.mark.parametrize(("points", "off"), [({1: 1.0, 2: 2.0, 4: 4.0}, 0.0), ({1: 1.0, 2: 4.0, 3: 1.0}, 0.5)])
def test_points_are_held_against_a_straight_line(points: dict[int, float], off: float) -> None:
    line = scaling.line_of("sources", points)
    assert line.median == pytest.approx(off)
    assert line.holds is (off < scaling.BAR)
    assert line.behind["sources_2"] == points[2]


def test_the_delay_of_a_picture_is_from_decoded_to_packet(tmp_path: Path) -> None:
    moments = iter([10.0, 10.5, 10.52, 10.53, 11.0])  # two decoded, two packets; one more that is no packet yet
    measured = sinks.Delays(tmp_path / "delays.json", lambda: next(moments))
    for at_ns in (7_000_000_000, 7_033_333_333):
        measured.decoded(Frame(at_ns, b""))
    for pts in (0, 3000):
        measured.put(EncodedPacket(Track.VIDEO, b"", pts, pts, 3000, VIDEO_TIME_BASE, is_keyframe=False))
    measured.put(EncodedPacket(Track.AUDIO, b"", 0, 0, 1024, AUDIO_TIME_BASE, is_keyframe=True))
    measured.decoded(Frame(7_066_666_667, b""))
    measured.close()
    assert json.loads((tmp_path / "delays.json").read_text()) == pytest.approx([0.52, 0.03])


def test_every_new_picture_must_be_there_at_its_time() -> None:
    clip = Clip(Path(), 1, 1, 30, 30, 1)
    good = [0.021 + number / 30 for number in (0, 1, 6, 12, 13, 19, 25, 29, 30)]
    adaptive.check_times(good, [0, 13, 25], clip)
    with pytest.raises(JobFailed, match=r"1 pictures that are new .* 14 is the first"):
        adaptive.check_times(good, [0, 14], clip)
    with pytest.raises(JobFailed, match="13 is the first"):
        adaptive.check_times([*good[:4], good[4] + 0.01, *good[5:]], [0, 13], clip)
    with pytest.raises(JobFailed, match=r"nothing was encoded for 0\.400 s"):
        adaptive.check_times([*good[:2], *good[4:]], [0, 13], clip)
    with pytest.raises(JobFailed, match=r"the last picture is shown at 0\.833 s"):
        adaptive.check_times([*good[:-2], good[-3] + 1 / 30], [0, 13], clip)
    with pytest.raises(JobFailed, match=r"up to 1\.067 s"):
        adaptive.check_times([*good[:-1], good[-1] + 2 / 30], [0, 13], clip)


def test_what_is_new_is_known_from_the_clip(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "slides.mkv", 64, 48, 30, 6, 1)
    grey = [bytes(simplejpeg.encode_jpeg(np.full((48, 64, 3), level, np.uint8), 85, "BGR", "422")) for level in (9, 99)]
    write(clip, (grey[which] for which in (0, 0, 1, 1, 0, 0)))
    assert adaptive.new_pictures(clip) == [0, 2, 4]


BURN = "import time\nwhile time.process_time() < 0.3: pass"


def encode(folder: Path, pictures: int, *options: str) -> Job:
    """Return a job that makes MP4 and FLV of a few synthetic pictures."""
    source = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=30", "-frames:v", str(pictures))
    sinks = ("-flags", "+global_header", "-f", "tee", "-map", "0:v")
    return Job(
        "ffmpeg", (*source, "-c:v", "libx264", *options, *sinks, f"[f=mp4]{folder}/out.mp4|[f=flv]{folder}/out.flv")
    )


def test_the_time_of_a_process_and_its_children_is_counted(tmp_path: Path) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}])"
    assert usage(Job("x", (sys.executable, "-c", BURN)), tmp_path).cpu_s >= 0.3
    assert usage(Job("x", (sys.executable, "-c", nested)), tmp_path).cpu_s >= 0.3


def test_the_memory_of_a_job_is_its_own(tmp_path: Path) -> None:
    ours = bytearray(b"x" * 200_000_000)
    grab = "import time; held = bytearray(b'x') * 120_000_000; time.sleep(1)"
    assert 120 < usage(Job("x", (sys.executable, "-c", grab)), tmp_path).peak_mb < 180
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
def test_liput_and_its_peer_do_the_same(clip: Clip) -> None:
    said: list[str] = []
    (pair,) = interleaved(Bench(Path(), pairs=1, say=said.append), "small", match_of(clip, ffmpeg_job))
    assert pair.ours.cpu_s > 0.1
    assert pair.ours.peak_mb > 30
    assert said == [f"small: {pair.ours.cpu_s:.2f} s, the peer {pair.peers.cpu_s:.2f} s: {pair.cpu:.3f}"]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Provide a source, and what becomes of it with much and with little compression."""
    folder = tmp_path_factory.mktemp("films")
    found = {name: folder / f"{name}.mp4" for name in ("source", "good", "bad")}
    make = ("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1", "-c:v", "libx264")
    for name, quality in (("source", "0"), ("good", "20"), ("bad", "45")):
        subprocess.run([*make, "-qp", quality, "-pix_fmt", "yuv420p", str(found[name])], check=True)
    return found


def test_vmaf_falls_with_compression(films: dict[str, Path]) -> None:
    assert vmaf(films["source"], films["source"]) > 95
    assert vmaf(films["good"], films["source"]) > vmaf(films["bad"], films["source"]) + 10


def test_a_varying_rate_is_judged_as_it_is_shown(films: dict[str, Path], tmp_path: Path) -> None:
    """Of three pictures the first is kept: by a player it is shown three times, and only then as many are judged."""
    few, repeated = tmp_path / "few.mkv", tmp_path / "repeated.mkv"
    kept = "select='not(mod(n,3))+eq(n,29)'"
    for path, pictures in ((few, kept), (repeated, f"{kept},fps=30")):
        make = ("ffmpeg", "-v", "error", "-i", films["source"], "-vf", pictures, "-fps_mode", "vfr")
        subprocess.run([*make, "-c:v", "libx264", "-qp", "0", path], check=True)
    with pytest.raises(ValueError, match="is longer than argument 1"):
        vmaf(few, films["source"], 1)
    as_shown = vmaf(few, films["source"], 1, rate=30)
    assert as_shown == pytest.approx(vmaf(repeated, films["source"], 1), abs=0.01)
    assert as_shown < vmaf(films["source"], films["source"], 1) - 1


def test_a_damaged_file_does_not_play(films: dict[str, Path], tmp_path: Path) -> None:
    check_plays(films["good"])
    data = bytearray(films["good"].read_bytes())
    place = data.find(b"mdat") + 2000
    data[place : place + 2000] = bytes(2000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with pytest.raises(JobFailed, match=r"damaged\.mp4 does not play"):
        check_plays(damaged)


@pytest.mark.slow
def test_both_sides_put_one_clip_into_the_corner_of_another(clip: Clip) -> None:
    (whole,) = interleaved(Bench(Path(), pairs=1), "inset", inset.match_of(clip, clip))
    stage = inset.stage(clip, clip, ours_first=True)
    assert 0 < stage.ours.cpu_s < whole.ours.cpu_s
    assert 0 < stage.peers.cpu_s < whole.peers.cpu_s


@pytest.mark.slow
def test_each_camera_has_a_file_of_its_own(clip: Clip) -> None:
    for apart in (True, False):
        took = isolating.measured((clip, clip), apart=apart)
        assert 0 < took.recorded_s < took.sealed_s


@pytest.mark.slow
def test_each_picture_of_a_session_has_a_delay(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LEAST", 0.2)  # a busy machine loses most of the pictures
    monkeypatch.setattr(rows, "SETTLE_S", 0.5)
    delays_ms, peak_mb = rows.once(clip)
    assert rows.LEAST * clip.pictures - 15 <= len(delays_ms) <= clip.pictures - 15
    assert all(delay > 0 for delay in delays_ms)
    assert 50 < peak_mb < 400
