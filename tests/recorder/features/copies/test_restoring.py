"""A damaged package is whole again from a copy that was read first; the damaged one is kept, whenever a kill comes."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from config.errors import StorageError
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.copies import places
from recorder.features.copies.restoring import DAMAGED, PackageRestorer, RestoredPackage
from recorder.features.copies.target import CopyReason
from recorder.package import bag
from recorder.package.metadata import Package
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE, REQUEST_FILE
from tests.support import archives, copies
from tests.support.copies import EXTRA, Place
from tests.support.errors import because
from tests.support.killed_restorer import NO_EXCHANGE, repair
from tests.support.killing import kill_at_every_step

pytestmark = pytest.mark.server
PROJECT = Path(__file__).parents[4]

DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the media": lambda folder: copies.flip(folder / EXTRA, 5_000_000),
    "the media cut off": lambda folder: os.truncate(folder / EXTRA, 1000),
    "the media gone": lambda folder: (folder / EXTRA).unlink(),
    "an empty file": lambda folder: os.truncate(folder / "data/poster.jpg", 0),
    "a bit of the description": lambda folder: copies.flip(folder / RECORDING_FILE, 20),
    "a bit of the manifest": lambda folder: copies.flip(folder / bag.MANIFEST_FILE, 3),
    "a bit of the manifest of manifests": lambda folder: copies.flip(folder / bag.TAG_MANIFEST_FILE, 3),
    "the manifest of manifests gone": lambda folder: (folder / bag.TAG_MANIFEST_FILE).unlink(),
    "a file too many": lambda folder: (folder / "data/baru.txt").write_text("?"),
    "a link out": lambda folder: (folder / "data/keluar").symlink_to("/etc/passwd"),
}


def restore(archive: Archive, package: Package, place: Place, disk: DurableFiles | None = None) -> RestoredPackage:
    restorer = PackageRestorer(archive.root, disk or DurableFiles(), lambda: archives.STARTED)
    restorer.settle()
    with place.opened() as target:
        return restorer.restore(copies.place_of(package), target, verify_package(package.folder))


@pytest.fixture
def nas(tmp_path: Path) -> Place:
    return copies.folder_place(tmp_path / "nas")


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_damaged_is_whole_again_and_the_damaged_one_is_kept(
    damage: str, archive: Archive, large: Package, nas: Place
) -> None:
    copies.copy(large, nas)
    DAMAGES[damage](large.folder)
    before = snapshot(large.folder)
    inode = (large.folder / "data/media/program.mp4").stat().st_ino
    restored = restore(archive, large, nas)
    assert verify_package(large.folder) == []
    archives.validate_bag(large.folder)
    assert restored.kept
    assert restored.kept.parent == archive.root / DAMAGED
    assert snapshot(restored.kept) == before
    assert (large.folder / "data/media/program.mp4").stat().st_ino == inode, "what was right is the same file"
    assert [package.id for package in archive.list()] == [large.id]
    if EXTRA not in restored.fetched:
        assert sum((large.folder / path).stat().st_size for path in restored.fetched) < 100_000


def snapshot(folder: Path) -> dict[str, bytes | str]:
    """Return everything in a folder: contents of files, where links point."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in found
    }


def test_a_copy_that_is_damaged_itself_is_not_used(archive: Archive, large: Package, nas: Place) -> None:
    copies.copy(large, nas)
    assert nas.folder
    copies.flip(nas.folder / copies.place_of(large) / "data/poster.jpg")
    copies.flip(large.folder / EXTRA, 5_000_000)
    before = snapshot(large.folder)
    with copies.refused(CopyReason.DAMAGED_THERE):
        restore(archive, large, nas)
    assert snapshot(large.folder) == before
    assert not (archive.root / DAMAGED).exists()


@pytest.mark.parametrize(
    ("damaged", "at", "of_copy", "title"),
    [(EXTRA, 5_000_000, False, "Judul yang benar"), (RECORDING_FILE, 20, True, "Rapat Besar")],
)
def test_a_correction_that_was_not_copied_yet_stays_unless_the_description_is_damaged(
    archive: Archive, large: Package, nas: Place, damaged: str, at: int, of_copy: bool, title: str
) -> None:
    copies.copy(large, nas)
    copies.retitle(large, "Judul yang benar")
    copies.flip(large.folder / damaged, at)
    restored = restore(archive, large, nas)
    assert (damaged in restored.fetched, restored.of_copy) == (True, of_copy)
    assert of_copy or restored.fetched == (EXTRA,)
    assert archive.list()[0].title == title
    assert restored.kept


