"""The rows that take a while, with something small to work on: every part of them runs, whatever the figures are."""

import subprocess
from pathlib import Path
from statistics import median

import pytest

from tests.bench import (
    adaptive,
    camera_feed,
    default_profile,
    destinations,
    floor,
    inset,
    isolating,
    playable,
    rows,
    scaling,
)
from tests.bench.material import Clip
from tests.bench.pairs import Bench, interleaved
from tests.bench.peers import ffmpeg_job, gstreamer_job, liput_job

pytestmark = pytest.mark.slow
ONCE = Bench(Path(), pairs=1)


def test_both_sides_put_one_clip_into_the_corner_of_another(clip: Clip) -> None:
    (whole,) = interleaved(ONCE, "inset", inset.match_of(clip, clip))
    stage = inset.stage(clip, clip, ours_first=True)
    assert 0 < stage.ours.cpu_s < whole.ours.cpu_s
    assert 0 < stage.peers.cpu_s < whole.peers.cpu_s


def test_each_camera_has_a_file_of_its_own(clip: Clip) -> None:
    for apart in (True, False):
        took = isolating.measured((clip, clip), apart=apart)
        assert 0 < took.recorded_s < took.sealed_s
    assert 0 < isolating.written_cpu_s((clip, clip)) < took.recorded_s


def test_what_each_side_makes_of_a_clip_is_judged(clip: Clip) -> None:
    for make in (liput_job, ffmpeg_job):
        assert 20 < default_profile.judged(make, clip) <= 100


def test_what_the_libraries_take_alone_is_measured(clip: Clip) -> None:
    (took,) = floor.turns(clip, {"bare": floor.bare_job, "gstreamer": gstreamer_job}, 1)
    assert set(took) == {"ffmpeg", "bare", "gstreamer"}
    assert all(cpu_s > 0.05 for cpu_s in took.values())


def test_pictures_that_stand_still_are_left_out(slides: Clip) -> None:
    assert adaptive.new_pictures(slides) == [0, 40, 80]
    (pair,) = interleaved(ONCE, "adaptive", adaptive.match_of(slides))
    assert pair.ours.cpu_s > 0.1


def test_each_picture_of_a_session_has_a_delay(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LEAST", 0.5)  # a busy machine loses pictures
    monkeypatch.setattr(rows, "SETTLE_S", 0.5)
    delays_ms, peak_mb = rows.once(clip)
    assert clip.pictures / 2 - 15 <= len(delays_ms) <= clip.pictures - 15
    assert all(delay > 0 for delay in delays_ms)
    assert 50 < peak_mb < 400


def test_sources_are_counted(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "clips", lambda folder: {"camera": clip})
    assert scaling._sources(ONCE)(3) > 0


@pytest.mark.server
@pytest.mark.parametrize("words", [playable.liput_words, playable.ffmpeg_words])
def test_pictures_reach_the_server_from_the_same_camera(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: playable.Words
) -> None:
    monkeypatch.setattr(playable, "SECONDS", 8.0)
    film = tmp_path / "film.mkv"
    camera_feed.film(film, playable.SECONDS)
    assert 0.05 < median(playable.streamed(film, words)) < playable.SECONDS


@pytest.mark.server
def test_a_destination_is_measured_whatever_else_this_process_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "SETTLE_S", 6.0)
    monkeypatch.setattr(destinations, "MEASURE_S", 1.0)
    others = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    try:
        (cost,) = destinations.measured((1,))
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert cost > 0
