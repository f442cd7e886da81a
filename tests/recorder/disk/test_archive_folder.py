"""Whether a folder can take a session; what is mounted, beside what findmnt reads, and lines that are harder."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import StorageError
from recorder.disk import mounts
from recorder.disk.archive_folder import MountMemory, check_archive_folder
from recorder.disk.mounts import Mount, all_mounts, fstab_mount_points
from tests.support import archives
from tests.support.errors import because

NOBODY = 65534


@pytest.fixture
def nobody() -> Iterator[None]:
    """Run as a user who may not write everywhere: root becomes nobody for as long as the test takes."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    yield
    if before == 0:
        os.seteuid(before)


@pytest.fixture
def read_only() -> Iterator[Path]:
    """Give a folder that everybody may look into, and nobody may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def entries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_folder_that_is_there_is_accepted_and_left_as_it_was(tmp_path: Path) -> None:
    assert check_archive_folder(tmp_path, 1) > 1
    assert entries(tmp_path) == []


def test_a_folder_that_can_be_made_is_accepted_and_not_made(tmp_path: Path) -> None:
    check_archive_folder(tmp_path / "new" / "arsip", 1)
    assert entries(tmp_path) == []


@pytest.mark.usefixtures("nobody")
def test_a_folder_without_write_permission_is_refused(read_only: Path) -> None:
    for root in (read_only, read_only / "arsip"):
        with pytest.raises(
            StorageError, match=f"{root} cannot be written: Permission denied", check=because("unwritable")
        ) as caught:
            check_archive_folder(root, 1)
        assert "--archive" in caught.value.hint


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
    with pytest.raises(StorageError, check=because("not-mounted")):
        check_archive_folder(tmp_path / "away" / "arsip", 1, fstab)


def test_a_share_that_has_gone_is_not_called_one_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_folder: Path) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(shutil, "disk_usage", gone)
    with pytest.raises(StorageError, match="is gone: Stale file handle", check=because("vanished")):
        check_archive_folder(tmp_path, 1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/proc/arsip", "cannot be written"),
        ("file", "file is not a folder"),
        ("file/arsip", "file is not a folder"),
        ("link", "cannot be written"),
    ],
)
def test_what_can_be_no_folder_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(StorageError, match=words, check=because("unwritable")):
        check_archive_folder(tmp_path / name, 0)


def test_a_full_disk_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"Only [\d.]+ \wB are free .* 1000000 TB must stay free", check=because("full")
    ):
        check_archive_folder(tmp_path / "arsip", 10**18)
    assert entries(tmp_path) == []


def test_a_disk_that_takes_names_but_no_bytes_is_refused(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(StorageError, match="cannot be written", check=because("unwritable")):
            check_archive_folder(tmp_path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries(tmp_path) == []


@pytest.mark.parametrize("below", ["", "arsip", "arsip/2026"])
def test_a_folder_on_a_disk_that_is_not_mounted_is_refused(tmp_path: Path, below: str) -> None:
    fstab = tmp_path / "fstab"
    disk = tmp_path / "disk one"
    fstab.write_text(f"# disks\nUUID=1 / ext4\n\nUUID=2 {str(disk).replace(' ', '\\040')} ext4 nofail 0 2\n")
    disk.mkdir()
    with pytest.raises(
        StorageError, match=f"on the disk of {disk}, and that is not mounted", check=because("not-mounted")
    ):
        check_archive_folder(disk / below, 1, fstab)
    check_archive_folder(tmp_path / "disk one too", 1, fstab)


def test_a_link_leads_to_the_disk_that_must_be_mounted(tmp_path: Path) -> None:
    fstab, disk = tmp_path / "fstab", tmp_path / "disk"
    (disk / "arsip").mkdir(parents=True)
    (tmp_path / "arsip").symlink_to(disk / "arsip")
    (tmp_path / "same").symlink_to(disk)
    for mount_point in (disk, tmp_path / "same"):
        fstab.write_text(f"UUID=2 {mount_point} ext4 nofail 0 2\n")
        for root in (tmp_path / "arsip", tmp_path / "arsip" / "new", disk / "arsip"):
            with pytest.raises(
                StorageError,
                match=f"on the disk of {mount_point}, and that is not mounted",
                check=because("not-mounted"),
            ):
                check_archive_folder(root, 1, fstab)
    (tmp_path / "elsewhere").symlink_to("/mnt/no-such-disk/arsip")
    with pytest.raises(StorageError, match="on a disk that is not mounted", check=because("not-mounted")):
        check_archive_folder(tmp_path / "elsewhere", 1)


def test_a_folder_is_not_made_where_disks_are_mounted() -> None:
    with pytest.raises(StorageError, match="on a disk that is not mounted", check=because("not-mounted")):
        check_archive_folder(Path("/mnt/no-such-disk/arsip"), 1)


def test_mount_points_are_those_of_fstab(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text("/dev/sda1 / ext4 x 0 1\n/dev/sda2 none swap sw\n #/x /y\n\nshort\nLABEL=a\t/srv/a\\011b ext4\n")
    assert fstab_mount_points(fstab) == [Path("/srv/a\tb")]
    assert fstab_mount_points(tmp_path / "missing") == []


@pytest.mark.usefixtures("nobody")
def test_a_refused_beginning_leaves_nothing(read_only: Path) -> None:
    with pytest.raises(StorageError, check=because("unwritable")):
        archives.archive_at(read_only / "arsip").begin("Rapat", archives.STARTED)
    assert entries(read_only) == []


def test_it_is_what_findmnt_says() -> None:
    words = ["findmnt", "--json", "--list", "--nofsroot", "--output", "MAJ:MIN,TARGET,FSTYPE,SOURCE"]
    listed = json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout)["filesystems"]
    theirs = [(one["maj:min"], one["target"], one["fstype"]) for one in listed]
    ours = [(f"{os.major(one.device)}:{os.minor(one.device)}", str(one.point), one.kind) for one in all_mounts()]
    assert sorted(ours) == sorted(theirs)
    assert ("/proc", "proc") in {(point, kind) for _, point, kind in ours}


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


# A folder whose disk is not mounted is not taken for one on the disk.


def test_a_folder_whose_disk_is_not_mounted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, root = MountMemory(), tmp_path / "usb" / "arsip"
    root.mkdir(parents=True)
    mounted = {"/", str(tmp_path / "usb")}
    monkeypatch.setattr("recorder.disk.archive_folder.os.path.ismount", lambda path: str(path) in mounted)
    memory.refuse_missing(root)
    memory.remember(root)
    memory.refuse_missing(root)
    mounted.remove(str(tmp_path / "usb"))
    with pytest.raises(StorageError, match="not mounted", check=because("not-mounted")):
        memory.refuse_missing(root)
    memory.remember(root)  # as it is done where nothing needs to be mounted
    with pytest.raises(StorageError, match="not mounted", check=because("not-mounted")):
        memory.refuse_missing(root)
    mounted.add(str(root))  # its disk has another place now
    mounted.add(str(tmp_path / "usb"))
    memory.remember(root)
    mounted.remove(str(root))
    with pytest.raises(StorageError, match=re.escape(f"the disk of {root} "), check=because("not-mounted")):
        memory.refuse_missing(root)


def test_a_link_is_remembered_with_the_disk_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, link, other = MountMemory(), tmp_path / "arsip", tmp_path / "here"
    (tmp_path / "usb" / "arsip").mkdir(parents=True)
    other.mkdir()
    link.symlink_to(tmp_path / "usb" / "arsip")
    mounted = {"/", str(tmp_path / "usb")}
    monkeypatch.setattr("recorder.disk.archive_folder.os.path.ismount", lambda path: str(path) in mounted)
    memory.remember(link)
    mounted.remove(str(tmp_path / "usb"))
    with pytest.raises(StorageError, match="not mounted", check=because("not-mounted")):
        memory.refuse_missing(link)
    link.unlink()
    link.symlink_to(other)
    memory.refuse_missing(link)
