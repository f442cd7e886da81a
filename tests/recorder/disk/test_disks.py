"""Whether a folder can take a session, what is mounted, and how long a disk will last."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import ErrorCause, StorageError
from config.settings.schema import StorageSettings
from devices.host.clock import NANOSECONDS
from recorder.disk import forecast, mounts
from recorder.disk.archive_folder import MountMemory, check_archive_folder
from recorder.disk.forecast import MOST_BYTES, PIECE_BYTES, DiskForecast, DiskLevel, measure_write_bps
from recorder.disk.mounts import Mount, all_mounts, fstab_mount_points
from tests.support import archives
from tests.support.errors import because
from tests.support.processes import limited

RATE = 600_000
MB = 1_000_000


@pytest.fixture
def read_only() -> Iterator[Path]:
    """Give a folder that nobody may write, and be nobody: root may write everywhere."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        if before == 0:
            os.seteuid(65534)  # nobody
        yield folder
        if before == 0:
            os.seteuid(before)
        folder.chmod(0o755)


def test_a_folder_that_is_there_or_can_be_made_is_accepted_and_nothing_is_made(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "new" / "arsip"):
        assert check_archive_folder(root, 1) > 1
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_without_write_permission_is_refused(read_only: Path) -> None:
    for root in (read_only, read_only / "arsip"):
        with pytest.raises(
            StorageError, match=f"{root} cannot be written: Permission denied", check=because("unwritable")
        ) as caught:
            check_archive_folder(root, 1)
        assert "--archive" in caught.value.hint
    with pytest.raises(StorageError, check=because("unwritable")):
        archives.archive_at(read_only / "arsip").begin("Rapat", archives.STARTED)
    assert list(read_only.rglob("*")) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("/proc/arsip", "cannot be written"), ("file/arsip", "file is not a folder"), ("link", "cannot be written")],
)
def test_what_can_be_no_folder_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match=words, check=because("unwritable")):
        check_archive_folder(tmp_path / name, 0)


@pytest.mark.parametrize(
    ("code", "said", "why"),
    [(errno.ESTALE, "is gone: Stale file handle", "vanished"), (errno.EROFS, "cannot be written", "read-only")],
)
def test_a_disk_that_fails_is_called_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: str, why: ErrorCause
) -> None:
    def fail(_folder: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(shutil, "disk_usage", fail)
    with pytest.raises(StorageError, match=said, check=because(why)):
        check_archive_folder(tmp_path, 1)


def test_a_full_disk_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"Only [\d.]+ \wB are free .* 1000000 TB must stay free", check=because("full")
    ):
        check_archive_folder(tmp_path / "arsip", 10**18)


def test_a_disk_that_takes_names_but_no_bytes_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(StorageError, match="cannot be written", check=because("unwritable"))
    with limited(resource.RLIMIT_FSIZE, 0), refused:
        check_archive_folder(tmp_path, 1)
    assert list(tmp_path.rglob("*")) == []


