"""A copy is whole or does not count, at every kind of place: a folder, OpenSSH's SFTP, SeaweedFS's S3."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import CopyError
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.copies import package_copy, places
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.copies.target import STAGING, CopyReason
from recorder.package import bag
from recorder.package.fixity import Progress, TransferThrottle
from recorder.package.metadata import Package, PackageState, ProblemKind
from recorder.package.work_folder import RECORDING_FILE, REQUEST_FILE
from tests.support import archives, copies
from tests.support.copies import EXTRA, Place
from tests.support.leftovers import contents

pytestmark = pytest.mark.server
BEYOND_LARGE = 2 * 5_400_000 + 1
"""Bytes sent and read when the large file is done."""


def problems(place: Place, package: Package) -> list[str]:
    with place.opened() as target:
        return [problem.file for problem in package_copy.verify_remote(target, copies.place_of(package))]


def private(folder: Path) -> set[str]:
    """Return the files that are for nobody else."""
    return {file for file in contents(folder) if stat.S_IMODE((folder / file).stat().st_mode) == 0o600}


def test_a_copy_is_the_package_and_comes_back(place: Place, archive: Archive, program: Path) -> None:
    letters = ("panjang" * 35 + ".surat.pdf", "Surat #1 (100%) [ok] ~é+&?.pdf", "مرحبا.txt", "a:b*c|d'\".txt")
    with archives.recorded(archive, program) as work:
        (work.path / "data/surat").mkdir()
        for path in (*(f"data/surat/{name}" for name in letters), REQUEST_FILE):
            (work.path / path).write_text("{}")
            (work.path / path).chmod(0o600)
        package = archive.seal(work, archives.FACTS)
    before = contents(package.folder), private(package.folder)
    copied, sent = copies.copy(package, place)
    assert (copied.size, sent) == (package.bytes, package.bytes)
    assert (problems(place, package), copies.copy(package, place)[1]) == ([], 0)
    if place.folder:
        there = place.folder / copies.place_of(package)
        assert (contents(there), private(there)) == before
        assert list((place.folder / STAGING).iterdir()) == [], "nothing is left of attempts"
    package.folder.rename(archive.root / "dipindahkan")
    with place.opened() as target:
        (found,) = places.list_packages(target)
        known = [(each.id, each.title, each.uuid, each.bytes) for each in (found, package)]
        assert known[0] == known[1]
        where = places.find_place(target, package.id[-8:])
        restored = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED).restore(where, target, [])
    assert restored.kept is None
    assert archive.verify(archive.find(package.id)) == []
    assert contents(package.folder) == before[0]
    assert private(package.folder) >= before[1]
    assert (package.folder / "data/media/program.mp4").stat().st_mode & 0o400


def test_rooms_share_a_place_and_list_search_and_verify_all_of_it(nas: Place, program: Path, tmp_path: Path) -> None:
    for title, room in (("Rapat Satu", "aula"), ("Rapat Dua", "senat")):
        copies.copy(archives.seal_one(archives.archive_at(tmp_path / room), program, title), nas)
    with nas.opened() as target:
        found = places.list_packages(target)
        assert {each.title for each in found} == {"Rapat Satu", "Rapat Dua"}
        assert [each.title for each in places.search_packages(found, "RAPAT dua aula")] == ["Rapat Dua"]
        for each in found:
            where = places.find_place(target, each.id[-8:])
            assert package_copy.verify_remote(target, where) == []
            archives.validate_bag(tmp_path / "nas" / where)


def test_other_folders_are_skipped(
    nas: Place, package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The top of an ext4 disk has lost+found, which only root may read."""
    copies.copy(package, nas)
    (tmp_path / "nas/lost+found").mkdir()
    for name in ("\x1b[31mmerah", "merah\n", ".tersembunyi"):
        (tmp_path / "nas/2026/11" / name / "data").mkdir(parents=True)
        (tmp_path / "nas/2026/11" / name / bag.TAG_MANIFEST_FILE).touch()
    really = os.scandir

    def refusing(path: Path) -> Iterator[os.DirEntry[str]]:
        if "lost+found" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with nas.opened() as target:
        assert [found.id for found in places.list_packages(target)] == [package.id]