def test_what_the_next_session_needs_is_not_filled(
    archive: Archive, large: Package, nas: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies.copy(large, nas)
    large.folder.rename(archive.root / "dipindahkan")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    for reserve, fits in ((6_000_000, False), (4_000_000, True)):
        restorer = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED, reserve_bytes=reserve)
        with nas.opened() as target:
            if not fits:
                with pytest.raises(StorageError, check=because("full")):
                    restorer.restore(copies.place_of(large), target, [])
                assert not list(large.folder.parent.iterdir())
            else:
                restorer.restore(copies.place_of(large), target, [])
    assert verify_package(large.folder) == []


def test_letters_are_for_nobody_else_there_and_when_they_come_back(
    archive: Archive, program: Path, place: Place
) -> None:
    with archives.recorded(archive, program) as work:
        (work.path / "data/surat").mkdir()
        (work.path / "data/surat/surat-1.pdf").write_bytes(b"dari dan tentang orang")
        (work.path / "data/surat/surat-1.pdf").chmod(0o600)
        (work.path / REQUEST_FILE).write_text("{}")
        (work.path / REQUEST_FILE).chmod(0o600)
        package = archive.seal(work, archives.FACTS)
    copies.copy(package, place)
    private = [path for path, mode in modes(package.folder).items() if mode == 0o600]
    assert {"data/surat/surat-1.pdf", REQUEST_FILE} <= set(private)
    if place.folder:
        there = modes(place.folder / copies.place_of(package))
        assert {there[path] for path in private} == {0o600}
    package.folder.rename(archive.root / "dipindahkan")
    with place.opened() as target:
        where = places.find_place(target, package.id)
        restored = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED).restore(where, target, [])
    assert restored.kept is None
    assert archive.verify(archive.find(package.id)) == []
    back = modes(package.folder)
    assert {back[path] for path in private} == {0o600}
    assert back["data/media/program.mp4"] & 0o400


def modes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in files}


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a path out of the package": lambda copy: copies.rewrite(
        copy, bag.MANIFEST_FILE, lambda content: content + b"%064x  data/../../../../keluar.txt\n" % 0
    ),
    "an absolute path": lambda copy: copies.rewrite(
        copy, bag.TAG_MANIFEST_FILE, lambda content: content + b"%064x  /tmp/keluar.txt\n" % 0
    ),
    "a link out of the package": lambda copy: (copy / "data/keluar").symlink_to("/etc"),
    "a file instead of which there is a link": lambda copy: link_instead(copy / "data/poster.jpg"),
}


def link_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_copy_that_reaches_out_is_not_taken(
    hostile: str, archive: Archive, package: Package, nas: Place, tmp_path: Path
) -> None:
    copies.copy(package, nas)
    HOSTILE[hostile](tmp_path / "nas" / copies.place_of(package))
    package.folder.rename(tmp_path / "dipindahkan")
    before = sorted(tmp_path.rglob("*"))
    with nas.opened() as target, copies.refused(CopyReason.DAMAGED_THERE):
        PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED).restore(
            copies.place_of(package), target, []
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_hidden_folders_and_names_that_change_a_terminal_are_no_packages(
    package: Package, nas: Place, tmp_path: Path
) -> None:
    copies.copy(package, nas)
    for name in ("\x1b[31mmerah", "merah\n", ".tersembunyi"):
        (tmp_path / "nas/2026/11" / name / "data").mkdir(parents=True)
        (tmp_path / "nas/2026/11" / name / bag.TAG_MANIFEST_FILE).touch()
    with nas.opened() as target:
        assert [each.id for each in places.list_packages(target)] == [package.id]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_kill_before_every_step_of_a_repair_costs_only_time(tmp_path: Path, program: Path, exchanges: bool) -> None:
    """The damaged package or the whole one is there at every moment, and in the end one whole and one damaged."""
    package = archives.seal_one(archives.archive_at(tmp_path / "asal"), program)
    nas = copies.folder_place(tmp_path / "nas")
    copies.copy(package, nas)
    copies.flip(package.folder / "data/media/program.mp4", 500)
    before = snapshot(package.folder)
    variables = {} if exchanges else {NO_EXCHANGE: "1"}
    roots = kill_at_every_step("killed_restorer", tmp_path, copies.place_of(package), nas.folder, **variables)
    assert len(roots) > 15
    for root in roots:
        archive = archives.archive_at(root)
        if exchanges:
            (found,) = archive.list()
            assert [problem.file for problem in verify_package(found.folder)] in ([], ["data/media/program.mp4"])
        repair(root, copies.place_of(package), tmp_path / "nas", 10_000)
        (found,) = archive.list()
        assert verify_package(found.folder) == []
        (kept,) = (root / DAMAGED).iterdir()
        assert snapshot(kept) == before
        assert not list(found.folder.parent.glob(".*"))
