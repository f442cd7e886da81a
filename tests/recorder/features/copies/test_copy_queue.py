"""What waits, in which order, how long until it is tried again; and that no restart forgets any of it."""

import errno
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from config.errors import CopyError, StateError
from config.settings.schema import ArchiveSettings as ArchiveSettings
from config.settings.schema import Settings
from config.settings.serving import CopyTarget
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
            [self.archive.root], targets, self.open, self.clock, record=self.record, is_busy=lambda: self.busy,
            new_place=self.new_place,
        )  # fmt: skip

    def open(self, name: str) -> Target:
        place = self.places[name]
        return (
            FolderTarget(name, place.settings.folder, DurableFiles(self._before))
            if place.kind == "folder"
            else place.open(name)
        )

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
    nas, lain = copies.folder_place(tmp_path / "nas"), copies.folder_place(tmp_path / "lain")
    on_demand = msgspec.structs.replace(lain.settings, automatic=False)
    return Bench(archive, {"nas": nas, "lain": replace(lain, settings=on_demand)})


def names(outcomes: Sequence[CopyOutcome]) -> list[str]:
    return [outcome.package for outcome in outcomes]


def test_whatever_is_sealed_is_copied_once_the_newest_first(bench: Bench) -> None:
    done = bench.work()
    assert names(done) == sorted((package.id for package in bench.archive.list()), reverse=True)
    assert {outcome.state for outcome in done} == {"copied"}
    assert bench.work() == []
    assert [kind for kind, _ in bench.told] == ["copied"] * 3


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ESTALE, CopyReason.NOT_MOUNTED), (errno.EHOSTDOWN, CopyReason.UNREACHABLE)]
)
def test_a_share_that_is_gone_keeps_all_packages_waiting_and_it_is_known_why(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, reason: CopyReason
) -> None:
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == bench.folder / "nas":
            raise OSError(number, os.strerror(number), str(path))
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    assert [outcome.reason for outcome in bench.work()] == [reason] * 3
    trouble = bench.queue().ledger.troubles().get("nas")
    assert trouble
    assert trouble.reason == reason
    assert [kind for kind, _ in bench.told] == ["copy-waits"]


def test_a_place_that_is_not_automatic_gets_what_was_asked_for_and_keeps_waiting_for_it(bench: Bench) -> None:
    queue = bench.queue()
    assert queue.waiting("lain") == []
    (bench.folder / "lain").rmdir()
    (folder, *_) = queue.every()
    (outcome,) = queue.work("lain", [folder])
    assert (outcome.state, outcome.reason) == ("waiting", CopyReason.NO_FOLDER)
    (bench.folder / "lain").mkdir()
    bench.advance(FIRST_PAUSE_S * 2)
    assert names(bench.work("lain")) == [folder.name]
    assert bench.work("lain") == []


def test_a_place_in_trouble_is_tried_less_and_less_often_for_days_and_told_of_once(bench: Bench) -> None:
    (bench.folder / "nas").rmdir()
    tries = 0
    for _ in range(7 * 24 * 6):
        tries += bool(bench.work())
        bench.advance(600)
    assert 25 < tries < 50, "every 6 h, after the first"
    assert [kind for kind, _ in bench.told] == ["copy-waits"]
    trouble = bench.queue().ledger.troubles().get("nas")
    assert trouble
    assert (trouble.reason, trouble.attempts) == (CopyReason.NO_FOLDER, tries)
    assert trouble.since
    assert (bench.clock.now() - trouble.since).days == 7
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


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.EFBIG, CopyReason.NOT_TAKEN), (errno.EINVAL, CopyReason.NOT_TAKEN), (errno.EIO, CopyReason.FAILED)],
)
def test_a_package_that_a_place_does_not_take_keeps_no_other_from_its_copy(
    bench: Bench, number: int, reason: CopyReason
) -> None:
    """As FAT does with a file of 5 GB, or with a letter that has a colon in its name."""
    newest = max(package.id for package in bench.archive.list())
    bench.fails = lambda path: number if newest in str(path) else 0
    outcomes = {outcome.package: outcome for outcome in bench.work()}
    assert outcomes.pop(newest).reason == reason
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


def test_a_package_that_was_corrected_is_copied_again(bench: Bench) -> None:
    bench.work()
    package = bench.archive.list()[0]
    copies.retitle(package, "Judul yang benar")
    (outcome,) = bench.work()
    assert (outcome.package, outcome.state) == (package.id, "copied")
    assert outcome.sent < outcome.bytes


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


