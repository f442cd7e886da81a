"""Rounds over the archive: what was not read for the longest time first, within a budget, beside no session."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import StateError
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog, FixityRound, RoundResult
from recorder.disk.package_locks import package_lock
from recorder.package import fixity
from recorder.package.fixity import ByteProgress
from recorder.package.metadata import Package
from tests.support import archives, copies
from tests.support.damage import unreadable
from tests.support.simulated import SimulatedClock

PROJECT = Path(__file__).parents[3]
EVERYTHING = 10**12
YEAR_NS = 365 * 86_400 * NANOSECONDS


@pytest.fixture
def packages(archive: Archive, program: Path) -> list[Package]:
    return sorted(
        (archives.seal_one(archive, program, title) for title in ("Satu", "Dua", "Tiga", "Empat")),
        key=lambda package: package.id,
    )


class Rounds:
    """Rounds over one archive on simulated time, with what they told."""

    def __init__(self, root: Path) -> None:
        self.clock = SimulatedClock()
        self.root = root
        self.read: list[str] = []
        self.health: list[tuple[LogKind, LogLevel, dict[str, object]]] = []

    def run(self, budget: int = EVERYTHING, is_busy: Callable[[], bool] = lambda: False) -> RoundResult:
        self.clock.advance_to(self.clock.now_ns() + 3600 * NANOSECONDS)
        self.read = []
        return FixityRound([self.root], self.clock, is_busy, record=self._record, told=self._told).run(budget)

    def _told(self, entry: FixityEntry) -> None:
        self.read.append(entry.package)

    def _record(
        self,
        device: str,
        kind: LogKind,
        reason: str = "",
        *,
        name: str = "",
        level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:
        self.health.append((kind, level, detail))


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


def test_a_package_larger_than_the_budget_is_read_all_the_same(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    assert rounds.run(1).packages == 1
    assert rounds.run(1).packages == 1
    assert rounds.read == [packages[1].id]


def test_damage_is_told_of_in_the_log_and_in_health(archive: Archive, packages: list[Package]) -> None:
    copies.flip(packages[2].folder / "data/media/program.mp4", 100)
    (packages[3].folder / "data/poster.jpg").unlink()
    rounds = Rounds(archive.root)
    assert rounds.run().damaged == (packages[2].id, packages[3].id)
    last = {entry.package: entry for entry in FixityLog().entries()}
    assert last[packages[0].id].outcome == "whole"
    assert [problem.file for problem in last[packages[2].id].problems] == ["data/media/program.mp4"]
    assert {problem.file for problem in last[packages[3].id].problems} >= {"data/poster.jpg"}
    assert [(kind, level, detail["package"]) for kind, level, detail in rounds.health] == [
        (LogKind.PACKAGE_DAMAGED, LogLevel.ERROR, packages[2].id),
        (LogKind.PACKAGE_DAMAGED, LogLevel.ERROR, packages[3].id),
    ]


def test_a_package_that_cannot_be_read_does_not_keep_the_others_from_being_read(
    archive: Archive, packages: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable(packages[0].folder, monkeypatch)
    rounds = Rounds(archive.root)
    done = rounds.run()
    assert rounds.read == [package.id for package in packages]
    assert (done.packages, done.left, done.damaged) == (4, 0, (packages[0].id,))
    assert [(kind, level, detail["package"]) for kind, level, detail in rounds.health] == [
        (LogKind.PACKAGE_DAMAGED, LogLevel.ERROR, packages[0].id)
    ]
    (entry,) = (entry for entry in FixityLog().entries() if entry.package == packages[0].id)
    assert (entry.outcome, entry.problems[0].kind) == ("damaged", "unreadable")


def test_a_session_that_begins_has_the_disk(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    answers = iter([False, False, True])
    done = rounds.run(is_busy=lambda: next(answers, True))
    assert (done.ended, done.packages) == ("session", len(rounds.read))
    assert done.packages < 4
    before = rounds.read
    done = rounds.run(EVERYTHING)
    assert rounds.read[: 4 - len(before)] == [package.id for package in packages][len(before) :]


def test_a_package_that_is_being_corrected_is_read_in_the_next_round(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    with package_lock(packages[1].folder, alone=True):
        done = rounds.run()
    assert (done.packages, done.left, done.damaged) == (3, 1, ())
    assert packages[1].id not in rounds.read
    rounds.run(1)
    assert rounds.read == [packages[1].id]


def test_a_package_that_cannot_be_opened_is_told_of_and_ends_no_round(
    archive: Archive, packages: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: Path, *args: int) -> int:
        if Path(path) == packages[0].folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return really(path, *args)

    really = os.open
    rounds = Rounds(archive.root)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refusing)
        done = rounds.run()
    assert (done.packages, done.damaged, done.ended) == (4, (packages[0].id,), "done")
    assert rounds.health[0][2]["package"] == packages[0].id


def test_a_reading_that_a_wrong_clock_has_noted_is_none(archive: Archive, packages: list[Package]) -> None:
    rounds = Rounds(archive.root)
    rounds.clock.advance_to(rounds.clock.now_ns() + 70 * YEAR_NS)
    assert rounds.run().packages == 4
    rounds.clock = SimulatedClock()
    budget = packages[0].bytes + packages[1].bytes + 10
    rounds.run(budget)
    assert rounds.read == [package.id for package in packages[:2]]
    rounds.run(budget)
    assert rounds.read == [package.id for package in packages[2:]]


KILLED = """
import os, pathlib, signal, sys
from recorder.archive.fixity_round import FixityRound
from devices.host.clock import SystemClock
count = 0
def told(entry):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
FixityRound([pathlib.Path(sys.argv[1])], SystemClock(), lambda: False, told=told).run(10**12)
"""


def test_after_a_kill_the_next_round_goes_on(archive: Archive, packages: list[Package]) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(archive.root)], cwd=PROJECT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    rounds = Rounds(archive.root)
    rounds.clock.advance_to(rounds.clock.now_ns() + 100 * YEAR_NS)  # after the real time, whatever that is
    rounds.run(1)
    assert rounds.read == [packages[2].id]


def test_what_is_read_for_a_round_does_not_stay_in_memory(tmp_path: Path) -> None:
    """The cache holds nothing of it afterwards, while what is read the usual way stays."""
    file = tmp_path / "besar"
    file.write_bytes(os.urandom(16 << 20))
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
    usual = fixity.sha256(file, ByteProgress(0, None))
    assert cached(file) > 0.9
    assert fixity.sha256(file, ByteProgress(0, None), uncached=True) == usual
    assert cached(file) < 0.1


def cached(file: Path) -> float:
    """Return which part of a file the system has in memory."""
    told = subprocess.run(["fincore", "-nb", "-o", "RES,SIZE", str(file)], capture_output=True, text=True, check=True)
    resident, size = map(int, told.stdout.split())
    return resident / size


def test_a_log_that_is_damaged_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "fixity.sqlite3"
    path.write_bytes(b"not a database, and long enough to be taken for one" * 40)
    with pytest.raises(StateError, match=r"fixity\.sqlite3 cannot be used"):
        FixityLog(path).entries()


def test_a_round_reads_no_faster_than_it_may(archive: Archive, packages: list[Package]) -> None:
    clock, began = SimulatedClock(), SimulatedClock().now_ns()
    done = FixityRound([archive.root], clock, lambda: False, max_rate=1_000_000).run(EVERYTHING)
    assert (clock.now_ns() - began) / NANOSECONDS == pytest.approx(done.bytes * 8 / 1_000_000, rel=0.2)
