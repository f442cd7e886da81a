"""What is said of the disks; of those that hang or fail it is said in tests/rig/guest/guest_check.py."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.kinds import storage
from agent.checks.kinds.storage import FAT_BYTES, NAME, look
from config.settings.schema import ArchiveSettings, Settings, StorageSettings
from recorder.disk import mounts
from recorder.disk.archive_folder import MountMemory
from recorder.disk.forecast import measure_write_bps
from recorder.model.status import SessionState
from recorder.session.request import SessionRequest
from tests.support.situations import codes, session, situation

FREE = 20_000_000_000
BYTES_PER_S = (2_500_000 + 128_000) / 8 + 3000  # of 720p30, with its index


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other test change how much is free, and how fast a disk is."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=FREE))
    monkeypatch.setattr(storage, "measure_write_bps", lambda *_: 1e9)


def settings(root: Path, *further: Path, mirror: bool = False) -> Settings:
    return Settings(
        archive=ArchiveSettings(path=root, reserve=1), storage=StorageSettings(paths=further, mirror=mirror)
    )


def found(
    given: Settings, planned_s: float | None = None, reserve: int | None = None, **more: object
) -> list[CheckResult]:
    asked = SessionRequest(title="Rapat", profile="720p30", duration_s=planned_s, reserve=reserve)
    return list(look(situation(asked, given, **more)))  # type: ignore[arg-type]


def test_a_disk_with_room_is_measured_and_nothing_is_left_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "measure_write_bps", measure_write_bps)
    (result,) = found(settings(tmp_path), 60.0)
    assert (result.name, result.code) == (f"{NAME}: {tmp_path}", "ok")
    assert result.measured["free_bytes"] == FREE
    write_bps = result.measured["write_bps"]
    assert isinstance(write_bps, int)
    assert write_bps > 5 * 8 * BYTES_PER_S
    assert list(tmp_path.iterdir()) == []
    (result,) = found(settings(tmp_path / "not/yet"), 60.0)
    assert result.code == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_or_is_full_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (result,) = found(settings(tmp_path / "file"))
    assert (result.code, result.verdict) == ("unwritable", CheckVerdict.FAILURE)
    (result,) = found(settings(tmp_path), reserve=2**60)
    assert result.code == "full"
    assert "1,152,921.5 TB" in result.reason.english
    assert "1.152.921,5 TB" in result.reason.indonesian


def test_a_disk_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    memory = MountMemory()
    memory._store.change(lambda _: {str(tmp_path): str(tmp_path)})
    (result,) = found(settings(tmp_path))
    assert result.code == "not-mounted"
    lax = Settings(archive=ArchiveSettings(path=tmp_path, reserve=1), storage=StorageSettings(must_be_mounted=False))
    assert codes(found(lax, 60.0)) == [(f"{NAME}: {tmp_path}", "ok")]


def test_a_session_that_does_not_fit_is_told_how_much_does(tmp_path: Path) -> None:
    ten_minutes = FREE - int(600 * BYTES_PER_S)
    _, result = found(settings(tmp_path), 7200.0, ten_minutes)
    assert (result.name, result.code) == (NAME, "short")
    assert result.measured["planned_s"] == 7200.0
    assert result.measured["lasts_s"] == pytest.approx(600, abs=1)


def test_without_a_plan_two_hours_are_little(tmp_path: Path) -> None:
    ten_minutes = FREE - int(600 * BYTES_PER_S)
    assert [result.code for result in found(settings(tmp_path), None, ten_minutes)] == ["ok", "little"]
    assert [result.code for result in found(settings(tmp_path))] == ["ok"]


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Provide a folder on another disk than that of `tmp_path`."""
    candidates = (Path(place) for place in ("/dev/shm", "/run", "/var/tmp"))
    place = next(place for place in candidates if place.stat().st_dev != tmp_path.stat().st_dev)
    with TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_a_session_that_needs_two_disks_is_told_where_it_goes_on(tmp_path: Path, other_disk: Path) -> None:
    planned_s = 1.5 * FREE / BYTES_PER_S
    *places, result = found(settings(tmp_path, other_disk), planned_s)
    assert [place.code for place in places] == ["ok", "ok"]
    assert (result.name, result.code) == (NAME, "goes-on")
    assert str(other_disk) in result.reason.indonesian


def test_a_mirrored_session_has_to_fit_into_both(tmp_path: Path, other_disk: Path) -> None:
    planned_s = 1.1 * FREE / BYTES_PER_S
    assert found(settings(tmp_path, other_disk), planned_s)[-1].code != "short"
    assert found(settings(tmp_path, other_disk, mirror=True), planned_s)[-1].code == "short"
    assert codes(found(settings(tmp_path, mirror=True), 60.0))[0] == (NAME, "no-mirror")
    planned_s = 1.5 * FREE / BYTES_PER_S
    assert found(settings(tmp_path / "a", tmp_path / "b"), planned_s)[-1].code == "short"


def test_sources_that_are_recorded_apart_take_room_too(tmp_path: Path) -> None:
    asked = SessionRequest(title="Rapat", profile="720p30", duration_s=0.5 * FREE / BYTES_PER_S)
    apart = SessionRequest(title="Rapat", profile="720p30", duration_s=asked.duration_s, isolate=True)
    assert [one.code for one in look(situation(asked, settings(tmp_path)))] == ["ok"]
    assert [one.code for one in look(situation(apart, settings(tmp_path)))][-1] == "short"


@pytest.fixture
def _on_fat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel say that the disk of `tmp_path` has FAT."""
    device = tmp_path.stat().st_dev
    table = tmp_path.parent / "mountinfo"
    table.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / / rw - vfat /dev/sdz1 rw\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)


@pytest.mark.usefixtures("_on_fat")
def test_fat_ends_at_four_gigabytes(tmp_path: Path) -> None:
    hours_s = FAT_BYTES / BYTES_PER_S
    assert [result.code for result in found(settings(tmp_path), hours_s - 60)] == ["ok"]
    assert [result.code for result in found(settings(tmp_path), hours_s + 60)] == ["fat", "short"]
    assert [result.code for result in found(settings(tmp_path))] == ["fat"]


@pytest.mark.parametrize(("times", "code"), [(5.1, "ok"), (4.9, "slow"), (1.6, "slow"), (1.4, "too-slow")])
def test_a_profile_needs_a_fast_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float, code: str) -> None:
    monkeypatch.setattr(storage, "measure_write_bps", lambda *_: times * BYTES_PER_S * 8)
    (result,) = found(settings(tmp_path), 60.0)
    assert result.code == code


def test_nothing_is_written_where_a_session_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = found(settings(tmp_path), 60.0, held={"Wisuda": session(SessionState.ARMED)})
    assert result.measured["write_bps"] is not None
    monkeypatch.setattr(storage, "measure_write_bps", lambda *_: pytest.fail("it was written"))
    first, result = found(settings(tmp_path), 60.0, held={"Wisuda": session(SessionState.DEGRADED)})
    assert (first.name, first.code, first.verdict) == (NAME, "recording", CheckVerdict.UNCHECKED)
    assert '"Wisuda"' in first.reason.english
    assert (result.code, result.measured["write_bps"]) == ("ok", None)