def test_a_kill_while_a_copy_is_looked_at_again_leaves_it_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.work()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    queue = bench.queue()
    (first, *_) = queue.every()
    with monkeypatch.context() as patch:
        patch.setattr("recorder.features.copies.copy_queue.copy_package", killed)
        with pytest.raises(KeyboardInterrupt):
            list(queue.work("nas", queue.every()))
    assert names(bench.work()) == [first.name]


@pytest.mark.parametrize("corrected_before", [False, True])
def test_a_package_that_is_corrected_after_a_kill_that_came_before_its_copy_was_noted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, corrected_before: bool
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    package = bench.archive.list()[0]
    if corrected_before:
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
    (bench.folder / "sempit").mkdir()
    target = FolderTarget("sempit", bench.folder / "sempit")
    began_ns = bench.clock.now_ns()
    _, sent = copy_package(
        target, large.folder, package_place(large.folder), flow=TransferThrottle(rate=8_000_000, clock=bench.clock)
    )
    seconds = (bench.clock.now_ns() - began_ns) / NANOSECONDS
    assert sent / 1_000_000 == pytest.approx(seconds, rel=0.1)


def test_a_ledger_that_is_damaged_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "copies.sqlite3"
    path.write_bytes(b"not a database, and long enough to be taken for one" * 40)
    with pytest.raises(StateError, match=r"copies\.sqlite3 cannot be used"):
        CopyLedger(path).rows()


# A name of the settings means one place: no copy counts that was made at another, and nothing goes beside a mount.


def reasons(outcomes: list[CopyOutcome]) -> set[str | None]:
    return {outcome.reason for outcome in outcomes}


def test_another_address_under_the_same_name_gets_everything_anew(
    archive: Archive, package: Package, place: Place, tmp_path: Path
) -> None:
    room = Bench(archive, {"nas": copies.folder_place(tmp_path / "lama")})
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


def test_an_emptied_place_is_told_of_within_a_day_and_gets_nothing_until_that_is_said_to_be_meant(
    archive: Archive, package: Package, place: Place
) -> None:
    room = Bench(archive, {"nas": place})
    room.work()
    copies.empty(place)
    room.advance(25 * 3600)
    assert room.work() == []
    trouble = room.queue().ledger.troubles().get("nas")
    assert trouble
    assert trouble.reason == CopyReason.EMPTIED
    room.advance(1 * 3600)
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
    room = Bench(archive, {"nas": place, "lagi": place})
    assert reasons(room.work("nas")) == {None}
    assert reasons(room.work("lagi")) == {CopyReason.SAME_PLACE}
    assert room.counted() == 1


def test_the_archive_itself_is_no_place(archive: Archive, package: Package, tmp_path: Path) -> None:
    (tmp_path / "tautan").symlink_to(archive.root)
    before = sorted(archive.root.rglob("*"))
    for folder in (archive.root, tmp_path / "tautan"):
        room = Bench(archive, {"nas": copies.folder_place(folder)})
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
        with copies.refused(CopyReason.NOT_MOUNTED):
            act()
    assert not list((tmp_path / "nas").iterdir())


def test_nobody_is_told_to_make_a_folder_where_a_share_is_not_mounted(tmp_path: Path, package: Package) -> None:
    (tmp_path / "mnt").mkdir()
    with copies.small_disk(tmp_path / "mnt"):
        place = copies.folder_place(tmp_path / "mnt/liput")
        copies.copy(package, place)
    with copies.refused(CopyReason.NOT_MOUNTED):
        copies.copy(package, place)


# Two packages of one session: neither takes the place of the other's copy, whatever they are called.

SESSION = uuid4()


def seal(archive: Archive, program: Path, *, part: int = 1, copy: int = 1, uuid: UUID = SESSION) -> Package:
    """Return the package of a part of a session; its recording is no other's to the byte."""
    offset_s = part - 1.0
    work = archive.begin(
        "Rapat", archives.STARTED, archives.CONTEXT, uuid=uuid, part=part, copy=copy, offset_s=offset_s
    )
    shutil.copyfile(program, work.program)
    (work.media / f"kamera-{archive.root.name}.bin").write_bytes(random.Random(str(archive.root)).randbytes(5000))
    return archive.seal(work, RecordingFacts(ended_at=archives.STARTED), may_be_joined=True)


