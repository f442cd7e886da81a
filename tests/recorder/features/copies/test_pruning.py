"""Media are removed here only after enough whole copies were read, and come back; a kill at any step loses nothing."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError, CopyError
from config.settings.serving import CopyTarget
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.package_copy import list_local, list_whole_remote
from recorder.features.copies.pruning import prune
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.copies.target import CopyReason, write_mark
from recorder.package import bag
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives, copies
from tests.support.copies import EXTRA, Place
from tests.support.sshd import Sshd

pytestmark = pytest.mark.server
PROJECT = Path(__file__).parents[4]


@pytest.fixture
def nas(tmp_path: Path) -> Place:
    return copies.folder_place(tmp_path / "nas")


def copied_twice(package: Package, one: Place, folder: Path) -> Place:
    """Copy a package to a place and to another, which is returned."""
    other = copies.folder_place(folder)
    for place in (one, other):
        copies.copy(package, place)
    return other


def pruned(package: Package, *places: Place, disk: DurableFiles | None = None) -> int:
    opened = [(place.open(), place.settings) for place in places]
    for number, (target, _) in enumerate(opened):
        if isinstance(target, FolderTarget):
            target.disk = number  # tests have one disk
    try:
        return prune(package.folder, copies.place_of(package), opened, disk or DurableFiles(), lambda: None)
    finally:
        for target, _ in opened:
            target.close()


def test_what_has_copies_is_listed_and_whole_without_its_media_and_they_come_back(
    archive: Archive, large: Package, place: Place
) -> None:
    copies.copy(large, place)
    before = {path: (large.folder / path).read_bytes() for path in list_local(large.folder).digests}
    assert pruned(large, place) > 5_000_000
    assert not list((large.folder / "data/media").iterdir())
    (found,) = archive.list()
    assert (found.id, found.title, found.state) == (large.id, large.title, PackageState.ELSEWHERE)
    assert found.bytes < 1_000_000
    assert archive.verify(found) == []
    assert archives.fetch_entries(large.folder)[EXTRA] == (
        f"{place.settings.url}/{copies.place_of(large)}/{EXTRA}",
        5_400_000,
    )
    holes = list_local(large.folder).problems
    with place.opened() as target:
        restorer = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED)
        restored = restorer.restore(copies.place_of(large), target, holes)
    assert set(restored.fetched) == {EXTRA, "data/media/program.mp4"}
    (found,) = archive.list()
    assert found.state is PackageState.SEALED
    assert archive.verify(found) == []
    assert {path: (large.folder / path).read_bytes() for path in before} == before
    archives.validate_bag(large.folder)


def test_nothing_is_removed_where_a_copy_is_damaged_outdated_or_none(
    archive: Archive, large: Package, nas: Place, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError, match="has no copy"):
        pruned(large)
    with copies.refused(CopyReason.NOT_THERE):
        pruned(large, nas)
    copies.copy(large, nas)
    other = copies.folder_place(tmp_path / "lain")
    copies.copy(large, other)
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
    assert not (large.folder / bag.FETCH_FILE).exists()


def ways_to_the_archive(archive: Archive, tmp_path: Path, sshd: Sshd) -> dict[str, Place]:
    """Return places that are the archive itself, reached otherwise."""
    (tmp_path / "tautan").symlink_to(archive.root)
    server = copies.sftp_place(sshd, "itself")
    url = f"{sshd.url.removesuffix(str(sshd.files))}{archive.root}"
    return {
        "its own path": copies.folder_place(archive.root),
        "a link": Place("folder", CopyTarget(url=f"file://{tmp_path / 'tautan'}"), server.login, archive.root),
        "a server": Place("sftp", msgspec.structs.replace(server.settings, url=url), server.login),
    }


@pytest.mark.parametrize("way", ["its own path", "a link", "a server"])
def test_the_archive_itself_is_no_copy(
    way: str, archive: Archive, large: Package, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = ways_to_the_archive(archive, tmp_path, request.getfixturevalue("sshd"))[way]
    with copies.refused(CopyReason.SAME_PLACE):
        pruned(large, place)
    assert verify_package(large.folder) == []
    assert not (large.folder / bag.FETCH_FILE).exists()
    assert not list(archive.root.glob(".*")), "nothing of the trial is left"


@pytest.mark.parametrize("kind", ["folder", "sftp"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_link_to_the_archive_within_a_place_is_no_copy(
    kind: str, depth: int, archive: Archive, large: Package, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A year, a month or the package itself leads back here."""
    place = (
        copies.sftp_place(request.getfixturevalue("sshd"), f"linked-{depth}")
        if kind == "sftp"
        else copies.folder_place(tmp_path / "nas")
    )
    assert place.folder
    names = copies.place_of(large).split("/")[:depth]
    link = place.folder.joinpath(*names)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(archive.root.joinpath(*names))
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(large, place)
    with pytest.raises(CopyError) as caught:
        pruned(large, place)
    assert caught.value.reason == (CopyReason.SAME_PLACE if kind == "sftp" and depth < 3 else CopyReason.CHANGED_THERE)
    assert verify_package(large.folder) == []


