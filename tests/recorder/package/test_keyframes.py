"""Keyframes are read, and nothing else of a recording."""

import subprocess
from pathlib import Path

import pytest

from recorder.package.keyframes import keyframes, poster_of
from recorder.package.media import probe_media
from tests.support import media
from tests.support.slides import Picture, deck, moving, record, still

pytestmark = pytest.mark.computing


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 s of pictures that are all different, with a keyframe every 2 s."""
    pictures: list[Picture] = moving((0, 0, 1280, 720), still(deck(1), 20))
    return record(tmp_path_factory.mktemp("film") / "program.mp4", pictures)


def test_each_keyframe_comes_once_with_its_time(film: Path) -> None:
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 2.0)] == [2.0 * number for number in range(10)]
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 0.5)] == [2.0 * number for number in range(10)]
    assert [round(at_s, 3) for at_s, _ in keyframes(film, 7.0, start_s=3.0)] == [2.0, 10.0, 16.0]
    assert {(picture.width, picture.height) for _, picture in keyframes(film, 5.0)} == {(1280, 720)}


def test_most_of_a_recording_is_not_read(film: Path) -> None:
    before = _read_bytes()
    assert len(list(keyframes(film, 2.0))) == 10
    assert _read_bytes() - before < film.stat().st_size / 3


def _read_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


def test_what_is_damaged_is_left_out(film: Path, tmp_path: Path) -> None:
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200_000] = bytes(200_000)
    (tmp_path / "program.mp4").write_bytes(content)
    assert 3 <= len(list(keyframes(tmp_path / "program.mp4", 2.0))) <= 10
    (tmp_path / "nothing.mp4").write_bytes(b"nothing")
    assert list(keyframes(tmp_path / "nothing.mp4", 2.0)) == []


def ffmpeg(*arguments: str | Path) -> None:
    media.run("ffmpeg", "-v", "error", "-y", *arguments)


@pytest.mark.parametrize("source", ["color=white:s=3840x2160", "color=white:s=640x1136", "color=black:s=320x180"])
def test_a_poster_keeps_the_shape_and_is_not_large(source: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    ffmpeg("-f", "lavfi", "-i", f"{source}:r=5:d=1", "-c:v", "libx264", "-preset", "ultrafast", path)
    picture = tmp_path / "poster.jpg"
    picture.write_bytes(poster_of(path) or b"")
    shown = media.run(
        "ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", picture
    ).strip()
    assert shown == {"3840x2160": "1280,720", "640x1136": "640,1136", "320x180": "320,180"}[source.rpartition("=")[2]]


def test_sound_alone_and_rubbish_have_no_poster(program: Path, tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    ffmpeg("-i", program, "-vn", "-c", "copy", sound)
    assert poster_of(sound) is None
    assert [track.index for track in probe_media(sound, "x").tracks] == [0]
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"rubbish" * 100)
    assert poster_of(rubbish) is None


def test_a_poster_is_not_taken_from_a_file_that_another_one_names(program: Path, tmp_path: Path) -> None:
    """A package may come from elsewhere: what it calls its recording may be a list of other files of this PC."""
    (tmp_path / "other.mp4").write_bytes(program.read_bytes())
    listing = tmp_path / "program.mp4"
    listing.write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert poster_of(tmp_path / "other.mp4")
    assert poster_of(listing) is None


def test_no_mistake_of_a_poster_costs_the_sealing(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> float:
        raise MemoryError

    monkeypatch.setattr("recorder.package.keyframes.shrink", broken)
    assert poster_of(program) is None


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
def test_the_poster_has_the_colours_of_the_recording(matrix: str, tmp_path: Path) -> None:
    """Against ffmpeg's own conversion of the same picture to RGB: whatever the matrix, JPEG's is BT.601, full range."""
    path, picture = tmp_path / "bars.mp4", tmp_path / "poster.jpg"
    convert = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", "rgbtestsrc=s=320x240:r=5:d=1", "-vf", convert, "-colorspace", matrix,
           "-color_range", "tv", "-c:v", "libx264", "-qp", "1", path)  # fmt: skip
    picture.write_bytes(poster_of(path) or b"")
    shown, real = rgb_down_the_middle(picture, "bt601", "pc"), rgb_down_the_middle(path, matrix, "tv")
    for row in (40, 120, 200):
        assert shown[row] == pytest.approx(real[row], abs=6), f"row {row}"


def rgb_down_the_middle(path: Path, matrix: str, color_range: str) -> list[tuple[int, ...]]:
    convert = f"scale=in_color_matrix={matrix}:in_range={color_range},format=rgb24"
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", convert, "-f", "rawvideo", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    rows = [done.stdout[start : start + 320 * 3] for start in range(0, 240 * 320 * 3, 320 * 3)]
    return [tuple(row[160 * 3 : 160 * 3 + 3]) for row in rows]
