"""The folder of a rehearsal is gone with it, and that of a killed one with the next."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import StorageError
from config.state import state_folder
from recorder.rehearsal.run import scratch
from tests.support.errors import because

HOLDS = "from recorder.rehearsal.run import scratch\nwith scratch() as folder:\n  print(folder, flush=True); input()"


def left() -> list[Path]:
    return list((state_folder() / "rehearsals").iterdir())


def test_it_is_empty_and_gone_at_the_end_whatever_happened() -> None:
    def rehearse() -> None:
        with scratch() as folder:
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
        with scratch():
            assert folder.is_dir()
        other.kill()
        other.wait()
    assert left() == [folder]
    with scratch() as mine:
        assert left() == [mine]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written", check=because("unwritable")), scratch():
        pass