def test_one_place_by_two_names_is_one_copy(large: Package, nas: Place, tmp_path: Path) -> None:
    copies.copy(large, nas)
    (tmp_path / "lagi").symlink_to(tmp_path / "nas")
    with nas.opened() as target:
        write_mark(target)
    with copies.refused(CopyReason.SAME_PLACE):
        pruned(large, nas, Place("folder", CopyTarget(url=f"file://{tmp_path / 'lagi'}"), nas.login, nas.folder))


def test_two_folders_of_one_disk_are_one_copy_and_those_of_the_archives_disk_none(
    large: Package, nas: Place, tmp_path: Path
) -> None:
    other = copied_twice(large, nas, tmp_path / "lain")
    targets = [(place.open(), place.settings) for place in (nas, other)]
    with pytest.raises(CopyError, match="disk of the archive"):
        prune(large.folder, copies.place_of(large), targets, DurableFiles(), lambda: None)
    for target, _ in targets:
        assert isinstance(target, FolderTarget)
        target.disk = 7
    with copies.refused(CopyReason.SAME_PLACE):
        prune(large.folder, copies.place_of(large), targets, DurableFiles(), lambda: None)
    assert (large.folder / EXTRA).exists()


def test_a_copy_that_goes_while_another_is_read_keeps_everything_here(
    large: Package, nas: Place, tmp_path: Path
) -> None:
    other = copied_twice(large, nas, tmp_path / "lain")
    first, second = nas.open(), other.open()
    assert isinstance(first, FolderTarget)
    assert isinstance(second, FolderTarget)
    first.disk, second.disk = 1, 2
    read = second.read

    def emptying(path: str, bytes_: int) -> Iterator[bytes]:
        if path.endswith(bag.TAG_MANIFEST_FILE):
            (tmp_path / "nas" / copies.place_of(large) / EXTRA).unlink(missing_ok=True)
        yield from read(path, bytes_)

    second.read = emptying  # type: ignore[method-assign]
    both = [(first, nas.settings), (second, other.settings)]
    with copies.refused(CopyReason.CHANGED_THERE):
        prune(large.folder, copies.place_of(large), both, DurableFiles(), lambda: None)
    assert verify_package(large.folder) == []


def test_what_a_stopped_prune_has_left_is_pruned_and_all_of_it_comes_back(
    archive: Archive, large: Package, tmp_path: Path
) -> None:
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


def test_a_package_that_is_damaged_here_is_not_pruned(archive: Archive, large: Package, nas: Place) -> None:
    copies.copy(large, nas)
    copies.flip(large.folder / RECORDING_FILE, 20)
    with copies.refused(CopyReason.DAMAGED_HERE):
        pruned(large, nas)
    assert (large.folder / EXTRA).exists()


def test_what_is_left_of_a_pruned_package_is_looked_after(archive: Archive, large: Package, nas: Place) -> None:
    copies.copy(large, nas)
    pruned(large, nas)
    copies.flip(large.folder / RECORDING_FILE, 20)
    assert {problem.file for problem in verify_package(large.folder)} == {RECORDING_FILE}
    (large.folder / "data/poster.jpg").unlink()
    assert {problem.file for problem in verify_package(large.folder)} >= {RECORDING_FILE, "data/poster.jpg"}


KILLED = """
import pathlib, subprocess, sys
from config.settings.serving import CopyTarget
from recorder.disk.durable import DurableFiles
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.pruning import prune
from tests.support.killing import Killer, kill_before_each_step
folder, place, there = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])

def work(step):
    root = folder / str(step)
    subprocess.run(["cp", "-a", str(folder / "asal"), str(root)], check=True)
    killer = Killer(step)
    killer.armed = True
    target = FolderTarget("nas", there)
    target.disk = None
    prune(root / place, place, [(target, CopyTarget(url=f"file://{there}"))], DurableFiles(killer), lambda: None)

kill_before_each_step(work)
"""


def test_a_kill_before_every_step_leaves_a_package_that_says_where_its_media_are(
    tmp_path: Path, program: Path, nas: Place
) -> None:
    package = copies.large_package(archives.archive_at(tmp_path / "asal"), program, 100_000)
    copies.copy(package, nas)
    place = copies.place_of(package)
    words = [sys.executable, "-c", KILLED, str(tmp_path), place, str(nas.folder)]
    subprocess.run(words, cwd=PROJECT, check=True, timeout=60, env={**os.environ})
    roots = sorted((path for path in tmp_path.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    assert len(roots) > 5
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
        assert list_whole_remote(target, place)
