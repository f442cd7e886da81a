"""Listing an archive, and finding what an id means."""

import os
from pathlib import Path

import pytest

from config.errors import PackageNotFound, StorageError
from recorder.archive.archive import Archive, read_package
from recorder.package.metadata import Package, PackageState
from tests.support import archives
from tests.support.errors import because


def test_an_archive_that_is_not_there_is_empty(archive: Archive) -> None:
    assert list(archive.list()) == []
    assert not archive.root.exists()


def test_a_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, check=because("unwritable")):
        archives.archive_at(tmp_path / "file").list()


def test_sealed_unfinished_and_damaged_are_told_apart(archive: Archive, program: Path, package: Package) -> None:
    broken = archives.seal_one(archive, program, "Rapat rusak")
    (broken.folder / "metadata" / "recording.json").write_text("{}")
    with archives.recorded(archive, program, "Rapat yang berjalan") as work:
        listed = {listed.id: listed for listed in archive.list()}
        assert {name: entry.state for name, entry in listed.items()} == {
            package.id: PackageState.SEALED,
            broken.id: PackageState.DAMAGED,
            work.name: PackageState.UNFINISHED,
        }
    assert listed[package.id] == package
    assert listed[package.id].bytes == sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file())
    assert (listed[work.name].title, listed[work.name].uuid) == ("Rapat yang berjalan", work.begun.uuid)
    assert (listed[broken.id].title, listed[broken.id].uuid) == (broken.id, broken.uuid)


def test_the_length_of_an_unfinished_recording_runs_to_its_last_write(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        last = archives.STARTED.timestamp() + 90.5
        os.utime(work.program, (last, last))
        assert archive.list()[0].duration_s == 90.5


def test_what_is_not_ours_is_left_out(archive: Archive, package: Package, tmp_path: Path) -> None:
    (archive.root / "lost+found").mkdir()
    (archive.root / "2026" / "notes.txt").touch()
    (archive.root / "2026" / "11" / ".Trash").mkdir()
    (archive.root / "2026" / "11" / "link").symlink_to(tmp_path)
    (archive.root / "2025").symlink_to(archive.root / "2026")
    assert [listed.id for listed in archive.list()] == [package.id]


def test_a_package_answers_to_name_uuid_path_and_their_beginnings(archive: Archive, package: Package) -> None:
    keys = (package.id, package.id[:20], package.uuid, package.uuid[:8], package.id[-8:], package.uuid.upper())
    for key in (*keys, package.path, f"{package.path}/"):
        assert archive.find(key) == package, key


def test_only_what_may_be_meant_is_read(
    archive: Archive, program: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = archives.seal_one(archive, program, "Wisuda")
    other = archives.seal_one(archive, program, "Seminar")
    by_hand = renamed.folder.rename(renamed.folder.with_name("wisuda dari ponsel"))
    looked: list[str] = []
    real = read_package

    def read(folder: Path) -> Package:
        looked.append(folder.name)
        return real(folder)

    monkeypatch.setattr("recorder.archive.archive.read_package", read)
    for key in (package.id, package.id[:22], package.uuid, package.uuid[:6], str(package.folder)):
        looked.clear()
        assert archive.find(key).id == package.id
        assert other.id not in looked, key
    assert archive.find(renamed.uuid).id == by_hand.name
    swapped = other.folder.rename(other.folder.with_name(f"{other.id[:-8]}00000000"))
    assert archive.find(other.uuid).id == swapped.name, "what is called like another is found all the same"


def test_a_beginning_that_means_several_names_them(archive: Archive, program: Path, package: Package) -> None:
    other = archives.seal_one(archive, program)
    with pytest.raises(PackageNotFound, match="means 2 packages") as caught:
        archive.find("2026-11-24")
    assert package.id in caught.value.message
    assert other.id in caught.value.message


@pytest.mark.parametrize("key", ["2026-11-24_0900_rapat-sena_", "rapat senat", "RAPAT-SENAT", "../2026", "/etc"])
def test_a_package_that_is_not_there_is_not_found(archive: Archive, package: Package, key: str) -> None:
    with pytest.raises(PackageNotFound) as caught:
        archive.find(key)
    assert caught.value.hint
    if "rapat" in key.lower():
        assert package.id in caught.value.hint


@pytest.mark.parametrize("key", ["", "\x1b[31m", "\udcff"])
def test_odd_ids_find_nothing_and_print_nothing_odd(archive: Archive, package: Package, key: str) -> None:
    with pytest.raises(PackageNotFound) as caught:
        archive.find(key)
    assert "\x1b" not in caught.value.message
    assert caught.value.message.encode()
    assert package.folder.is_dir()