@pytest.fixture
def second(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "disk-2")


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    (tmp_path / "nas").mkdir()
    return tmp_path / "nas"


def queue_of(nas: Path, *places: Archive) -> CopyQueue:
    targets = {"nas": CopyTarget(url=f"file://{nas}", must_be_mounted=False)}
    return CopyQueue(
        [place.root for place in places], targets, lambda name: FolderTarget(name, nas), SimulatedClock(),
        is_busy=lambda: False,
    )  # fmt: skip


def copied(queue: CopyQueue) -> dict[str, str | None]:
    """Copy all that waits; return what became of each, None for a copy that is whole."""
    outcomes = list(queue.work("nas", queue.waiting("nas", due_only=False)))
    return {outcome.package: outcome.reason for outcome in outcomes if outcome.state != "copied"} | {
        outcome.package: None for outcome in outcomes if outcome.state == "copied"
    }


@pytest.mark.parametrize(("part", "copy", "end"), [(2, 1, ".2"), (1, 2, ".copy2"), (3, 2, ".copy2.3")])
def test_each_part_and_each_half_of_a_mirror_has_a_copy_of_its_own(
    archive: Archive, second: Archive, nas: Path, program: Path, part: int, copy: int, end: str
) -> None:
    one, other = seal(archive, program), seal(second, program, part=part, copy=copy)
    assert other.id == one.id + end
    assert copied(queue_of(nas, archive, second)) == {one.id: None, other.id: None}
    for package in (one, other):
        there = nas / copies.place_of(package)
        assert verify_package(there) == []
        archives.validate_bag(there)
    assert copied(queue_of(nas, archive, second)) == {}, "a second time nothing waits"


def test_of_two_packages_of_one_name_the_second_is_refused_and_the_first_copy_stays(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    """Such as were sealed before parts had names of their own."""
    one, other = seal(archive, program), seal(second, program)
    assert one.id == other.id
    queue = queue_of(nas, archive, second)
    reasons = [(outcome.state, outcome.reason) for outcome in queue.work("nas", queue.waiting("nas", due_only=False))]
    assert sorted(reasons, key=str) == [("copied", None), ("waiting", CopyReason.NAME_TAKEN)]
    before = {path: path.read_bytes() for path in nas.rglob("*.bin")}
    for places in ((archive, second), (second,), (second, archive)):
        list(queue_of(nas, *places).work("nas", queue_of(nas, *places).waiting("nas", due_only=False)))
        assert {path: path.read_bytes() for path in nas.rglob("*.bin")} == before


def test_what_a_copy_alone_holds_is_not_given_up_for_another_package_of_that_uuid(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program)
    target = FolderTarget("nas", nas)
    first, _ = copy_package(target, one.folder, copies.place_of(one))
    with copies.refused(CopyReason.NAME_TAKEN):
        copy_package(target, other.folder, copies.place_of(other), first.version)
    assert verify_package(nas / copies.place_of(one)) == []


def test_a_copy_of_another_part_does_not_repair_a_package(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program)
    copy_package(FolderTarget("nas", nas), other.folder, copies.place_of(other))
    (one.folder / "data/media/program.mp4").unlink()
    (one.folder / "data/media/kamera-arsip.bin").unlink()
    with copies.refused(CopyReason.NAME_TAKEN):
        PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED).restore(
            copies.place_of(one), FolderTarget("nas", nas), verify_package(one.folder)
        )
    assert not list(archive.root.rglob("*disk-2.bin"))


def test_the_copy_of_a_part_becomes_that_of_the_whole_once_the_parts_are_joined(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program, part=2)
    assert copied(queue_of(nas, archive, second)) == {one.id: None, other.id: None}
    (session,) = unfinished.find_joinable([archive, second])
    assert Recovery([archive, second], clock=SimulatedClock()).recover(session).state is RecoveryState.SEALED
    (whole,) = archive.list()
    assert copied(queue_of(nas, archive, second)) == {whole.id: None}
    assert verify_package(nas / copies.place_of(whole)) == []
    there = (nas / copies.place_of(whole) / "data/media/program.mp4").read_bytes()
    assert there == (whole.folder / "data/media/program.mp4").read_bytes()
    assert copies.place_of(other) in copies.places_in(nas), "a copy is never removed by itself"
