"""A copy is whole or does not count, at every kind of place: a folder, OpenSSH's SFTP, SeaweedFS's S3."""

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from config.errors import CopyError
from recorder.archive.archive import Archive
from recorder.features.copies import package_copy, places
from recorder.features.copies.target import CopyReason
from recorder.package import bag
from recorder.package.fixity import TransferThrottle
from recorder.package.metadata import Package, PackageState, ProblemKind
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives, copies
from tests.support.copies import EXTRA, Place

pytestmark = pytest.mark.server
BEYOND_LARGE = 2 * 5_400_000 + 1
"""Bytes sent and read when the large file is done."""


def problems(place: Place, package: Package) -> list[str]:
    with place.opened() as target:
        return [problem.file for problem in package_copy.verify_remote(target, copies.place_of(package))]


def test_a_copy_is_the_package_byte_for_byte_and_a_bag_of_its_own(
    place: Place, package: Package, tmp_path: Path
) -> None:
    copied, sent = copies.copy(package, place)
    assert (copied.size, sent) == (package.bytes, package.bytes)
    assert problems(place, package) == []
    there = copies.fetch(place, package, tmp_path / "back")
    archives.validate_bag(there)
    files = [path.relative_to(there) for path in there.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert all((there / path).read_bytes() == (package.folder / path).read_bytes() for path in files)


def test_a_name_that_is_no_utf_8_is_told_as_text_that_can_be_kept(package: Package, tmp_path: Path) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    copies.copy(package, place)
    (tmp_path / "tujuan" / copies.place_of(package) / os.fsdecode(b"data/\xff.txt")).touch()
    with place.opened() as target:
        found = package_copy.verify_remote(target, copies.place_of(package))
    assert [problem.kind for problem in found] == [ProblemKind.EXTRA]
    assert msgspec.json.decode(msgspec.json.encode(found))[0]["file"] == found[0].file


class Stop:
    """Ends a copy when so many bytes were sent and read."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, done: int, total: int) -> None:
        if done >= self.after:
            raise CopyError("enough", reason=CopyReason.SESSION)


@pytest.mark.parametrize("after", [3_000_000, BEYOND_LARGE])
def test_what_was_stopped_is_no_package_and_is_gone_on_with(place: Place, large: Package, after: int) -> None:
    with pytest.raises(CopyError, match="enough"):
        copies.copy(large, place, progress=Stop(after))
    with place.opened() as target:
        assert all(found.state is PackageState.UNFINISHED for found in places.list_packages(target))
    copied, sent = copies.copy(large, place)
    assert copied.version
    assert problems(place, large) == []
    if after == BEYOND_LARGE:  # it is not sent again
        assert sent < copied.size / 2


def test_a_large_file_goes_on_where_it_was_stopped(tmp_path: Path, large: Package) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    with pytest.raises(CopyError):
        copies.copy(large, place, progress=Stop(4_000_000))
    (part,) = (tmp_path / "tujuan").rglob(".*.part")
    inode, size = part.stat().st_ino, part.stat().st_size
    assert size > 1_000_000
    copies.copy(large, place)
    assert (tmp_path / "tujuan" / copies.place_of(large) / EXTRA).stat().st_ino == inode


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_what_an_earlier_attempt_left_damaged_is_sent_anew(
    kind: str, tmp_path: Path, large: Package, request: pytest.FixtureRequest
) -> None:
    place = (
        copies.folder_place(tmp_path / "tujuan")
        if kind == "folder"
        else copies.sftp_place(request.getfixturevalue("sshd"), "damaged-part")
    )
    assert place.folder
    with pytest.raises(CopyError):
        copies.copy(large, place, progress=Stop(4_000_000))
    (part,) = place.folder.rglob(".*.part")
    copies.flip(part, 1000)
    copies.copy(large, place)
    assert problems(place, large) == []


def test_a_bit_that_flips_on_the_way_is_read_back_and_not_counted(
    tmp_path: Path, large: Package, request: pytest.FixtureRequest
) -> None:
    place = copies.sftp_place(request.getfixturevalue("sshd"), "flipping")
    assert place.folder
    folder = place.folder

    flipped: list[Path] = []

    def flip(done: int, total: int) -> None:
        if done > 4_000_000 and not flipped:
            flipped.extend(folder.rglob(f".{Path(EXTRA).name}.part"))
            copies.flip(flipped[0], 2_000_000)  # in what was sent already

    with copies.refused(CopyReason.DAMAGED_ON_THE_WAY):
        copies.copy(large, place, progress=flip)
    with place.opened() as target:
        assert places.list_packages(target) == []
    copies.copy(large, place)
    assert problems(place, large) == []


def test_damage_there_is_found_and_put_right_by_sending_only_that(place: Place, large: Package) -> None:
    first, _ = copies.copy(large, place)
    damage(place, large, EXTRA)
    assert problems(place, large) == [EXTRA]
    assert copies.copy(large, place, first.version)[1] == (large.folder / EXTRA).stat().st_size
    assert problems(place, large) == []


def test_a_file_that_its_disk_does_not_give_any_more_is_sent_anew(
    tmp_path: Path, large: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sector that cannot be read is no reason to give a place up: its file is wrong, and another takes its place."""
    place = copies.folder_place(tmp_path / "tujuan")
    first, _ = copies.copy(large, place)
    worn = (tmp_path / "tujuan" / copies.place_of(large) / EXTRA).stat().st_ino
    really = os.posix_fadvise

    def failing(descriptor: int, offset: int, length: int, advice: int) -> None:
        if offset > 2_000_000 and os.fstat(descriptor).st_ino == worn:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        really(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", failing)
    assert problems(place, large) == [EXTRA]
    assert copies.copy(large, place, first.version)[1] == (large.folder / EXTRA).stat().st_size
    assert problems(place, large) == []


def test_what_others_have_beside_packages_is_not_gone_into(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The top of an ext4 disk has lost+found, which only root may read."""
    place = copies.folder_place(tmp_path / "tujuan")
    copies.copy(package, place)
    (tmp_path / "tujuan/lost+found").mkdir()
    really = os.scandir

    def refusing(path: Path) -> Iterator[os.DirEntry[str]]:
        if "lost+found" in str(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with place.opened() as target:
        assert [found.id for found in places.list_packages(target)] == [package.id]


@pytest.mark.parametrize("path", [bag.TAG_MANIFEST_FILE, bag.INFO_FILE])
def test_a_damaged_manifest_there_is_put_right_by_whoever_put_it_there(
    place: Place, package: Package, path: str
) -> None:
    first, _ = copies.copy(package, place)
    for each in {bag.TAG_MANIFEST_FILE, path}:
        damage(place, package, each)
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(package, place)
    copies.copy(package, place, first.version)
    assert problems(place, package) == []


def test_what_is_gone_there_is_put_back_by_whoever_put_it_there(tmp_path: Path, package: Package) -> None:
    place = copies.folder_place(tmp_path / "tujuan")
    first, _ = copies.copy(package, place)
    for path in (bag.TAG_MANIFEST_FILE, bag.INFO_FILE, "data/poster.jpg"):
        (tmp_path / "tujuan" / copies.place_of(package) / path).unlink()
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(package, place)
    copies.copy(package, place, first.version)
    assert problems(place, package) == []


def test_files_of_any_name_are_copied(place: Place, archive: Archive, program: Path) -> None:
    """Letters come from people: blanks, brackets, percent signs, letters of other languages."""
    names = [
        f"{'panjang' * 35}.surat.pdf"[:255],
        "Surat #1 (100%) [ok] ~é+&?.pdf",
        "مرحبا.txt",
        "%25.txt",
        "a:b*c|d.txt",
        "'\".txt",
    ]
    with archives.recorded(archive, program) as work:
        (work.path / "data/surat").mkdir()
        for name in names:
            (work.path / "data/surat" / name).write_text(name)
        package = archive.seal(work, archives.FACTS)
    copies.copy(package, place)
    assert problems(place, package) == []
    assert copies.copy(package, place)[1] == 0


def test_a_file_that_this_pc_cannot_read_is_not_held_against_the_place(place: Place, tmp_path: Path) -> None:
    with place.opened() as target:
        with copies.refused(CopyReason.DAMAGED_HERE):
            target.write("2026/11/apa/data/media/program.mp4", tmp_path / "tidak-ada", TransferThrottle())
        assert target.walk("") == ({}, [])


def damage(place: Place, package: Package, path: str) -> None:
    """Flip a bit of a file where it is kept."""
    where = f"{copies.place_of(package)}/{path}"
    with place.opened() as target, tempfile.NamedTemporaryFile(delete_on_close=False) as file:
        file.writelines(target.read(where, target.walk(copies.place_of(package))[0][path]))
        file.close()
        copies.flip(Path(file.name))
        target.write(where, Path(file.name), TransferThrottle(), from_start=True)


def test_another_package_of_the_same_name_is_refused_and_stays(
    place: Place, large: Package, tmp_path: Path, program: Path
) -> None:
    """Names end in 8 digits of a UUID; where two PCs share those as well, the content decides, and the first stays."""
    theirs = archives.seal_one(archives.archive_at(tmp_path / "theirs"), program)
    mine = Path(large.path)
    theirs.folder.rename(theirs.folder.with_name(mine.name))
    theirs = archives.archive_at(tmp_path / "theirs").list()[0]
    copies.copy(theirs, place)
    with copies.refused(CopyReason.NAME_TAKEN):
        copies.copy(large, place)
    assert problems(place, theirs) == []


def test_a_name_that_another_pc_is_just_writing_under_is_refused(
    request: pytest.FixtureRequest, large: Package, tmp_path: Path, program: Path
) -> None:
    place = copies.s3_place(request.getfixturevalue("seaweed"), "both-at-once")
    theirs = archives.seal_one(archives.archive_at(tmp_path / "theirs"), program)
    theirs.folder.rename(theirs.folder.with_name(Path(large.path).name))
    theirs = archives.archive_at(tmp_path / "theirs").list()[0]
    with pytest.raises(CopyError):
        copies.copy(large, place, progress=Stop(4_000_000))
    with copies.refused(CopyReason.NAME_TAKEN):
        copies.copy(theirs, place)
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


def test_what_another_pc_has_corrected_there_is_left_alone(place: Place, package: Package) -> None:
    first, _ = copies.copy(package, place)
    before = (package.folder / RECORDING_FILE).read_bytes(), (package.folder / bag.TAG_MANIFEST_FILE).read_bytes()
    copies.retitle(package, "Dari PC lain")
    copies.copy(package, place, first.version)
    for path, content in zip((RECORDING_FILE, bag.TAG_MANIFEST_FILE), before, strict=True):
        (package.folder / path).write_bytes(content)
    with copies.refused(CopyReason.CHANGED_THERE):
        copies.copy(package, place, first.version)
    with place.opened() as target:
        (found,) = places.list_packages(target)
    assert found.title == "Dari PC lain"


def test_a_package_that_is_damaged_here_is_not_copied(place: Place, large: Package) -> None:
    copies.flip(large.folder / EXTRA, 5_000_000)
    with copies.refused(CopyReason.DAMAGED_HERE):
        copies.copy(large, place)
    (large.folder / EXTRA).unlink()
    with copies.refused(CopyReason.DAMAGED_HERE):
        copies.copy(large, place)
    with place.opened() as target:
        assert all(found.state is PackageState.UNFINISHED for found in places.list_packages(target))


def test_many_rooms_share_a_place_and_each_can_list_search_and_verify_all_of_it(
    place: Place, program: Path, tmp_path: Path
) -> None:
    rooms = [archives.archive_at(tmp_path / room) for room in ("aula", "senat", "rektorat")]
    made = [
        archives.seal_one(room, program, f"Rapat {word}")
        for word, room in zip(("Satu", "Dua", "Tiga"), rooms, strict=True)
    ]
    for package in made:
        copies.copy(package, place)
    with place.opened() as target:
        found = places.list_packages(target)
        assert {each.id: (each.title, each.uuid, each.bytes) for each in found} == {
            each.id: (each.title, each.uuid, each.bytes) for each in made
        }
        assert [each.title for each in places.search_packages(found, "RAPAT dua aula")] == ["Rapat Dua"]
        for package in made:
            where = places.find_place(target, package.id[-8:])
            assert where == copies.place_of(package)
            assert package_copy.verify_remote(target, where) == []