def test_a_name_that_is_no_utf_8_is_told_as_text_that_can_be_kept(nas: Place, package: Package, tmp_path: Path) -> None:
    copies.copy(package, nas)
    (tmp_path / "nas" / copies.place_of(package) / os.fsdecode(b"data/\xff.txt")).touch()
    with nas.opened() as target:
        found = package_copy.verify_remote(target, copies.place_of(package))
    assert [problem.kind for problem in found] == [ProblemKind.EXTRA]
    assert msgspec.json.decode(msgspec.json.encode(found))[0]["file"] == found[0].file


def stop_after(bytes_: int) -> Progress:
    """Return what ends a copy when so many bytes were sent and read."""

    def stop(done: int, total: int) -> None:
        if done >= bytes_:
            raise CopyError("enough", reason=CopyReason.SESSION)

    return stop


@pytest.mark.parametrize(
    ("place", "after"), [("folder", BEYOND_LARGE), ("sftp", 3_000_000), ("s3", 3_000_000)], indirect=["place"]
)
def test_what_was_stopped_is_no_package_and_is_gone_on_with(place: Place, large: Package, after: int) -> None:
    with pytest.raises(CopyError, match="enough"):
        copies.copy(large, place, progress=stop_after(after))
    with place.opened() as target:
        assert all(found.state is PackageState.UNFINISHED for found in places.list_packages(target))
    copied, sent = copies.copy(large, place)
    assert copied.version
    assert problems(place, large) == []
    if after == BEYOND_LARGE:  # it is not sent again
        assert sent < copied.size / 2


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_large_file_goes_on_where_it_stopped(nas: Place, large: Package, tmp_path: Path, is_damaged: bool) -> None:
    with pytest.raises(CopyError):
        copies.copy(large, nas, progress=stop_after(4_000_000))
    (part,) = (tmp_path / "nas").rglob(".*.part")
    assert part.stat().st_size > 1_000_000
    inode = part.stat().st_ino
    if is_damaged:
        copies.flip(part, 1000)
    copies.copy(large, nas)
    assert problems(nas, large) == []
    assert ((tmp_path / "nas" / copies.place_of(large) / EXTRA).stat().st_ino == inode) != is_damaged


def test_a_bit_that_flips_on_the_way_is_read_back_and_not_counted(nas: Place, tmp_path: Path, large: Package) -> None:
    flipped: list[Path] = []

    def flip(done: int, total: int) -> None:
        if done > 4_000_000 and not flipped:
            flipped.extend((tmp_path / "nas").rglob(f".{Path(EXTRA).name}.part"))
            copies.flip(flipped[0], 2_000_000)  # in what was sent already

    with copies.refused(CopyReason.DAMAGED_ON_THE_WAY):
        copies.copy(large, nas, progress=flip)
    with nas.opened() as target:
        assert places.list_packages(target) == []
    copies.copy(large, nas)
    assert problems(nas, large) == []


@pytest.mark.parametrize(
    ("damaged", "gone"),
    [
        ([EXTRA], []),
        ([bag.TAG_MANIFEST_FILE, bag.INFO_FILE], []),
        ([], [bag.TAG_MANIFEST_FILE, bag.INFO_FILE, "data/poster.jpg"]),
    ],
    ids=["media", "manifests", "files gone"],
)
def test_damage_there_is_mended(
    nas: Place, large: Package, tmp_path: Path, damaged: list[str], gone: list[str]
) -> None:
    first, _ = copies.copy(large, nas)
    there = tmp_path / "nas" / copies.place_of(large)
    for path in damaged:
        copies.flip(there / path)
    for path in gone:
        (there / path).unlink()
    assert problems(nas, large)
    if damaged != [EXTRA]:
        with copies.refused(CopyReason.CHANGED_THERE):
            copies.copy(large, nas)
    _, sent = copies.copy(large, nas, first.version)
    assert sent == sum((large.folder / path).stat().st_size for path in (*damaged, *gone))
    assert problems(nas, large) == []


