"""What is damaged or pruned here is whole again from a copy that was read first, whenever a kill comes."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from config.errors import ArchiveError, CopyError, StorageError
from config.settings.serving import CopyTarget
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.package_copy import list_local, list_whole_remote
from recorder.features.copies.pruning import prune
from recorder.features.copies.restoring import DAMAGED, PackageRestorer, RestoredPackage
from recorder.features.copies.target import CopyReason
from recorder.package import bag
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives, copies
from tests.support.archives import snapshot
from tests.support.copies import EXTRA, Place
from tests.support.errors import because
from tests.support.killing import kill_at_every_step, repair, repair_or_prune
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server

DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the media": lambda folder: copies.flip(folder / EXTRA, 5_000_000),
    "a bit of the description": lambda folder: copies.flip(folder / RECORDING_FILE, 20),
    "a bit of the manifest": lambda folder: copies.flip(folder / bag.MANIFEST_FILE, 3),
    "the manifest of manifests gone": lambda folder: (folder / bag.TAG_MANIFEST_FILE).unlink(),
    "a link out": lambda folder: (folder / "data/keluar").symlink_to("/etc/passwd"),
}


def restore(archive: Archive, package: Package, place: Place, reserve_bytes: int = 0) -> RestoredPackage:
    restorer = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED, reserve_bytes=reserve_bytes)
    restorer.settle()
    with place.opened() as target:
        problems = verify_package(package.folder) if package.folder.exists() else []
        return restorer.restore(copies.place_of(package), target, problems)


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_is_damaged_is_whole_again_and_kept(damage: str, archive: Archive, large: Package, nas: Place) -> None:
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


def test_another_package_here_is_not_replaced_however_damaged(
    archive: Archive, large: Package, nas: Place, program: Path, tmp_path: Path
) -> None:
    copies.copy(large, nas)
    other = archives.seal_one(archives.archive_at(tmp_path / "lain"), program)
    shutil.rmtree(large.folder)
    shutil.copytree(other.folder, large.folder)
    copies.flip(large.folder / bag.MANIFEST_FILE, 3)
    before = snapshot(large.folder)
    with copies.refused(CopyReason.NAME_TAKEN):
        restore(archive, large, nas)
    assert snapshot(large.folder) == before


@pytest.mark.parametrize(
    ("damaged", "at", "of_copy", "title"),
    [(EXTRA, 5_000_000, False, "Judul yang benar"), (RECORDING_FILE, 20, True, "Rapat Besar")],
)
def test_a_correction_that_was_not_copied_yet_stays(
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


def test_the_reserve_stays_free(archive: Archive, large: Package, nas: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    copies.copy(large, nas)
    large.folder.rename(archive.root / "dipindahkan")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    with pytest.raises(StorageError, check=because("full")):
        restore(archive, large, nas, reserve_bytes=6_000_000)
    assert not list(large.folder.parent.iterdir())
    restore(archive, large, nas, reserve_bytes=4_000_000)
    assert verify_package(large.folder) == []


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a path out of the package": lambda copy: copies.rewrite(
        copy, bag.MANIFEST_FILE, lambda content: content + b"%064x  data/../../../../keluar.txt\n" % 0
    ),
    "an absolute path": lambda copy: copies.rewrite(
        copy, bag.TAG_MANIFEST_FILE, lambda content: content + b"%064x  /tmp/keluar.txt\n" % 0
    ),
    "a link out of the package": lambda copy: (copy / "data/keluar").symlink_to("/etc"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_copies_are_refused(
    hostile: str, archive: Archive, package: Package, nas: Place, tmp_path: Path
) -> None:
    copies.copy(package, nas)
    HOSTILE[hostile](tmp_path / "nas" / copies.place_of(package))
    package.folder.rename(tmp_path / "dipindahkan")
    before = sorted(tmp_path.rglob("*"))
    with copies.refused(CopyReason.DAMAGED_THERE):
        restore(archive, package, nas)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("how", ["exchange", "renames"])
def test_a_kill_before_every_step_of_a_repair_costs_only_time(
    tmp_path: Path, program: Path, nas: Place, how: str
) -> None:
    """The damaged package or the whole one is there at every moment, and in the end one whole and one damaged."""
    package = archives.seal_one(archives.archive_at(tmp_path / "asal"), program)
    copies.copy(package, nas)
    copies.flip(package.folder / "data/media/program.mp4", 500)
    before = snapshot(package.folder)
    roots = kill_at_every_step(repair_or_prune, tmp_path, copies.place_of(package), nas.folder, how)
    assert len(roots) > 15
    for root in roots:
        archive = archives.archive_at(root)
        if how == "exchange":
            (found,) = archive.list()
            assert [problem.file for problem in verify_package(found.folder)] in ([], ["data/media/program.mp4"])
        repair(root, copies.place_of(package), tmp_path / "nas", DurableFiles())
        (found,) = archive.list()
        assert verify_package(found.folder) == []
        (kept,) = (root / DAMAGED).iterdir()
        assert snapshot(kept) == before
        assert not list(found.folder.parent.glob(".*"))


# Media are removed here only after enough whole copies were read


@pytest.fixture
def other(tmp_path: Path) -> Place:
    return copies.folder_place(tmp_path / "lain")


def pruned(package: Package, *places: Place, disks: Sequence[int] = (0, 1)) -> int:
    """Prune it as if these places were on `disks`: tests have one."""
    with ExitStack() as stack:
        opened = [(stack.enter_context(place.opened()), place.settings) for place in places]
        for (target, _), disk in zip(opened, disks, strict=False):
            if isinstance(target, FolderTarget):
                target.disk = disk
        return prune(package.folder, copies.place_of(package), opened, DurableFiles(), lambda: None)


def test_pruned_media_are_listed_elsewhere_and_come_back(archive: Archive, large: Package, nas: Place) -> None:
    copies.copy(large, nas)
    before = {path: (large.folder / path).read_bytes() for path in list_local(large.folder).digests}
    assert pruned(large, nas) > 5_000_000
    assert not list((large.folder / "data/media").iterdir())
    (found,) = archive.list()
    assert (found.id, found.title, found.state) == (large.id, large.title, PackageState.ELSEWHERE)
    assert found.bytes < 1_000_000
    assert archive.verify(found) == []
    assert archives.fetch_entries(large.folder)[EXTRA] == (
        f"{nas.settings.url}/{copies.place_of(large)}/{EXTRA}",
        5_400_000,
    )
    with nas.opened() as target:
        restorer = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED)
        restored = restorer.restore(copies.place_of(large), target, list_local(large.folder).problems)
    assert set(restored.fetched) == {EXTRA, "data/media/program.mp4"}
    (found,) = archive.list()
    assert found.state is PackageState.SEALED
    assert archive.verify(found) == []
    assert {path: (large.folder / path).read_bytes() for path in before} == before
    archives.validate_bag(large.folder)


def test_without_a_whole_copy_nothing_is_removed(archive: Archive, large: Package, nas: Place, other: Place) -> None:
    with pytest.raises(ArchiveError, match="has no copy"):
        pruned(large)
    with copies.refused(CopyReason.NOT_THERE):
        pruned(large, nas)
    for place in (nas, other):
        copies.copy(large, place)
    assert other.folder
    copies.flip(other.folder / copies.place_of(large) / EXTRA, 5_000_000)
    with copies.refused(CopyReason.DAMAGED_THERE):
        pruned(large, nas, other)
    copies.retitle(large, "Judul yang benar")
    with copies.refused(CopyReason.CHANGED_THERE):
        pruned(large, nas)
    (found,) = archive.list()
    assert found.state is PackageState.SEALED
    assert archive.verify(found) == []
    copies.flip(large.folder / RECORDING_FILE, 20)
    with copies.refused(CopyReason.DAMAGED_HERE):
        pruned(large, nas)
    assert (large.folder / EXTRA).exists()
    assert not (large.folder / bag.FETCH_FILE).exists()


@pytest.mark.parametrize("way", ["a link", "a server"])
def test_the_archive_itself_is_no_copy(
    way: str, archive: Archive, large: Package, nas: Place, tmp_path: Path, sshd: Sshd
) -> None:
    (tmp_path / "tautan").symlink_to(archive.root)
    place = Place("folder", CopyTarget(url=f"file://{tmp_path / 'tautan'}"), nas.login, archive.root)
    if way == "a server":
        server = copies.sftp_place(sshd, "itself")
        url = f"{sshd.url.removesuffix(str(sshd.files))}{archive.root}"
        place = Place("sftp", msgspec.structs.replace(server.settings, url=url), server.login)
    with copies.refused(CopyReason.SAME_PLACE):
        pruned(large, place)
    assert verify_package(large.folder) == []
    assert not (large.folder / bag.FETCH_FILE).exists()
    assert not list(archive.root.glob(".*")), "nothing of the trial is left"


@pytest.mark.parametrize(
    ("place", "depth", "reason"),
    [
        ("folder", 1, CopyReason.CHANGED_THERE),
        ("folder", 3, CopyReason.CHANGED_THERE),
        ("sftp", 2, CopyReason.SAME_PLACE),
    ],
    indirect=["place"],
)
def test_a_link_here_is_no_copy(place: Place, depth: int, reason: CopyReason, archive: Archive, large: Package) -> None:
    """A year, a month or the package itself leads back here."""
    assert place.folder
    names = copies.place_of(large).split("/")[:depth]
    link = place.folder.joinpath(*names)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(archive.root.joinpath(*names))
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(large, place)
    with copies.refused(reason):
        pruned(large, place)
    assert verify_package(large.folder) == []


def test_two_folders_of_one_disk_are_one_copy(large: Package, nas: Place, other: Place) -> None:
    for place in (nas, other):
        copies.copy(large, place)
    with pytest.raises(CopyError, match="disk of the archive"):
        pruned(large, nas, other, disks=())
    with copies.refused(CopyReason.SAME_PLACE):
        pruned(large, nas, other, disks=[7, 7])
    assert (large.folder / EXTRA).exists()


def test_a_copy_that_goes_meanwhile_keeps_everything_here(
    large: Package, nas: Place, other: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (nas, other):
        copies.copy(large, place)
    assert nas.folder
    first, read = nas.folder / copies.place_of(large) / EXTRA, FolderTarget.read

    def emptying(target: FolderTarget, path: str, bytes_: int) -> Iterator[bytes]:
        if target.disk == 1 and path.endswith(bag.TAG_MANIFEST_FILE):  # the second is read
            first.unlink(missing_ok=True)
        yield from read(target, path, bytes_)

    monkeypatch.setattr(FolderTarget, "read", emptying)
    with copies.refused(CopyReason.CHANGED_THERE):
        pruned(large, nas, other)
    assert verify_package(large.folder) == []


def test_what_a_stopped_prune_has_left_is_pruned(archive: Archive, large: Package, tmp_path: Path) -> None:
    place = copies.folder_place(tmp_path / "arsip kampus")
    copies.copy(large, place)
    (large.folder / bag.FETCH_FILE).write_text(f"sftp://lama/{EXTRA} 5400000 {EXTRA}\n")
    (large.folder / EXTRA).unlink()  # as far as it came
    pruned(large, place)
    entries = archives.fetch_entries(large.folder)
    assert set(entries) == {EXTRA, "data/media/program.mp4"}
    assert all(url.startswith("file:///") and " " not in url for url, _ in entries.values())
    (found,) = archive.list()
    assert (found.state, archive.verify(found)) == (PackageState.ELSEWHERE, [])


def test_a_killed_prune_leaves_a_package_with_its_addresses(tmp_path: Path, program: Path, nas: Place) -> None:
    package = copies.large_package(archives.archive_at(tmp_path / "asal"), program, 100_000)
    copies.copy(package, nas)
    roots = kill_at_every_step(repair_or_prune, tmp_path, copies.place_of(package), nas.folder, "prune")
    assert len(roots) > 4
    states = []
    for root in roots:
        archive = archives.archive_at(root)
        (found,) = archive.list()
        states.append(found.state)
        assert archive.verify(found) == []
        pruned(found, nas)
        (found,) = archive.list()
        assert found.state is PackageState.ELSEWHERE
        assert archive.verify(found) == []
        assert not list((found.folder / "data/media").iterdir())
        assert not list(found.folder.parent.glob(".*"))
    assert states == sorted(states, reverse=True), "once a part of it is elsewhere, so it is"
    with nas.opened() as target:
        assert list_whole_remote(target, copies.place_of(package))
