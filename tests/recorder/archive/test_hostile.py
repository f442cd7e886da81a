"""A package that is damaged, or was made to do harm: it is said what is wrong with it, and nothing else is touched."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import LiputError, PackageDamaged
from recorder.archive.archive import Archive, packages
from recorder.archive.correction import edit_package
from recorder.archive.exporting import excerpt_files, package_files, write_zip
from recorder.archive.index import ArchiveIndex, search_archive
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from tests.support import archives
from tests.support.archives import STARTED
from tests.support.damage import BY_READING, CORPUS, HOSTILE, unreadable

DAMAGE = list(dict.fromkeys(damage for damage, _ in (*CORPUS, *BY_READING)))


def everything(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Return what is in a folder: mode, size and time of each file, and of each folder."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("damage", [*DAMAGE, *HOSTILE])
def test_whoever_looks_at_it_is_told_and_touches_nothing(
    archive: Archive, package: Package, program: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    other = archives.seal_one(archive, program, "Wisuda")
    damage(package.folder)
    before, out = everything(archive.root), tmp_path / "out"
    out.mkdir()

    problems = verify_package(package.folder, decode=True)
    assert problems or damage in HOSTILE
    assert {one.id for one in packages(archive.root)} >= {package.id, other.id}
    with ArchiveIndex(archive.root, tmp_path / "index") as index:
        assert [one.id for one in search_archive(index, ["wisuda"])] == [other.id]
        assert {one.id for one in search_archive(index, [])} >= {package.id, other.id}
    for make in (package_files, lambda folder: excerpt_files(folder, STARTED)[1]):
        if problems:
            with pytest.raises(PackageDamaged):
                write_zip(make(package.folder), package.id, out / "paket.zip")
            assert not list(out.iterdir())
        else:
            write_zip(make(package.folder), package.id, out / "paket.zip")
            (out / "paket.zip").unlink()
    assert everything(archive.root) == before
    assert {path.name for path in tmp_path.iterdir()} == {"arsip", "index", "out"}


@pytest.mark.parametrize("damage", HOSTILE)
def test_it_is_corrected_or_refused(
    archive: Archive, package: Package, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(package.folder)
    was_whole = not verify_package(package.folder)
    try:
        edit_package(package.folder, {"title": "Terbuka"}, by="Siti", reason="", now=STARTED)
    except LiputError:
        assert not was_whole
    else:
        assert verify_package(package.folder) == []
    assert {path.name for path in tmp_path.iterdir()} == {"arsip"}


@pytest.mark.parametrize("below", ["", "data/media"])
def test_a_folder_that_cannot_be_read_costs_one_package_not_the_archive(
    archive: Archive, package: Package, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    other = archives.seal_one(archive, program, "Wisuda")
    unreadable(package.folder / below, monkeypatch)
    states = {one.id: one.state for one in archive.list()}
    assert states == {package.id: PackageState.DAMAGED, other.id: PackageState.SEALED}
    assert archive.find(other.uuid).id == other.id
    with ArchiveIndex(archive.root, tmp_path / "index") as index:
        assert {one.id: one.state for one in search_archive(index, [])} == states
    assert [problem.kind for problem in verify_package(package.folder)] == ["unreadable"]
