"""How long a disk will last, from what it has free and how fast that goes."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from config.settings.schema import StorageSettings as StorageSettings
from devices.host.clock import NANOSECONDS
from recorder.disk import forecast
from recorder.disk.forecast import MOST_BYTES, PIECE_BYTES, DiskForecast, DiskLevel, measure_write_bps
from tests.support.command import ROOT

RATE = 600_000
MB = 1_000_000


def run(
    forecast: DiskForecast, free: int, seconds: int, *, rate: int = RATE, planned_s: float | None = None
) -> list[DiskLevel]:
    """Let a disk fill up for some seconds; return what was told."""
    told = []
    for second in range(seconds):
        planned = None if planned_s is None else planned_s - second
        level = forecast.update(second * NANOSECONDS, free - second * rate, second * RATE, float(second), planned)
        if level is not None:
            told.append(level)
    return told


def test_the_time_left_is_what_is_free_without_what_must_stay_by_the_rate() -> None:
    forecast = DiskForecast(StorageSettings(), 200 * MB, 1.0)
    run(forecast, 20_000 * MB, 30)
    assert forecast.left_s == pytest.approx(19_800 * MB / RATE - 30, rel=0.01)


def test_the_first_seconds_are_no_measure() -> None:
    forecast = DiskForecast(StorageSettings(), 0, 100_000.0)
    run(forecast, 1_000 * MB, 3, rate=50 * MB)
    assert forecast.left_s == pytest.approx(9_000, rel=0.2)


def test_what_others_write_to_the_disk_counts() -> None:
    forecast = DiskForecast(StorageSettings(), 0, 1.0)
    run(forecast, 20_000 * MB, 30, rate=10 * RATE)
    assert forecast.left_s == pytest.approx(20_000 * MB / RATE / 10, rel=0.03)


def test_each_level_is_told_once_in_its_order() -> None:
    forecast = DiskForecast(StorageSettings(low_s=100, critical_s=20), 50 * MB, RATE)
    assert run(forecast, 150 * MB, 200) == [DiskLevel.LOW, DiskLevel.CRITICAL, DiskLevel.OVER]


def test_a_disk_that_lasts_to_the_planned_end_is_enough_however_short_that_is() -> None:
    assert run(DiskForecast(StorageSettings(), 0, RATE), 60 * MB, 50, planned_s=60) == []


def test_a_disk_that_does_not_last_to_the_planned_end_is_told_at_once() -> None:
    forecast = DiskForecast(StorageSettings(low_s=10, critical_s=5), 0, RATE)
    assert run(forecast, 2_000 * MB, 5, planned_s=7200) == [DiskLevel.LOW]


def test_an_alarm_is_over_once_there_is_a_fifth_more_time_than_where_it_begins() -> None:
    forecast = DiskForecast(StorageSettings(low_s=1000, critical_s=100), 0, RATE)
    assert forecast.update(0, 90 * RATE + 4 * MB, 0, 0.0, None) is DiskLevel.CRITICAL
    assert forecast.update(0, 119 * RATE + 4 * MB, 0, 0.0, None) is None
    assert forecast.update(0, 121 * RATE + 4 * MB, 0, 0.0, None) is DiskLevel.LOW
    assert forecast.update(0, 125 * RATE + 4 * MB, 0, 0.0, None) is None, "told once"
    assert forecast.update(0, 90 * RATE + 4 * MB, 0, 0.0, None) is DiskLevel.CRITICAL
    assert forecast.update(0, 2000 * RATE, 0, 0.0, None) is DiskLevel.ENOUGH


def test_a_level_around_its_bound_is_not_told_again_and_again() -> None:
    forecast, told = DiskForecast(StorageSettings(low_s=100, critical_s=0), 0, RATE), []
    for number in range(40):
        free = round((99 if number % 2 else 101) * RATE) + 4 * MB
        told.append(forecast.update(0, free, 0, 0.0, None))
    assert [level for level in told if level is not None] == [DiskLevel.LOW]
    assert forecast.update(0, 300 * RATE, 0, 0.0, None) is None
    assert forecast.update(0, 50 * RATE, 0, 0.0, None) is DiskLevel.LOW


# How fast a disk is, and that nothing of the question stays on it.

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
