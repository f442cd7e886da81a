"""Keyframes are read, and nothing else of a recording."""

from pathlib import Path

import pytest

from recorder.package.keyframes import keyframes
from tests.support.slides import Picture, deck, moving, record, still


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
