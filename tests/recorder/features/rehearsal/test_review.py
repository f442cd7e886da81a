"""A recording of a rehearsal is judged from its decoded file."""

from pathlib import Path
from threading import Event

import pytest

from config.errors import MediaError
from recorder.features.rehearsal.review import ReviewedRecording, review_recording
from tests.support import media

COLOUR = "color=c=black:s=320x240:r=15:d=4"
TONE = "sine=f=440:d=4:r=48000"


def made(folder: Path, picture: str, sound: str | None) -> Path:
    path = folder / "program.mp4"
    inputs = [word for each in (picture, sound) if each for word in ("-f", "lavfi", "-i", each)]
    media.run(
        "ffmpeg", "-v", "error", *inputs, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2", path
    )
    return path


def watched(path: Path) -> ReviewedRecording:
    film = review_recording(path, 50, Event())
    assert film is not None
    return film


def test_all_of_it_is_measured(tmp_path: Path) -> None:
    path = made(tmp_path, "testsrc2=s=320x240:r=15:d=4", TONE)
    film = watched(path)
    assert (film.pictures, film.bytes) == (60, path.stat().st_size)
    assert film.duration_s == pytest.approx(4.0, abs=0.07)
    assert film.rate == pytest.approx(15, abs=0.3)
    assert film.longest_gap_s == pytest.approx(1 / 15, abs=0.01)
    assert film.bit_rate == pytest.approx(path.stat().st_size * 2, rel=0.02)
    assert film.seen is not None
    assert not film.seen.is_black
    assert film.heard is not None
    assert film.heard.level_dbfs == pytest.approx(-24, abs=1)  # an eighth of full scale, in two channels
    assert film.sync is None


def test_a_flash_and_its_beep_are_set_against_each_other(tmp_path: Path) -> None:
    flash = "color=c=gray:s=320x240:r=30:d=6,drawbox=x=200:y=100:w=60:h=60:c=white:t=fill:enable='lt(mod(t,1),0.1)'"
    beep = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t-0.2,1),0.1)*gte(t,0.2)':s=48000:d=6"
    film = watched(made(tmp_path, flash, beep))
    assert film.sync is not None
    assert film.sync.kind == "flash"
    assert film.sync.offset_s == pytest.approx(0.2, abs=0.02)


def test_black_and_silence_are_what_they_are(tmp_path: Path) -> None:
    film = watched(made(tmp_path, COLOUR, "anullsrc=r=48000:d=4"))
    assert film.seen is not None
    assert film.seen.is_black
    assert film.heard is not None
    assert film.heard.is_nothing


def test_without_sound_nothing_is_heard(tmp_path: Path) -> None:
    film = watched(made(tmp_path, COLOUR, None))
    assert (film.heard, film.sync, film.pictures) == (None, None, 60)


def test_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "testsrc2=s=320x240:r=15:d=4", TONE)
    content = bytearray(path.read_bytes())
    middle = content.find(b"mdat") + (len(content) - content.find(b"mdat")) // 3
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with pytest.raises(MediaError):
        watched(path)


def test_it_is_watched_no_further_than_somebody_waits_for_it(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    assert review_recording(made(tmp_path, COLOUR, TONE), 50, stop) is None
