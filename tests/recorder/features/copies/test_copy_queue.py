"""What waits, in which order, how long until it is tried again; and that no restart forgets any of it."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from config.errors import CopyError
from config.settings.schema import ArchiveSettings, Settings
from devices.health.log_line import LogKind
from devices.host.clock import NANOSECONDS
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.disk.package_locks import package_lock
from recorder.features.copies.copy_queue import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    CopyLedger,
    CopyOutcome,
    CopyQueue,
    jittered_pause_s,
    package_place,
)
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.package_copy import copy_package
from recorder.features.copies.places import open_target
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.copies.target import MARK_FILE, CopyReason, Target
from recorder.package.fixity import TransferThrottle
from recorder.package.metadata import Package, RecordingFacts
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE
from recorder.recovery import unfinished
from recorder.recovery.recover import Recovery, RecoveryState
from tests.support import archives, copies
from tests.support.copies import Place
from tests.support.simulated import SimulatedClock


@dataclass
class Bench:
    """A queue on simulated time, its places, and what was told of it."""

    archive: Archive
    places: dict[str, Place]
    others: Sequence[Archive] = ()
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    busy: bool = False
    fails: Callable[[Path], int] = lambda _: 0
    """The number of the error that writing a file into a folder meets, 0 for none."""
    new_place: bool = False

    @property
    def folder(self) -> Path:
        return self.archive.root.parent

    def queue(self) -> CopyQueue:
        """Return a new one, as after a restart."""
        targets = {name: place.settings for name, place in self.places.items()}
        return CopyQueue(
            [each.root for each in (self.archive, *self.others)], targets, self.open, self.clock, record=self.record,
            is_busy=lambda: self.busy, new_place=self.new_place,
        )  # fmt: skip

    def open(self, name: str) -> Target:
        place = self.places[name]
        if place.kind == "folder":
            return FolderTarget(name, place.settings.folder, DurableFiles(self._before))
        return place.open(name)

    def _before(self, _step: str, path: Path) -> None:
        if number := self.fails(path):
            raise OSError(number, os.strerror(number), str(path))

    def record(self, device: str, kind: LogKind, reason: str = "", **detail: object) -> None:
        self.told.append((str(kind), detail))

    def work(self, name: str = "nas") -> list[CopyOutcome]:
        queue = self.queue()
        return list(queue.work(name, queue.waiting(name)))

    def counted(self) -> int:
        return sum(row.state == "copied" for row in self.queue().rows().values())

    def advance(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))


@pytest.fixture
def bench(archive: Archive, program: Path, tmp_path: Path) -> Bench:
    for title in ("Satu", "Dua", "Tiga"):
        archives.seal_one(archive, program, title)
    return Bench(archive, {"nas": copies.folder_place(tmp_path / "nas")})


def names(outcomes: Sequence[CopyOutcome]) -> list[str]:
    return [outcome.package for outcome in outcomes]


def reasons(outcomes: Iterable[CopyOutcome]) -> set[str | None]:
    return {outcome.reason for outcome in outcomes}


def test_whatever_is_sealed_is_copied_once_the_newest_first(bench: Bench) -> None:
    done = bench.work()
    assert names(done) == sorted((package.id for package in bench.archive.list()), reverse=True)
    assert {outcome.state for outcome in done} == {"copied"}
    assert bench.work() == []
    assert [kind for kind, _ in bench.told] == ["copied"] * 3


def test_a_place_in_trouble_is_tried_less_and_less_often_for_days_and_told_of_once(bench: Bench) -> None:
    (bench.folder / "nas").rmdir()
    tries = 0
    for _ in range(2 * 24 * 6):
        tries += bool(bench.work())
        bench.advance(600)
    assert 11 < tries < 22, "every 6 h, after the first"
    assert [kind for kind, _ in bench.told] == ["copy-waits"]
    trouble = bench.queue().ledger.troubles().get("nas")
    assert trouble
    assert (trouble.reason, trouble.attempts) == (CopyReason.NO_FOLDER, tries)
    assert trouble.since
    assert (bench.clock.now() - trouble.since).days == 2
    (bench.folder / "nas").mkdir()
    bench.advance(LONGEST_PAUSE_S * 1.3)
    assert len(bench.work()) == 3
    assert bench.queue().ledger.troubles().get("nas") is None


def test_a_clock_that_was_wrong_holds_nothing_up_for_years(bench: Bench) -> None:
    """A PC whose battery is empty starts in another year until it hears the time."""
    damaged = bench.archive.list()[0]
    (bench.folder / "nas").rmdir()
    bench.advance(50 * 365 * 86_400)
    assert {outcome.reason for outcome in bench.work()} == {CopyReason.NO_FOLDER}
    bench.clock = SimulatedClock()
    (bench.folder / "nas").mkdir()
    copies.flip(damaged.folder / "data/media/program.mp4")
    assert len(bench.work()) == 3
    bench.advance(FIRST_PAUSE_S * 2)
    row = bench.queue().ledger.row(damaged.id, "nas")
    bench.queue().ledger.put(msgspec.structs.replace(row, next_s=row.next_s + 50 * 365 * 86_400))
    assert names(bench.work()) == [damaged.id]


def test_a_pause_doubles_up_to_six_hours_and_is_never_the_same_for_two_pcs() -> None:
    pauses = [jittered_pause_s(attempts) for attempts in range(1, 200)]
    assert 48 <= pauses[0] <= 72
    assert all(pause <= LONGEST_PAUSE_S * 1.2 for pause in pauses)
    assert len(set(pauses)) == len(pauses)
    assert min(pauses[20:]) >= LONGEST_PAUSE_S * 0.8


def test_what_is_wrong_with_one_package_keeps_no_other_from_its_copy(bench: Bench) -> None:
    damaged = sorted(bench.archive.list(), key=lambda package: package.id)[1]
    copies.flip(damaged.folder / "data/media/program.mp4")
    outcomes = {outcome.package: outcome for outcome in bench.work()}
    assert len(outcomes) == 3
    assert outcomes.pop(damaged.id).reason == CopyReason.DAMAGED_HERE
    assert {outcome.state for outcome in outcomes.values()} == {"copied"}
    assert bench.work() == [], "it waits"
    bench.advance(FIRST_PAUSE_S * 2)
    assert names(bench.work()) == [damaged.id]
    row = bench.queue().ledger.row(damaged.id, "nas")
    assert (row.attempts, row.reason) == (2, CopyReason.DAMAGED_HERE)
    assert [detail["package"] for kind, detail in bench.told if kind == "copy-waits"] == [damaged.id]


def test_a_package_that_a_place_refuses_keeps_no_other_away(bench: Bench) -> None:
    """As FAT does with a file of 5 GB, or with a letter that has a colon in its name."""
    newest = max(package.id for package in bench.archive.list())
    bench.fails = lambda path: errno.EFBIG if newest in str(path) else 0
    outcomes = {outcome.package: outcome for outcome in bench.work()}
    assert outcomes.pop(newest).reason == CopyReason.NOT_TAKEN
    assert [outcome.state for outcome in outcomes.values()] == ["copied"] * 2
    assert bench.queue().ledger.troubles().get("nas") is None


def test_a_place_that_takes_nothing_is_told_of_once(bench: Bench) -> None:
    bench.fails = lambda _: errno.EIO
    assert [outcome.reason for outcome in bench.work()] == [CopyReason.FAILED] * 3
    assert bench.queue().ledger.troubles().get("nas")
    assert bench.work() == [], "it is given time"


def test_a_package_that_is_being_corrected_waits_and_keeps_no_other_from_its_copy(bench: Bench) -> None:
    package = bench.archive.list()[0]
    with package_lock(package.folder, alone=True):
        outcomes = {outcome.package: outcome for outcome in bench.work()}
    assert outcomes.pop(package.id).reason == CopyReason.BUSY
    assert {outcome.state for outcome in outcomes.values()} == {"copied"}
    assert names(bench.work()) == [package.id]


def test_nothing_is_copied_beside_a_session_and_nothing_is_held_against_the_place(bench: Bench) -> None:
    bench.busy = True
    outcomes = bench.work()
    assert [outcome.reason for outcome in outcomes] == [CopyReason.SESSION] * 3
    bench.busy = False
    assert [outcome.state for outcome in bench.work()] == ["copied"] * 3
    assert [kind for kind, _ in bench.told] == ["copied"] * 3


def test_a_session_that_begins_ends_a_copy_and_it_is_gone_on_with(bench: Bench) -> None:
    def begins(path: Path) -> int:
        bench.busy = path.name == ".program.mp4.part"
        bench.advance(2)  # a session is looked for each second
        return 0

    bench.fails = begins
    assert {outcome.reason for outcome in bench.work()} == {CopyReason.SESSION}
    bench.busy, bench.fails = False, lambda _: 0
    assert {outcome.state for outcome in bench.work()} == {"copied"}


def test_a_package_corrected_after_a_kill_is_copied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    package = bench.archive.list()[0]
    bench.work()
    copies.retitle(package, "Judul kedua")
    queue = bench.queue()
    waiting = [package.folder]
    with monkeypatch.context() as patch:
        patch.setattr(CopyLedger, "seen_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            list(queue.work("nas", waiting))
    for title in ("Judul ketiga", "Judul keempat"):
        copies.retitle(package, title)
        with monkeypatch.context() as patch:
            patch.setattr("recorder.features.copies.package_copy.is_remote_intact", killed)
            with pytest.raises(KeyboardInterrupt):
                list(bench.queue().work("nas", waiting))
    (outcome,) = bench.queue().work("nas", waiting)
    assert (outcome.state, outcome.reason) == ("copied", None)
    assert (bench.folder / "nas" / package_place(package.folder) / RECORDING_FILE).read_text().count("Judul keempat")
    assert bench.queue().ledger.offered(package.id, "nas") == frozenset()


def test_two_never_copy_to_one_place_at_once(bench: Bench) -> None:
    first, second = bench.queue(), bench.queue()
    working = first.work("nas", first.waiting("nas"))
    next(working)
    assert {outcome.reason for outcome in second.work("nas", second.waiting("nas"))} == {CopyReason.BUSY}
    assert len(list(working)) == 2


def test_no_more_is_sent_than_the_settings_allow(bench: Bench, large: Package) -> None:
    began_ns = bench.clock.now_ns()
    flow = TransferThrottle(rate=8_000_000, clock=bench.clock)
    with bench.places["nas"].opened() as target:
        _, sent = copy_package(target, large.folder, package_place(large.folder), flow=flow)
    seconds = (bench.clock.now_ns() - began_ns) / NANOSECONDS
    assert sent / 1_000_000 == pytest.approx(seconds, rel=0.1)


# A name of the settings means one place: no copy counts that was made at another, and nothing goes beside a mount.


def test_another_address_of_that_name_gets_all_anew(archive: Archive, package: Package, tmp_path: Path) -> None:
    room = Bench(archive, {"nas": copies.folder_place(tmp_path / "lama")})
    assert reasons(room.work()) == {None}
    room.places["nas"] = copies.folder_place(tmp_path / "baru")
    assert room.counted() == 0, "what is at the old one is no copy at the new one"
    (outcome,) = room.work()
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)
    assert room.counted() == 1
    assert room.work() == []


def test_another_disk_at_that_address_gets_all_anew(archive: Archive, package: Package, tmp_path: Path) -> None:
    room = Bench(archive, {"nas": copies.folder_place(tmp_path / "nas")})
    room.work()
    (tmp_path / "nas").rename(tmp_path / "disk-1")
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / MARK_FILE).write_text("6d3c3b1e-6f3b-4a39-9a9e-54a5f2b1c0aa")
    assert room.work() == [], "nothing has waited, and it was seen today"
    room.advance(25 * 3600)
    assert room.work() == [], "it is looked at"
    assert room.counted() == 0
    (outcome,) = room.work()
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)


@pytest.mark.parametrize("place", ["folder", "s3"], indirect=True)
def test_an_emptied_place_is_told_of_and_gets_nothing(archive: Archive, package: Package, place: Place) -> None:
    room = Bench(archive, {"nas": place})
    room.work()
    with place.opened() as target:
        for path in target.walk("")[0]:
            target.remove(path)
    if place.folder:  # somebody has formatted the disk: no folder is left either
        shutil.rmtree(place.folder / "2026")
    room.advance(25 * 3600)
    assert room.work() == []
    trouble = room.queue().ledger.troubles().get("nas")
    assert trouble
    assert trouble.reason == CopyReason.EMPTIED
    room.advance(1 * 3600)
    assert reasons(room.queue().work("nas", room.queue().every())) == {CopyReason.EMPTIED}
    with place.opened() as target:
        assert target.walk("")[0] == {}
    room.new_place = True
    queue = room.queue()
    (outcome,) = queue.work("nas", queue.waiting("nas", due_only=False))
    assert (outcome.state, outcome.sent) == ("copied", package.bytes)
    room.new_place = False
    assert room.counted() == 1
    assert room.work() == []


@pytest.mark.parametrize("place", ["folder", "sftp"], indirect=True)
def test_a_second_name_of_a_place_is_no_second_copy(archive: Archive, package: Package, place: Place) -> None:
    room = Bench(archive, {"nas": place, "lagi": place})
    assert reasons(room.work("nas")) == {None}
    assert reasons(room.work("lagi")) == {CopyReason.SAME_PLACE}
    assert room.counted() == 1


def test_the_archive_itself_is_no_place(archive: Archive, package: Package, tmp_path: Path) -> None:
    (tmp_path / "tautan").symlink_to(archive.root)
    before = sorted(archive.root.rglob("*"))
    for folder in (archive.root, tmp_path / "tautan"):
        room = Bench(archive, {"nas": copies.folder_place(folder)})
        assert reasons(room.queue().work("nas", room.queue().every())) == {CopyReason.SAME_PLACE}
        assert room.counted() == 0
    assert sorted(archive.root.rglob("*")) == before


def test_a_folder_on_a_disk_of_this_pc_is_a_share_that_is_not_mounted(tmp_path: Path) -> None:
    """Nothing is known of the share yet: it was never mounted while Liput looked."""
    place = copies.folder_place(tmp_path / "nas")

    def settings(*, must_be_mounted: bool) -> Settings:
        target = msgspec.structs.replace(place.settings, must_be_mounted=must_be_mounted)
        return Settings(copies={"nas": target}, archive=ArchiveSettings(path=tmp_path / "arsip"))

    with pytest.raises(CopyError) as caught:
        open_target(settings(must_be_mounted=True), "nas")
    assert caught.value.reason == CopyReason.NOT_MOUNTED
    assert "must_be_mounted" in (caught.value.hint or "")
    open_target(settings(must_be_mounted=False), "nas").close()
    with copies.small_disk(tmp_path / "nas"):
        open_target(settings(must_be_mounted=True), "nas").close()


def test_a_share_that_goes_between_two_packages_gets_nothing_more(tmp_path: Path, package: Package) -> None:
    place = copies.folder_place(tmp_path / "nas")
    with copies.small_disk(tmp_path / "nas"):
        target = place.open()
    for act in (
        lambda: target.write("2026/11/apa/data/berkas", package.folder / "bagit.txt", TransferThrottle()),
        lambda: target.finish(".incoming/apa", "2026/11/apa"),
        lambda: target.walk(""),
    ):
        with copies.refused(CopyReason.NOT_MOUNTED):
            act()
    assert not list((tmp_path / "nas").iterdir())


# Two packages of one session: neither takes the place of the other's copy, whatever they are called.

SESSION = uuid4()


def seal(archive: Archive, program: Path, *, part: int = 1) -> Package:
    """Return the package of a part of a session; its recording is no other's to the byte."""
    work = archive.begin("Rapat", archives.STARTED, archives.CONTEXT, uuid=SESSION, part=part, offset_s=part - 1.0)
    shutil.copyfile(program, work.program)
    (work.media / f"kamera-{archive.root.name}.bin").write_bytes(random.Random(str(archive.root)).randbytes(5000))
    return archive.seal(work, RecordingFacts(ended_at=archives.STARTED), may_be_joined=True)


