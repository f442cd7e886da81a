"""What waits, in which order, how long until it is tried again; and that no restart forgets any of it."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from config.errors import StateError
from config.settings.serving import CopyTarget
from devices.health.log_line import LogKind, LogLevel
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
from recorder.features.copies.target import CopyReason, Target
from recorder.package.fixity import TransferThrottle
from recorder.package.metadata import Package
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives, copies
from tests.support.simulated import SimulatedClock


@dataclass
class Bench:
    """A queue on simulated time with two folders as places, and what was told of it."""

    archive: Archive
    folder: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    busy: bool = False
    fails: Callable[[Path], int] = lambda _: 0
    """The number of the error that writing a file meets, 0 for none."""

    def queue(self) -> CopyQueue:
        """Return a new one, as after a restart."""
        targets = {
            "nas": CopyTarget(url=f"file://{self.folder}/nas"),
            "lain": CopyTarget(url=f"file://{self.folder}/lain", automatic=False),
        }
        return CopyQueue(
            [self.archive.root], targets, self.open, self.clock, record=self.record, is_busy=lambda: self.busy,
        )  # fmt: skip

    def open(self, name: str) -> Target:
        return FolderTarget(name, self.folder / name, DurableFiles(self._before))

    def _before(self, _step: str, path: Path) -> None:
        if number := self.fails(path):
            raise OSError(number, os.strerror(number), str(path))

    def record(
        self,
        device: str,
        kind: LogKind,
        reason: str = "",
        *,
        name: str = "",
        level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:
        self.told.append((str(kind), detail))

    def work(self, name: str = "nas") -> list[CopyOutcome]:
        queue = self.queue()
        return list(queue.work(name, queue.waiting(name)))

    def advance(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))


@pytest.fixture
def bench(archive: Archive, program: Path, tmp_path: Path) -> Bench:
    for title in ("Satu", "Dua", "Tiga"):
        archives.seal_one(archive, program, title)
    (tmp_path / "nas").mkdir()
    (tmp_path / "lain").mkdir()
    return Bench(archive, tmp_path)


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


def test_a_session_that_begins_ends_a_copy_and_it_is_gone_on_with(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begins(self: TransferThrottle, count: int) -> None:
        bench.busy = True
        self._go_on()

    with monkeypatch.context() as patch:
        patch.setattr(TransferThrottle, "sent", begins)
        assert {outcome.reason for outcome in bench.work()} == {CopyReason.SESSION}
    bench.busy = False
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
