"""A place that other users may write to: what they plant there is not written into, and never becomes a copy."""

import os
from pathlib import Path

import pytest

from config.errors import CopyError
from recorder.disk.durable import temporary_name
from recorder.features.copies.target import MARK_FILE, STAGING, CopyReason, read_mark, write_mark
from recorder.package.fixity import walk
from recorder.package.metadata import Package
from tests.support import copies
from tests.support.copies import Place
from tests.support.leftovers import contents

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
ANOTHER = 54321
MEDIA = "data/media/program.mp4"
MEDIA_PART, TAG_PART = f"data/media/{temporary_name('program.mp4')}", temporary_name("bagit.txt")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = copies.folder_place(tmp_path / "nas")
    (tmp_path / "nas").chmod(0o777)
    return place


@pytest.fixture(params=["folder", "sftp"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place, as a folder of this PC or of a server."""
    if request.param == "folder":
        return copies.folder_place(tmp_path / "nas")
    return copies.sftp_place(request.getfixturevalue("sshd"), tmp_path.name)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a folder of files that nobody else may write."""
    victim = tmp_path / "victim"
    for name in (MEDIA, MEDIA_PART, "bagit.txt", TAG_PART, MARK_FILE):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_bytes(b"secret")
        (victim / name).chmod(0o600)
    return victim


def plant(path: Path, leads_to: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(leads_to)
    os.chown(path, ANOTHER, ANOTHER, follow_symlinks=False)


def folder_of(place: Place) -> Path:
    assert place.folder
    return place.folder


def planted_at(place: Place, package: Package) -> Path:
    """Return where an attempt that was stopped may have left something: a name of which all but a part is known."""
    return folder_of(place) / STAGING / f".{package.id}.{package.uuid}.copy"


def test_a_link_in_the_place_of_what_is_being_copied(any_place: Place, package: Package, victim: Path) -> None:
    plant(planted_at(any_place, package), victim)
    before = contents(victim)
    copied, _ = copies.copy(package, any_place)
    assert contents(victim) == before
    there = folder_of(any_place) / copies.place_of(package)
    assert (there.is_dir(), there.is_symlink(), copied.size > 0) == (True, False, True)
    assert contents(there) == contents(package.folder)


@pytest.mark.parametrize("inner", [TAG_PART, MEDIA_PART, "data", MEDIA])
def test_a_folder_of_another_user_in_its_place(any_place: Place, package: Package, victim: Path, inner: str) -> None:
    folder = planted_at(any_place, package)
    plant(folder / inner, victim / inner)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, ANOTHER, ANOTHER, follow_symlinks=False)
    before = contents(victim)
    copies.copy(package, any_place)
    assert contents(victim) == before
    there = folder_of(any_place) / copies.place_of(package)
    assert (there.stat().st_uid, contents(there)) == (0, contents(package.folder))


@pytest.mark.parametrize("inner", [TAG_PART, MEDIA_PART, "data"])
def test_a_link_within_what_is_gone_on_with_is_refused(
    any_place: Place, package: Package, victim: Path, inner: str
) -> None:
    """In a folder of this user's own, as one may be that an older Liput has made for all to write."""
    plant(planted_at(any_place, package) / inner, victim / inner)
    before = contents(victim)
    with pytest.raises(CopyError) as caught:
        copies.copy(package, any_place)
    assert (caught.value.reason, contents(victim)) == (CopyReason.CHANGED_THERE, before)


def test_a_second_name_of_a_file_is_not_gone_on_with(place: Place, package: Package, victim: Path) -> None:
    part = planted_at(place, package) / TAG_PART
    part.parent.mkdir(parents=True)
    part.hardlink_to(victim / "bagit.txt")
    copies.copy(package, place)
    assert (victim / "bagit.txt").read_bytes() == b"secret"


@pytest.mark.parametrize("name", [".incoming", "2026", "2026/11"])
def test_a_link_in_the_place_of_a_folder_is_refused(
    tmp_path: Path, place: Place, package: Package, victim: Path, name: str
) -> None:
    plant(tmp_path / "nas" / name, victim)
    before = walk(victim)
    with pytest.raises(CopyError):
        copies.copy(package, place)
    assert walk(victim) == before


def test_the_number_of_a_place_is_not_written_where_a_link_leads(any_place: Place, victim: Path) -> None:
    plant(folder_of(any_place) / temporary_name(MARK_FILE), victim / MARK_FILE)
    with any_place.opened() as target:
        mark = write_mark(target)
        assert read_mark(target) == mark
    assert (victim / MARK_FILE).read_bytes() == b"secret"


def test_what_is_gone_on_with_is_what_holds_something(any_place: Place, package: Package) -> None:
    """An attempt may have been stopped before it had sent anything."""
    begun = planted_at(any_place, package)
    for name in (f"{begun.stem}.0.copy", f"{begun.stem}.2.copy"):
        begun.with_name(name).mkdir(parents=True)
    (begun.with_name(f"{begun.stem}.1.copy") / "data/media").mkdir(parents=True)
    with any_place.opened() as target:
        work = target.begin(copies.place_of(package), package.uuid)
    assert work == f"{STAGING}/{begun.stem}.1.copy"
    copies.copy(package, any_place)
    assert [path.name for path in begun.parent.iterdir()] == [f"{begun.stem}.2.copy"]


def test_nothing_is_left_of_attempts(any_place: Place, package: Package) -> None:
    copies.copy(package, any_place)
    assert list((folder_of(any_place) / STAGING).iterdir()) == []
