"""How fast a disk is, and that nothing of the question stays on it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from recorder.disk import forecast
from recorder.disk.forecast import MOST_BYTES, PIECE_BYTES, measure_write_bps
from tests.support.command import ROOT

KILLED = """
import os, signal, threading
from pathlib import Path
from recorder.disk import forecast
os.fdatasync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
forecast.measure_write_bps(Path({folder!r}), 9.0, threading.Event())
"""


def test_all_of_it_is_synced_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    assert measure_write_bps(tmp_path, 60.0, threading.Event())
    assert synced == list(range(PIECE_BYTES, MOST_BYTES + 1, PIECE_BYTES))
    assert list(tmp_path.iterdir()) == []


def test_a_small_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "PART_OF_FREE", 10**9)
    assert measure_write_bps(tmp_path, 60.0, threading.Event()) is None


def test_it_ends_when_it_has_lasted_long_enough_and_when_nobody_waits(tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    assert measure_write_bps(tmp_path, 60.0, stopped) is None
    assert measure_write_bps(tmp_path, 0.0, threading.Event()) is None


def test_a_folder_that_takes_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone"):
        measure_write_bps(tmp_path / "gone", 1.0, threading.Event())


def test_a_kill_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED.format(folder=str(tmp_path))], cwd=ROOT, check=False)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []
