"""A rehearsal ends although its session hangs, leaves nothing, and judges its decoded file."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.errors import MediaError, SessionError, StorageError
from config.settings.schema import Settings
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.features.rehearsal import rehearsal
from recorder.features.rehearsal.rehearsal import rehearse, scratch_folder
from recorder.features.rehearsal.review import ReviewedRecording, review_recording
from recorder.model.status import SessionResult
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.support import media
from tests.support.errors import because

ASKED = SessionRequest(title="", videos=("synthetic",), audios=("none",), profile="240p15")


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, was_asked_to_stop = threading.Event(), threading.Event()

    class Hangs(Session):
        def run(self) -> SessionResult:
            let_go.wait(60)
            raise SessionError("nobody waits for it any more")

        def stop(self) -> None:
            was_asked_to_stop.set()

    monkeypatch.setattr(rehearsal, "Session", Hangs)
    monkeypatch.setattr(rehearsal, "LONGER_S", 0.2)
    monkeypatch.setattr(rehearsal, "LET_GO_S", 0.2)
    try:
        rehearsed = rehearse(
            ASKED, Settings(), SystemClock(), threading.Event(), seconds=0.1, stage=lambda _stage, _share: None
        )
    finally:
        let_go.set()
    assert was_asked_to_stop.is_set()
    assert (rehearsed.film, rehearsed.result) == (None, None)
    assert rehearsed.problem is not None
    assert rehearsed.problem.message == "the rehearsal did not end"


# Its folder is gone with it, and that of a killed one with the next

HOLDS = """
from recorder.features.rehearsal.rehearsal import scratch_folder
with scratch_folder() as folder:
  print(folder, flush=True); input()
"""


def left() -> list[Path]:
    return list((state_folder() / "rehearsals").iterdir())


def test_it_is_empty_and_gone_at_the_end_whatever_happened() -> None:
    def rehearse() -> None:
        with scratch_folder() as folder:
            assert list(folder.iterdir()) == []
            (folder / "a").mkdir()
            (folder / "a" / "program.mp4").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        rehearse()
    assert left() == []


def test_that_of_a_killed_one_is_taken_away_by_the_next_and_that_of_one_that_lives_is_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        with scratch_folder():
            assert folder.is_dir()
        other.kill()
        other.wait()
    assert left() == [folder]
    with scratch_folder() as mine:
        assert left() == [mine]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written", check=because("unwritable")), scratch_folder():
        pass


# Its recording


def made(folder: Path, picture: str, sound: str = "sine=f=440:d=2:r=48000") -> Path:
    path = folder / "program.mp4"
    inputs = [word for each in (picture, sound) if each for word in ("-f", "lavfi", "-i", each)]
    media.run(
        "ffmpeg", "-v", "error", *inputs, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2", path
    )
    return path


def watched(path: Path) -> ReviewedRecording:
    film = review_recording(path, 50, threading.Event())
    assert film is not None
    return film


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("bars"), "testsrc2=s=320x240:r=15:d=2")


def test_all_of_it_is_measured(bars: Path) -> None:
    film = watched(bars)
    assert (film.pictures, film.bytes) == (30, bars.stat().st_size)
    assert film.duration_s == pytest.approx(2.0, abs=0.07)
    assert film.rate == pytest.approx(15, abs=0.3)
    assert film.longest_gap_s == pytest.approx(1 / 15, abs=0.01)
    assert film.bit_rate == pytest.approx(bars.stat().st_size * 4, rel=0.04)
    assert film.seen is not None
    assert not film.seen.is_black
    assert film.heard is not None
    assert film.heard.level_dbfs == pytest.approx(-24, abs=1)  # an eighth of full scale, in two channels
    assert film.sync is None


def test_a_flash_and_its_beep_are_set_against_each_other(tmp_path: Path) -> None:
    flash = "color=c=gray:s=160x120:r=30:d=6,drawbox=x=100:y=50:w=30:h=30:c=white:t=fill:enable='lt(mod(t,1),0.1)'"
    beep = "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t-0.2,1),0.1)*gte(t,0.2)':s=48000:d=6"
    film = watched(made(tmp_path, flash, beep))
    assert film.sync is not None
    assert film.sync.kind == "flash"
    assert film.sync.offset_s == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("sound", ["anullsrc=r=48000:d=2", ""])
def test_black_and_silence_are_what_they_are(tmp_path: Path, sound: str) -> None:
    film = watched(made(tmp_path, "color=c=black:s=320x240:r=15:d=2", sound))
    assert film.seen is not None
    assert film.seen.is_black
    assert (film.heard is None or film.heard.is_nothing, film.sync) == (True, None)


def test_a_damaged_one_is_refused(tmp_path: Path, bars: Path) -> None:
    content = bytearray(bars.read_bytes())
    middle = content.find(b"mdat") + (len(content) - content.find(b"mdat")) // 3
    content[middle : middle + 3000] = bytes(3000)
    (tmp_path / "program.mp4").write_bytes(content)
    with pytest.raises(MediaError):
        watched(tmp_path / "program.mp4")


def test_it_is_watched_no_further_than_somebody_waits_for_it(bars: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert review_recording(bars, 50, stop) is None