def test_what_is_mounted_is_not_looked_at_for_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share whose server is away would hang for a minute, and what is recorded has nothing to do with it."""
    asked: list[str] = []
    real = os.path.realpath

    def realpath(path: str | Path, **how: bool) -> str:
        asked.append(str(path))
        return real(path, **how)

    monkeypatch.setattr(os.path, "realpath", realpath)
    fstab = tmp_path / "fstab"
    fstab.write_text(f"nas:/rekaman /proc nfs defaults 0 0\nUUID=1 {tmp_path / 'away'} ext4 defaults 0 0\n")
    assert check_archive_folder(tmp_path / "arsip", 1, fstab) > 1
    assert "/proc" not in asked
    assert str(tmp_path / "away") in asked


def test_a_folder_on_a_disk_of_fstab_that_is_not_mounted_is_refused_also_through_links(tmp_path: Path) -> None:
    fstab, disk = tmp_path / "fstab", tmp_path / "disk one"
    (disk / "arsip").mkdir(parents=True)
    (tmp_path / "arsip").symlink_to(disk / "arsip")
    (tmp_path / "same").symlink_to(disk)
    for mount_point in (disk, tmp_path / "same"):
        written = str(mount_point).replace(" ", "\\040")
        fstab.write_text(f"# disks\nUUID=1 / ext4\n\nUUID=2 {written} ext4 nofail 0 2\n")
        for root in (disk, disk / "arsip" / "2026", tmp_path / "arsip", tmp_path / "arsip" / "new"):
            with pytest.raises(
                StorageError, match=f"on the disk of {mount_point}, and that is not", check=because("not-mounted")
            ):
                check_archive_folder(root, 1, fstab)
    check_archive_folder(tmp_path / "disk one too", 1, fstab)


def test_a_folder_is_not_made_where_disks_are_mounted(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to("/mnt/no-such-disk/arsip")
    for root in (Path("/mnt/no-such-disk/arsip"), tmp_path / "elsewhere"):
        with pytest.raises(StorageError, match="on a disk that is not mounted", check=because("not-mounted")):
            check_archive_folder(root, 1)


def test_mount_points_are_those_of_fstab(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text("/dev/sda1 / ext4 x 0 1\n/dev/sda2 none swap sw\n #/x /y\n\nshort\nLABEL=a\t/srv/a\\011b ext4\n")
    assert fstab_mount_points(fstab) == [Path("/srv/a\tb")]
    assert fstab_mount_points(tmp_path / "missing") == []


def test_what_is_mounted_is_what_findmnt_says() -> None:
    words = ["findmnt", "--json", "--list", "--nofsroot", "--output", "MAJ:MIN,TARGET,FSTYPE,SOURCE"]
    listed = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)["filesystems"]
    theirs = [(one["maj:min"], one["target"], one["fstype"]) for one in listed]
    ours = [(f"{os.major(one.device)}:{os.minor(one.device)}", str(one.point), one.kind) for one in all_mounts()]
    assert sorted(ours) == sorted(theirs)


def test_blanks_in_names_and_any_number_of_optional_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "36 35 98:0 / /srv/rekaman\\040rapat rw,noatime master:1 shared:2 - ext4 /dev/disk\\040satu rw\n"
        "37 35 0:44 /isi /mnt/arsip rw - nfs4 nas.kampus.id:/arsip rw,vers=4.2\n"
    )
    monkeypatch.setattr(mounts, "MOUNTS", table)
    assert all_mounts() == [
        Mount(os.makedev(98, 0), Path("/srv/rekaman rapat"), "ext4", "/dev/disk satu"),
        Mount(os.makedev(0, 44), Path("/mnt/arsip"), "nfs4", "nas.kampus.id:/arsip"),
    ]


@pytest.mark.parametrize("is_link", [False, True])
def test_a_folder_is_refused_while_the_disk_that_it_was_on_is_not_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    memory, folder = MountMemory(), tmp_path / "usb" / "arsip"
    folder.mkdir(parents=True)
    root = tmp_path / "link" if is_link else folder
    if is_link:
        root.symlink_to(folder)
    mounted = {"/", str(tmp_path / "usb")}
    monkeypatch.setattr("recorder.disk.archive_folder.os.path.ismount", lambda path: str(path) in mounted)
    memory.refuse_missing(root)
    memory.remember(root)
    memory.refuse_missing(root)
    mounted.remove(str(tmp_path / "usb"))
    for _ in range(2):
        with pytest.raises(StorageError, match="not mounted", check=because("not-mounted")):
            memory.refuse_missing(root)
        memory.remember(root)  # as it is done where nothing needs to be mounted
    mounted |= {str(folder), str(tmp_path / "usb")}  # its disk has another place now
    memory.remember(root)
    mounted.remove(str(folder))
    with pytest.raises(StorageError, match=re.escape(f"the disk of {folder} "), check=because("not-mounted")):
        memory.refuse_missing(root)
    if is_link:
        (tmp_path / "here").mkdir()
        root.unlink()
        root.symlink_to(tmp_path / "here")
        memory.refuse_missing(root)


def run(
    forecast: DiskForecast, free: int, seconds: int, *, rate: int = RATE, planned_s: float | None = None
) -> list[DiskLevel]:
    """Let a disk fill up for some seconds; return what was told."""
    told = []
    for second in range(seconds):
        planned = None if planned_s is None else planned_s - second
        told.append(forecast.update(second * NANOSECONDS, free - second * rate, second * RATE, float(second), planned))
    return [level for level in told if level is not None]


@pytest.mark.parametrize(
    ("keep_free", "expected", "seconds", "rate", "left_s"),
    [
        (200 * MB, 1.0, 30, RATE, 19_800 * MB / RATE - 30),
        (0, 1.0, 30, 10 * RATE, 20_000 * MB / RATE / 10),  # others write to the disk, too
        (0, 2_000_000.0, 3, 50 * MB, 9_850),  # the first seconds are no measure
    ],
)
def test_the_time_left_is_what_is_free_without_what_must_stay_by_the_rate(
    keep_free: int, expected: float, seconds: int, rate: int, left_s: float
) -> None:
    forecast = DiskForecast(StorageSettings(), keep_free, expected)
    run(forecast, 20_000 * MB, seconds, rate=rate)
    assert forecast.left_s == pytest.approx(left_s, rel=0.03)


def test_each_level_is_told_once_in_its_order() -> None:
    forecast = DiskForecast(StorageSettings(low_s=100, critical_s=20), 50 * MB, RATE)
    assert run(forecast, 150 * MB, 200) == [DiskLevel.LOW, DiskLevel.CRITICAL, DiskLevel.OVER]


def test_a_disk_is_enough_where_it_lasts_to_the_planned_end() -> None:
    assert run(DiskForecast(StorageSettings(), 0, RATE), 60 * MB, 50, planned_s=60) == []
    forecast = DiskForecast(StorageSettings(low_s=10, critical_s=5), 0, RATE)
    assert run(forecast, 2_000 * MB, 5, planned_s=7200) == [DiskLevel.LOW]


def test_an_alarm_is_over_once_there_is_a_fifth_more_time_than_where_it_begins() -> None:
    forecast = DiskForecast(StorageSettings(low_s=1000, critical_s=100), 0, RATE)
    told = [
        forecast.update(0, seconds * RATE + 4 * MB, 0, 0.0, None) for seconds in (90, 119, 121, 125, 99, 101, 90, 2000)
    ]
    assert told == [
        DiskLevel.CRITICAL, None, DiskLevel.LOW, None, DiskLevel.CRITICAL, None, None, DiskLevel.ENOUGH,
    ]  # fmt: skip


def test_how_fast_a_disk_is_is_measured_by_synced_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    assert measure_write_bps(tmp_path, 60.0, threading.Event())
    assert synced == list(range(PIECE_BYTES, MOST_BYTES + 1, PIECE_BYTES))
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_ends_in_time_and_fills_no_small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    stopped.set()
    assert measure_write_bps(tmp_path, 60.0, stopped) is None
    assert measure_write_bps(tmp_path, 0.0, threading.Event()) is None
    monkeypatch.setattr(forecast, "PART_OF_FREE", 10**9)
    assert measure_write_bps(tmp_path, 60.0, threading.Event()) is None
    with pytest.raises(StorageError, match="gone"):
        measure_write_bps(tmp_path / "gone", 1.0, threading.Event())
