"""The benchmark's command: what it measures, what it says, and when it fails."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import bench, rows, watches
from tests.bench.material import camera_jpeg, slide_jpeg
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed


def told(monkeypatch: pytest.MonkeyPatch, *lines: Line, fails: str = "") -> None:
    """Let the rows be one, called `ffmpeg`, that gives these lines and then fails, if it is to."""

    def row(bench: Bench) -> Iterator[Line]:
        yield from lines
        if fails:
            raise JobFailed(fails)

    monkeypatch.setattr(bench, "ROWS", {"ffmpeg": (row, "made up")})
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--rows", "ffmpeg"])


def test_the_median_counts_and_a_bar_may_be_reached() -> None:
    assert Line("x", "y", 0.8, (0.9, 0.8, 0.1), "").median == 0.8
    assert Line("x", "y", 0.8, (0.9, 0.8, 0.1), "").holds
    assert not Line("x", "y", 0.8, (0.9, 0.81, 0.1), "").holds


def test_the_document_is_that_of_the_contract(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, Line("ffmpeg", "mix", 0.84, (0.8, 0.9, 0.7), "of ffmpeg's CPU", {"liput_cpu_s": 8.0}))
    assert bench.main() == 0
    document = json.loads(capsys.readouterr().out)
    mix = document["clips"]["mix"]["ffmpeg"]
    assert [mix[key] for key in ("median", "min", "max", "pairs")] == [0.8, 0.7, 0.9, 3]
    assert document["rows"]["ffmpeg"]["mix"] == mix
    assert mix["liput_cpu_s"] == 8.0


def test_a_bar_that_is_missed_shows_in_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, Line("ffmpeg", "slides", 0.65, (0.66,), ""))
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


def test_people_see_each_line_with_its_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told(monkeypatch, Line("ffmpeg", "mix", 0.84, (0.8, 0.9, 0.85), "", {"liput_cpu_s": 8.5, "peer_cpu_s": 10.0}))
    monkeypatch.setattr(sys, "argv", ["bench"])
    monkeypatch.setenv("COLUMNS", "160")
    assert bench.main() == 1
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("8.50 cpu_s", "10.00 cpu_s", "0.850", "0.800-0.900", "0.84", "missed"):
        assert text in shown


@pytest.mark.parametrize("words", [["--rows", "ffmpg"], ["--clips", "mixed"], ["--pairs", "0"]])
def test_what_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2


def test_the_watches_are_a_row_with_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = iter([watches.Cost(100.0, 0.9, 0.1, 12.0), watches.Cost(100.0, 1.3, 0.1, 12.0)])
    monkeypatch.setattr(watches, "NAMES", ("camera", "slides"))
    monkeypatch.setattr(watches, "measure", lambda name: next(costs))
    camera, slides = rows.watched(Bench(Path()))
    assert camera.median == pytest.approx(0.8)
    assert camera.holds
    assert camera.behind["ratio"] == pytest.approx(12.9 / 12.1, abs=1e-4)
    assert slides.median == pytest.approx(1.2)
    assert not slides.holds


@pytest.mark.parametrize("name", watches.NAMES)
def test_the_watches_are_measured_over_what_cameras_and_cards_send(name: str) -> None:
    payloads, pictures, decode_s = watches._material(name)
    assert {(picture.width, picture.height, picture.format.name) for picture in pictures} == {(1920, 1080, "yuv420p")}
    assert (decode_s > 0) is (name != "uncompressed")
    pairs = list(itertools.pairwise(payloads))
    assert not any(before is after for before, after in pairs)
    assert any(before == after for before, after in pairs) is (name == "slides")


def test_the_material_is_what_it_says() -> None:
    assert slide_jpeg(3) == slide_jpeg(3)
    assert camera_jpeg(3) == camera_jpeg(3) != camera_jpeg(4)
    assert 200_000 < (len(slide_jpeg(2)) + len(slide_jpeg(3))) / 2 < 235_000
    assert 245_000 < len(camera_jpeg(50)) < 275_000
