"""A name of the settings means one place: no copy counts that was made at another, and nothing goes beside a mount."""

from pathlib import Path

import msgspec
import pytest

from config.errors import CopyError
from config.settings.schema import ArchiveSettings as ArchiveSettings
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS
from recorder.archive.archive import Archive
from recorder.features.copies.copy_queue import CopyOutcome, CopyQueue
from recorder.features.copies.places import open_target
from recorder.features.copies.target import MARK_FILE, CopyReason
from recorder.package.fixity import TransferThrottle
from recorder.package.metadata import Package
from tests.support import copies
from tests.support.copies import Place
from tests.support.simulated import SimulatedClock

pytestmark = pytest.mark.server


class Room:
    """A PC with one archive and some places."""

    def __init__(self, archive: Archive, **places: Place) -> None:
        self.archive = archive
        self.places = places
        self.clock = SimulatedClock()
        self.new_place = False

    def queue(self) -> CopyQueue:
        targets = {name: place.settings for name, place in self.places.items()}
        return CopyQueue(
            [self.archive.root], targets, lambda name: self.places[name].open(name), self.clock,
            is_busy=lambda: False, new_place=self.new_place,
        )  # fmt: skip

    def work(self, name: str = "nas") -> list[CopyOutcome]:
        queue = self.queue()
        return list(queue.work(name, queue.waiting(name)))

    def counted(self) -> int:
        return sum(row.state == "copied" for row in self.queue().rows().values())

    def advance(self, hours: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(hours * 3600 * NANOSECONDS))


def reasons(outcomes: list[CopyOutcome]) -> set[str | None]:
    return {outcome.reason for outcome in outcomes}


def test_another_address_under_the_same_name_gets_everything_anew(
    archive: Archive, package: Package, place: Place, tmp_path: Path
) -> None:
    room = Room(archive, nas=copies.folder_place(tmp_path / "lama"))
    assert reasons(room.work()) == {None}
    room.places["nas"] = place
    assert room.counted() == 0, "what is at the old one is no copy at the new one"
    (outcome,) = room.work()
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)
    assert room.counted() == 1
    assert room.work() == []


def test_another_disk_at_the_same_address_gets_everything_anew(
    archive: Archive, package: Package, tmp_path: Path
) -> None:
    room = Room(archive, nas=copies.folder_place(tmp_path / "nas"))
    room.work()
    (tmp_path / "nas").rename(tmp_path / "disk-1")
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / MARK_FILE).write_text("6d3c3b1e-6f3b-4a39-9a9e-54a5f2b1c0aa")
    assert room.work() == [], "nothing has waited, and it was seen today"
    room.advance(25)
    assert room.work() == [], "it is looked at"
    assert room.counted() == 0
    (outcome,) = room.work()
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)


def test_an_emptied_place_is_told_of_within_a_day_and_gets_nothing_until_that_is_said_to_be_meant(
    archive: Archive, package: Package, place: Place
) -> None:
    room = Room(archive, nas=place)
    room.work()
    copies.empty(place)
    room.advance(25)
    assert room.work() == []
    trouble = room.queue().ledger.troubles().get("nas")
    assert trouble
    assert trouble.reason == CopyReason.EMPTIED
    room.advance(1)
    assert reasons(list(room.queue().work("nas", room.queue().every()))) == {CopyReason.EMPTIED}
    assert copies.everything_at(place) == []
    room.new_place = True
    queue = room.queue()
    (outcome,) = queue.work("nas", queue.waiting("nas", due_only=False))
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)
    room.new_place = False
    assert room.counted() == 1
    assert room.work() == []


def test_a_second_name_of_a_place_is_no_second_copy(archive: Archive, package: Package, place: Place) -> None:
    room = Room(archive, nas=place, lagi=place)
    assert reasons(room.work("nas")) == {None}
    assert reasons(room.work("lagi")) == {CopyReason.SAME_PLACE}
    assert room.counted() == 1


def test_the_archive_itself_is_no_place(archive: Archive, package: Package, tmp_path: Path) -> None:
    (tmp_path / "tautan").symlink_to(archive.root)
    before = sorted(archive.root.rglob("*"))
    for folder in (archive.root, tmp_path / "tautan"):
        room = Room(archive, nas=copies.folder_place(folder))
        assert reasons(list(room.queue().work("nas", room.queue().every()))) == {CopyReason.SAME_PLACE}
        assert room.counted() == 0
    assert sorted(archive.root.rglob("*")) == before


def settings_of(place: Place, archive: Path, *, must_be_mounted: bool) -> Settings:
    target = msgspec.structs.replace(place.settings, must_be_mounted=must_be_mounted)
    return Settings(copies={"nas": target}, archive=ArchiveSettings(path=archive))


def test_a_folder_on_a_disk_of_this_pc_is_a_share_that_is_not_mounted(tmp_path: Path) -> None:
    """Nothing is known of the share yet: it was never mounted while Liput looked."""
    place = copies.folder_place(tmp_path / "nas")
    with pytest.raises(CopyError) as caught:
        open_target(settings_of(place, tmp_path / "arsip", must_be_mounted=True), "nas")
    assert caught.value.reason == CopyReason.NOT_MOUNTED
    assert "must_be_mounted" in (caught.value.hint or "")
    open_target(settings_of(place, tmp_path / "arsip", must_be_mounted=False), "nas").close()
    with copies.small_disk(tmp_path / "nas"):
        open_target(settings_of(place, tmp_path / "arsip", must_be_mounted=True), "nas").close()


def test_a_share_that_goes_between_two_packages_gets_nothing_more(tmp_path: Path, package: Package) -> None:
    place = copies.folder_place(tmp_path / "nas")
    with copies.small_disk(tmp_path / "nas"):
        target = place.open()
    for act in (
        lambda: target.write("2026/11/apa/data/berkas", package.folder / "bagit.txt", TransferThrottle()),
        lambda: target.finish(".incoming/apa", "2026/11/apa"),
        lambda: target.walk(""),
    ):
        with pytest.raises(CopyError) as caught:
            act()
        assert caught.value.reason == CopyReason.NOT_MOUNTED
    assert not list((tmp_path / "nas").iterdir())


def test_nobody_is_told_to_make_a_folder_where_a_share_is_not_mounted(tmp_path: Path, package: Package) -> None:
    (tmp_path / "mnt").mkdir()
    with copies.small_disk(tmp_path / "mnt"):
        place = copies.folder_place(tmp_path / "mnt/liput")
        copies.copy(package, place)
    with pytest.raises(CopyError) as caught:
        copies.copy(package, place)
    assert caught.value.reason == CopyReason.NOT_MOUNTED
