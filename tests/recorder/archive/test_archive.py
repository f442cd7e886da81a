"""Listing an archive, and finding what an id means."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from config.errors import ArchiveError, ErrorCause, PackageNotFound, StateError, StorageError
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog, FixityRound, RoundResult
from recorder.disk.package_locks import package_lock
from recorder.package import fixity
from recorder.package.fixity import ByteProgress
from recorder.package.metadata import Begun, Package, PackageState
from recorder.package.work_folder import BEGUN_FILE, session_start_of
from tests.support import archives, copies
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

pytestmark = pytest.mark.computing


def test_an_archive_that_is_not_there_is_empty_and_a_file_is_none(archive: Archive, tmp_path: Path) -> None:
    assert list(archive.list()) == []
    assert not archive.root.exists()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, check=because("unwritable")):
        archives.archive_at(tmp_path / "file").list()


def test_sealed_unfinished_and_damaged_are_told_apart(archive: Archive, program: Path, package: Package) -> None:
    broken = archives.seal_one(archive, program, "Rapat rusak")
    (broken.folder / "metadata" / "recording.json").write_text("{}")
    with archives.recorded(archive, program, "Rapat yang berjalan") as work:
        listed = {listed.id: listed for listed in archive.list()}
        assert {name: entry.state for name, entry in listed.items()} == {
            package.id: PackageState.SEALED,
            broken.id: PackageState.DAMAGED,
            work.name: PackageState.UNFINISHED,
        }
    assert listed[package.id] == package
    assert listed[package.id].bytes == sum(path.stat().st_size for path in package.folder.rglob("*") if path.is_file())
    assert (listed[work.name].title, listed[work.name].uuid) == ("Rapat yang berjalan", work.begun.uuid)
    assert (listed[broken.id].title, listed[broken.id].uuid) == (broken.id, broken.uuid)


def test_the_length_of_an_unfinished_recording_runs_to_its_last_write(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        last = archives.STARTED.timestamp() + 90.5
        os.utime(work.program, (last, last))
        assert archive.list()[0].duration_s == 90.5


def test_what_is_not_ours_is_left_out(archive: Archive, package: Package, tmp_path: Path) -> None:
    (archive.root / "lost+found").mkdir()
    (archive.root / "2026" / "notes.txt").touch()
    (archive.root / "2026" / "11" / ".Trash").mkdir()
    (archive.root / "2026" / "11" / "link").symlink_to(tmp_path)
    (archive.root / "2025").symlink_to(archive.root / "2026")
    assert [listed.id for listed in archive.list()] == [package.id]


def test_a_package_answers_to_name_uuid_path_and_their_beginnings(archive: Archive, package: Package) -> None:
    keys = (package.id, package.id[:20], package.uuid, package.uuid[:8], package.id[-8:], package.uuid.upper())
    for key in (*keys, package.path, f"{package.path}/"):
        assert archive.find(key) == package, key


def test_a_package_in_a_folder_of_another_name_is_found_by_its_uuid(
    archive: Archive, program: Path, package: Package
) -> None:
    other = archives.seal_one(archive, program, "Seminar")
    by_hand = package.folder.rename(package.folder.with_name("wisuda dari ponsel"))
    assert archive.find(package.uuid).id == by_hand.name
    swapped = other.folder.rename(other.folder.with_name(f"{other.id[:-8]}00000000"))
    assert archive.find(other.uuid).id == swapped.name, "what is called like another is found all the same"


def test_a_beginning_that_means_several_names_them(archive: Archive, program: Path, package: Package) -> None:
    other = archives.seal_one(archive, program)
    with pytest.raises(PackageNotFound, match="means 2 packages") as caught:
        archive.find("2026-11-24")
    assert package.id in caught.value.message
    assert other.id in caught.value.message


@pytest.mark.parametrize("key", ["RAPAT-SENAT", "../2026", "", "\x1b[31m", "\udcff"])
def test_a_package_that_is_not_there_is_not_found_and_nothing_odd_is_printed(
    archive: Archive, package: Package, key: str
) -> None:
    with pytest.raises(PackageNotFound) as caught:
        archive.find(key)
    assert "\x1b" not in caught.value.message
    assert caught.value.message.encode()
    assert caught.value.hint
    assert package.id in caught.value.hint or "RAPAT" not in key


def test_a_further_part_has_a_folder_of_its_own_and_says_whose_part_it_is(archive: Archive) -> None:
    first = archive.begin("Rapat Senat", archives.STARTED)
    assert (first.begun.part, first.begun.offset_s) == (1, 0.0)
    second = archive.begin("Rapat Senat", archives.STARTED, uuid=UUID(first.begun.uuid), part=2, offset_s=61.5)
    assert second.path.parent == archive.root / ".incoming"
    assert first.name.startswith("2026-11-24_0900_rapat-senat_")
    assert second.name == f"{first.name}.2"
    assert session_start_of(second.path) == session_start_of(first.path)
    begun = msgspec.json.decode((second.path / BEGUN_FILE).read_bytes(), type=Begun)
    assert (begun.uuid, begun.part, begun.offset_s) == (first.begun.uuid, 2, 61.5)
    first.release()
    second.release()


@pytest.mark.parametrize("title", ["../../../etc/passwd", "x" * 300, "dua\nbaris\x00", "", "\udcff"])
def test_no_title_leads_out_of_the_archive_and_equal_ones_have_folders_of_their_own(
    archive: Archive, title: str
) -> None:
    works = [archive.begin(title, archives.STARTED) for _ in range(2)]
    assert sorted(archive.root.iterdir()) == [archive.root / ".incoming"]
    assert sorted((archive.root / ".incoming").iterdir()) == sorted(work.path for work in works)
    assert works[0].path != works[1].path
    for work in works:
        work.release()


@pytest.mark.parametrize(("code", "why"), [(errno.EDQUOT, "full"), (errno.EROFS, "read-only")])
def test_a_disk_that_fails_at_the_beginning_leaves_nothing(tmp_path: Path, code: int, why: ErrorCause) -> None:
    for step in range(5):
        left = iter(range(step, -1, -1))
        disk = archives.fails(code, lambda *_, left=left: next(left) == 0)
        with pytest.raises(StorageError, check=because(why)):
            archives.archive_at(tmp_path / "new" / "arsip", disk).begin("Rapat", archives.STARTED)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08free"])
def test_an_empty_recording_is_discarded_without_a_trace(archive: Archive, content: bytes) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    work.program.write_bytes(content)
    work.events.write_text("{}\n")
    archive.discard(work)
    assert list(archive.root.iterdir()) == []


@pytest.mark.parametrize("keep", [None, 20_000])
def test_a_recording_is_never_discarded(archive: Archive, program: Path, keep: int | None) -> None:
    """Neither a whole one nor one that lost its index and does not open any more."""
    work = archive.begin("Rapat", archives.STARTED)
    content = program.read_bytes()[:keep]
    work.program.write_bytes(content)
    with pytest.raises(ArchiveError, match="holds a recording"):
        archive.discard(work)
    assert work.program.read_bytes() == content
    work.release()


def test_a_folder_in_use_is_not_taken_over(archive: Archive) -> None:
    work = archive.begin("Rapat", archives.STARTED)
    (package,) = archive.list()
    with pytest.raises(ArchiveError, match="still being recorded"):
        archive.reopen(package.folder)
    work.release()
    taken = archive.reopen(package.folder)
    assert (taken.path, taken.begun) == (work.path, work.begun)
    taken.release()


def test_an_archive_on_a_disk_that_vanished_says_so(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program) as work:
        shutil.rmtree(archive.root)
        with pytest.raises(StorageError, match="Cannot write", check=because("unwritable")):
            archive.seal(work, archives.FACTS)


# Rounds: what was not read for the longest time first, within a budget, beside no session.

EVERYTHING = 10**12


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    archive = archives.archive_at(tmp_path_factory.mktemp("asal") / "arsip")
    for title in ("Satu", "Dua", "Tiga", "Empat"):
        archives.seal_one(archive, program, title)
    return archive.root


@pytest.fixture
def packages(archive: Archive, four: Path) -> list[Package]:
    shutil.copytree(four, archive.root)
    return sorted(archive.list(), key=lambda package: package.id)


class Rounds:
    """Rounds over one archive on simulated time, with what they told."""

    def __init__(self, root: Path) -> None:
        self.clock = SimulatedClock()
        self.root = root
        self.read: list[str] = []
        self.health = Recorded(self.clock)

    def run(self, budget: int = EVERYTHING, is_busy: Callable[[], bool] = lambda: False) -> RoundResult:
        self.clock.advance_to(self.clock.now_ns() + 3600 * NANOSECONDS)
        self.read = []
        return FixityRound([self.root], self.clock, is_busy, record=self.health, told=self._told).run(budget)

    def _told(self, entry: FixityEntry) -> None:
        self.read.append(entry.package)


def test_everything_is_read_in_turn_within_the_budget(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    budget = packages[0].bytes + packages[1].bytes + 10
    seen = []
    for _ in range(4):
        done = rounds.run(budget)
        assert (done.packages, done.left, done.ended) == (2, 2, "budget")
        assert done.bytes <= budget
        seen += rounds.read
    ids = [package.id for package in packages]
    assert seen == ids * 2
    assert rounds.run().ended == "done"
    assert rounds.run(1).packages == 1, "one that is larger than the budget is read all the same"


def test_damage_is_told_of_in_the_log_and_in_health(archive: Archive, packages: list[Package]) -> None:
    copies.flip(packages[2].folder / "data/media/program.mp4", 100)
    (packages[3].folder / "data/poster.jpg").unlink()
    rounds = Rounds(archive.root)
    assert rounds.run().damaged == (packages[2].id, packages[3].id)
    last = {entry.package: entry for entry in FixityLog().entries()}
    assert last[packages[0].id].outcome == "whole"
    assert [problem.file for problem in last[packages[2].id].problems] == ["data/media/program.mp4"]
    assert {problem.file for problem in last[packages[3].id].problems} >= {"data/poster.jpg"}
    assert [(line.kind, line.level, line.detail["package"]) for line in rounds.health.lines] == [
        (LogKind.PACKAGE_DAMAGED, LogLevel.ERROR, packages[2].id),
        (LogKind.PACKAGE_DAMAGED, LogLevel.ERROR, packages[3].id),
    ]


def test_a_package_that_cannot_be_read_is_told_of_and_ends_no_round(
    archive: Archive, packages: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, rounds = os.open, Rounds(archive.root)

    def refusing(path: Path, *args: int) -> int:
        if Path(path) == packages[0].folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        done = rounds.run()
    assert rounds.read == [package.id for package in packages]
    assert (done.packages, done.left, done.damaged, done.ended) == (4, 0, (packages[0].id,), "done")
    assert [(line.level, line.detail["package"]) for line in rounds.health.lines] == [(LogLevel.ERROR, packages[0].id)]
    (entry,) = (entry for entry in FixityLog().entries() if entry.package == packages[0].id)
    assert (entry.outcome, entry.problems[0].kind) == ("damaged", "unreadable")


def test_a_session_that_begins_has_the_disk(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    answers = iter([False, False, True])
    done = rounds.run(is_busy=lambda: next(answers, True))
    assert (done.ended, done.packages) == ("session", len(rounds.read))
    assert done.packages < 4
    before = rounds.read
    done = rounds.run()
    assert rounds.read[: 4 - len(before)] == [package.id for package in packages][len(before) :]


def test_a_package_that_is_being_corrected_is_read_in_the_next_round(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    with package_lock(packages[1].folder, alone=True):
        done = rounds.run()
    assert (done.packages, done.left, done.damaged) == (3, 1, ())
    assert packages[1].id not in rounds.read
    rounds.run(1)
    assert rounds.read == [packages[1].id]


def test_a_reading_that_a_wrong_clock_has_noted_is_none(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    rounds.clock.advance_to(rounds.clock.now_ns() + 70 * 365 * 86_400 * NANOSECONDS)
    assert rounds.run().packages == 4
    rounds.clock = SimulatedClock()
    budget = packages[0].bytes + packages[1].bytes + 10
    rounds.run(budget)
    assert rounds.read == [package.id for package in packages[:2]]
    rounds.run(budget)
    assert rounds.read == [package.id for package in packages[2:]]


def test_what_is_read_for_a_round_does_not_stay_in_memory(tmp_path: Path) -> None:
    """The cache holds nothing of it afterwards, while what is read the usual way stays."""

    def cached() -> float:
        told = subprocess.run(
            ["fincore", "-nb", "-o", "RES,SIZE", str(file)], capture_output=True, text=True, check=True
        )
        resident, size = map(int, told.stdout.split())
        return resident / size

    file = tmp_path / "besar"
    file.write_bytes(os.urandom(4 << 20))
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
    usual = fixity.sha256(file, ByteProgress(0, None))
    assert cached() > 0.9
    assert fixity.sha256(file, ByteProgress(0, None), uncached=True) == usual
    assert cached() < 0.1


def test_a_log_that_is_damaged_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "fixity.sqlite3"
    path.write_bytes(b"not a database, and long enough to be taken for one" * 40)
    with pytest.raises(StateError, match=r"fixity\.sqlite3 cannot be used"):
        FixityLog(path).entries()


def test_a_round_reads_no_faster_than_it_may(archive: Archive, packages: list[Package]) -> None:
    clock, began = SimulatedClock(), SimulatedClock().now_ns()
    done = FixityRound([archive.root], clock, lambda: False, max_rate=1_000_000).run(EVERYTHING)
    assert (clock.now_ns() - began) / NANOSECONDS == pytest.approx(done.bytes * 8 / 1_000_000, rel=0.2)