def test_a_worn_file_is_sent_anew(nas: Place, tmp_path: Path, large: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sector that cannot be read is no reason to give a place up: its file is wrong, and another takes its place."""
    first, _ = copies.copy(large, nas)
    worn = (tmp_path / "nas" / copies.place_of(large) / EXTRA).stat().st_ino
    really = os.posix_fadvise

    def failing(descriptor: int, offset: int, length: int, advice: int) -> None:
        if offset > 2_000_000 and os.fstat(descriptor).st_ino == worn:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", failing)
    assert problems(nas, large) == [EXTRA]
    assert copies.copy(large, nas, first.version)[1] == (large.folder / EXTRA).stat().st_size
    assert problems(nas, large) == []


def test_what_is_damaged_here_is_not_copied(nas: Place, large: Package, tmp_path: Path) -> None:
    copies.flip(large.folder / EXTRA, 5_000_000)
    with copies.refused(CopyReason.DAMAGED_HERE):
        copies.copy(large, nas)
    (large.folder / EXTRA).unlink()
    with copies.refused(CopyReason.DAMAGED_HERE):
        copies.copy(large, nas)
    with nas.opened() as target:
        assert all(found.state is PackageState.UNFINISHED for found in places.list_packages(target))
        with copies.refused(CopyReason.DAMAGED_HERE):
            target.write("2026/11/apa/data/media/program.mp4", tmp_path / "tidak-ada", TransferThrottle())


def of_another_pc(tmp_path: Path, program: Path, name: str) -> Package:
    """Return another package that is called `name`."""
    theirs = archives.seal_one(archives.archive_at(tmp_path / "theirs"), program)
    theirs.folder.rename(theirs.folder.with_name(name))
    return archives.archive_at(tmp_path / "theirs").list()[0]


def test_another_package_of_that_name_stays(place: Place, package: Package, tmp_path: Path, program: Path) -> None:
    """Names end in 8 digits of a UUID; where two PCs share those as well, the content decides, and the first stays."""
    theirs = of_another_pc(tmp_path, program, package.folder.name)
    copies.copy(theirs, place)
    with copies.refused(CopyReason.NAME_TAKEN):
        copies.copy(package, place)
    assert problems(place, theirs) == []


def test_a_copy_that_has_more_is_not_replaced(large: Package, tmp_path: Path) -> None:
    less = Path(shutil.copytree(large.folder, tmp_path / "kurang"))
    (less / EXTRA).unlink()
    copies.rewrite(
        less,
        bag.MANIFEST_FILE,
        lambda lines: b"".join(
            line for line in lines.splitlines(keepends=True) if not line.endswith(f"{EXTRA}\n".encode())
        ),
    )
    here, there = package_copy.list_local(less), package_copy.list_local(large.folder)
    assert not package_copy.may_replace(here, less, there)
    assert package_copy.may_replace(there, large.folder, here)


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_name_that_another_pc_claims_is_refused(place: Place, large: Package, tmp_path: Path, program: Path) -> None:
    with pytest.raises(CopyError):
        copies.copy(large, place, progress=stop_after(4_000_000))
    with copies.refused(CopyReason.NAME_TAKEN):
        copies.copy(of_another_pc(tmp_path, program, large.folder.name), place)
    copies.copy(large, place)
    assert problems(place, large) == []


def test_a_corrected_package_is_corrected_there_without_sending_its_media(place: Place, large: Package) -> None:
    first, _ = copies.copy(large, place)
    copies.retitle(large, "Rapat yang Lain")
    second, sent = copies.copy(large, place, first.version)
    assert second.version != first.version
    assert sent < 100_000
    assert problems(place, large) == []
    with place.opened() as target:
        (found,) = places.list_packages(target)
    assert found.title == "Rapat yang Lain"


def test_what_another_pc_has_corrected_there_is_left_alone(nas: Place, package: Package) -> None:
    first, _ = copies.copy(package, nas)
    before = (package.folder / RECORDING_FILE).read_bytes(), (package.folder / bag.TAG_MANIFEST_FILE).read_bytes()
    copies.retitle(package, "Dari PC lain")
    copies.copy(package, nas, first.version)
    for path, content in zip((RECORDING_FILE, bag.TAG_MANIFEST_FILE), before, strict=True):
        (package.folder / path).write_bytes(content)
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(package, nas, first.version)
    with nas.opened() as target:
        (found,) = places.list_packages(target)
    assert found.title == "Dari PC lain"
