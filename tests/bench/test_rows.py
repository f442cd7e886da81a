"""Each row judges rightly, by figures that are made up; those that are cheap also run once."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from capture.source import Frame
from recorder.encode.encoder import AUDIO_TIME_BASE
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track
from tests.bench import (
    adaptive,
    default_profile,
    delays,
    destinations,
    footage,
    inset,
    isolating,
    low_latency,
    playable,
    scaling,
    starting,
)
from tests.bench.bench import document
from tests.bench.camera_feed import RATE
from tests.bench.material import Clip, write
from tests.bench.pairs import Bench, Pair
from tests.bench.peers import JobFailed, Usage
from tests.bench.plot import kept, plot
from tests.net.viewer import Seen
from tests.proofs import latency
from tests.support.room import Room

TWICE = Bench(Path(), pairs=2)


def given(monkeypatch: pytest.MonkeyPatch, module: object, name: str, *figures: object) -> None:
    """Let a measurement of a module give these figures, one after the other."""
    left: Iterator[object] = iter(figures)
    monkeypatch.setattr(module, name, lambda *_, **__: next(left))


def test_memory_is_a_ratio_of_peaks() -> None:
    pairs = [Pair(Usage(1, ours), Usage(1, 100)) for ours in (90, 93, 91)]
    line = default_profile.memory_line(pairs)
    assert (line.median, line.holds) == (0.91, True)
    assert line.behind == {"liput_mb": 93, "peer_mb": 100}


@pytest.mark.parametrize(("ours", "holds"), [(85.0, True), (84.99, False), (85.5, True)])
def test_vmaf_may_be_no_lower(ours: float, holds: bool) -> None:
    line = default_profile.vmaf_line("default", "camera", ours, 85.0)
    assert line.holds is holds
    assert line.behind == {"liput_vmaf": ours, "peer_vmaf": 85.0}


def test_a_film_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"bigbuckbunny\.mp4 is not there; \./run bench fetches it"):
        footage.footage(tmp_path)


def test_each_side_must_have_composed_every_picture() -> None:
    inset.check_count("ffmpeg", "frame=12\nfps=3\nframe=720\nprogress=end\n", 720)
    with pytest.raises(JobFailed, match="liput composed 719 pictures instead of 720"):
        inset.check_count("liput", "frame=719\n", 720)
    with pytest.raises(JobFailed, match="composed no pictures"):
        inset.check_count("liput", "", 720)


def test_the_inset_is_where_the_layout_has_it(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "x.mkv", 1920, 1080, 30, 720, 4_500_000)
    words = " ".join(inset.overlaid(clip, clip, ()).command)
    assert "scale=480:270" in words
    assert "overlay=1408:778" in words


def test_what_is_recorded_apart_is_told_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, isolating, "clips", dict.fromkeys(("camera", "mix"), Clip(Path(), 1, 1, 30, 720, 1)))
    took = [(2.0, 2.5), (2.48, 3.46), (2.24, 3.22), (2.0, 2.5)]  # of 24 s: 2 % and 1 % more, sealed 4 % and 3 %
    given(monkeypatch, isolating, "measured", *(isolating.Took(*one) for one in took))
    given(monkeypatch, isolating, "written_cpu_s", 0.2, 0.4)
    recorded, sealed = isolating.isolated(TWICE)
    assert list(recorded.values) == pytest.approx([0.02, 0.01])
    assert recorded.holds
    assert list(sealed.values) == pytest.approx([0.04, 0.03])
    assert not sealed.holds
    assert recorded.behind["bytes_alone_cpu_s"] == pytest.approx(0.3)


def test_files_apart_must_have_every_picture(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "x.mkv", 1, 1, 30, 720, 1)
    isolating.check_files(tmp_path, ())
    with pytest.raises(JobFailed, match=r"of 2 cameras there are files with \[\] pictures"):
        isolating.check_files(tmp_path, (clip, clip))


def test_one_more_destination_is_a_third_of_three_more(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, destinations, "measured", [0.02, 0.08], [0.02, 0.14])
    (line,) = destinations.destination(TWICE)
    assert list(line.values) == pytest.approx([0.02, 0.04])
    assert line.behind["four"] == pytest.approx(0.11)


def test_delay_is_compared_by_its_median(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "numbered-v1.mkv").touch()
    given(monkeypatch, playable, "streamed", [0.3, 0.4, 0.5], [0.8] * 3, [0.7] * 3, [0.5] * 3)
    (line,) = playable.playable(Bench(tmp_path, pairs=2))
    assert list(line.values) == pytest.approx([0.5 / 1, 0.5 / 0.7])
    assert line.behind == {"liput_s": pytest.approx(0.45), "peer_s": pytest.approx(0.75)}


def test_how_old_a_picture_was_counts_from_its_capture() -> None:
    first = round(playable.SETTLE_S * RATE)
    last = round(playable.SECONDS * RATE)
    seen = [Seen(number, 100 + number / RATE + 0.4) for number in range(last)]
    old = playable.ages(seen, 100.0)
    assert len(old) == last - first
    assert old == pytest.approx([0.4] * len(old))
    with pytest.raises(JobFailed, match="of 360 pictures came"):
        playable.ages(seen[: last // 2], 100.0)


def test_starts_have_a_bar_each(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, starting, "cold", 0.9, 1.3)
    given(monkeypatch, latency, "start", 0.03, 0.05)
    cold, armed = starting.start(TWICE)
    assert cold.median == pytest.approx(1.1)
    assert not cold.holds
    assert armed.median == pytest.approx(0.04)
    assert armed.holds


def test_what_is_no_recording_has_no_fragments(tmp_path: Path) -> None:
    empty = tmp_path / "program.mp4"
    empty.touch()
    assert starting.fragments(empty) == 0


@pytest.mark.slow
def test_a_recording_begins_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PROFILE", "240p15")
    monkeypatch.setattr(starting, "SECONDS", "2s")
    assert 0.2 < starting.cold(Room(tmp_path / "room")) < starting.GIVE_UP_S


@pytest.mark.parametrize(("points", "off"), [({1: 1.0, 2: 2.0, 4: 4.0}, 0.0), ({1: 1.0, 2: 4.0, 3: 1.0}, 0.5)])
def test_points_are_held_against_a_straight_line(points: dict[int, float], off: float) -> None:
    line = scaling.line_of("sources", points)
    assert line.median == pytest.approx(off)
    assert line.holds is (off < scaling.BAR)
    assert line.behind["sources_2"] == points[2]


def test_the_plot_has_each_point_with_its_number_and_unit() -> None:
    drawn = plot({"sources": {1: 1.0, 2: 2.0}, "minutes": {10: 5.0, 12: 6.0, 400: 2000.0}})
    assert drawn.count("<circle") == 5
    assert re.findall(r">([^<]+)</text>", drawn) == [
        "sources", "2 cores", "1", "2", "minutes", "2,000 CPU seconds", "400",
    ], "no number where there is no room for it"  # fmt: skip
    assert drawn.endswith("</svg>\n")


def test_the_plot_is_drawn_of_what_is_kept(tmp_path: Path) -> None:
    line = scaling.line_of("sources", {1: 0.5, 2: 1.0, 4: 2.0})
    bench, proof = tmp_path / "bench.json", tmp_path / "soak-media.json"
    bench.write_text(json.dumps(document([line], {})))
    for figures in (
        {"cpu_s_after_minutes": {"10": 30.0, "480": 1400.0}},
        {"media": {"cpu_s_after_minutes": {"10": 3}}},
    ):
        proof.write_text(json.dumps(figures))
        series = kept(bench, proof)
        assert series["sources"] == {1: 0.5, 2: 1.0, 4: 2.0}
        assert series["minutes"][10] in {30.0, 3.0}


def test_the_delay_of_a_picture_is_from_decoded_to_packet(tmp_path: Path) -> None:
    moments = iter([10.0, 10.5, 10.52, 10.53, 11.0])  # two decoded, two packets; one more that is no packet yet
    measured = delays.Delays(tmp_path / "delays.json", lambda: next(moments))
    for at_ns in (7_000_000_000, 7_033_333_333):
        measured.decoded(Frame(at_ns, b""))
    for pts in (0, 3000):
        measured.put(EncodedPacket(Track.VIDEO, b"", pts, pts, 3000, VIDEO_TIME_BASE, is_keyframe=False))
    measured.put(EncodedPacket(Track.AUDIO, b"", 0, 0, 1024, AUDIO_TIME_BASE, is_keyframe=True))
    measured.decoded(Frame(7_066_666_667, b""))
    measured.close()
    assert json.loads((tmp_path / "delays.json").read_text()) == pytest.approx([0.52, 0.03])


def test_the_low_latency_profile_has_three_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, low_latency, "clips", *[{"camera": Clip(Path(), 1, 1, 30, 720, 1)}] * 4)
    slow = [12.0] * 90 + [60.0] * 10
    given(monkeypatch, low_latency, "once", ([12.0] * 100, 190.0), (slow, 190.0), ([], 190.0), ([], 212.0))
    middle, late = low_latency.latency(TWICE)
    assert (middle.median, middle.holds) == (12.0, True)
    assert list(late.values) == [12.0, 60.0]
    assert late.holds
    (memory,) = low_latency.memory(TWICE)
    assert (memory.median, memory.holds) == (201.0, False)


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
