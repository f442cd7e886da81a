"""A folder whose disk is not mounted is not taken for one on the disk."""

import re
from pathlib import Path

import pytest

from config.errors import StorageError
from recorder.disk.archive_folder import MountMemory
from tests.support.errors import because


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
