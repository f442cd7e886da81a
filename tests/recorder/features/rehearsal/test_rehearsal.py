"""A rehearsal ends although its session hangs, and leaves nothing."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.errors import SessionError, StorageError
from config.settings.schema import Settings
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.features.rehearsal import rehearsal
from recorder.features.rehearsal.rehearsal import rehearse, scratch_folder
from recorder.model.status import SessionResult
from recorder.session.request import SessionRequest
from recorder.session.session import Session
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