@pytest.fixture
def second(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "disk-2")


def test_a_copy_of_another_part_repairs_nothing(archive: Archive, second: Archive, program: Path, nas: Place) -> None:
    one, other = seal(archive, program), seal(second, program)
    copies.copy(other, nas)
    (one.folder / "data/media/program.mp4").unlink()
    (one.folder / "data/media/kamera-arsip.bin").unlink()
    restorer = PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED)
    with nas.opened() as target, copies.refused(CopyReason.NAME_TAKEN):
        restorer.restore(copies.place_of(one), target, verify_package(one.folder))
    assert not list(archive.root.rglob("*disk-2.bin"))


def test_a_copy_of_joined_parts_is_of_the_whole(
    archive: Archive, second: Archive, program: Path, tmp_path: Path
) -> None:
    one, other = seal(archive, program), seal(second, program, part=2)
    assert other.id == f"{one.id}.2"
    room = Bench(archive, {"nas": copies.folder_place(tmp_path / "nas")}, [second])
    assert {(each.package, each.state) for each in room.work()} == {(one.id, "copied"), (other.id, "copied")}
    assert room.work() == [], "a second time nothing waits"
    (session,) = unfinished.find_joinable([archive, second])
    assert Recovery([archive, second], clock=SimulatedClock()).recover(session).state is RecoveryState.SEALED
    (whole,) = archive.list()
    assert [(each.package, each.state) for each in room.work()] == [(whole.id, "copied")]
    there = tmp_path / "nas" / copies.place_of(whole)
    assert verify_package(there) == []
    assert (there / "data/media/program.mp4").read_bytes() == (whole.folder / "data/media/program.mp4").read_bytes()
    assert (tmp_path / "nas" / copies.place_of(other)).is_dir(), "a copy is never removed by itself"
