"""The work of the daemon on its archives: fixity rounds in simulated time, and copies."""

import contextlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from agent.archives import maintenance
from agent.archives.maintenance import (
    FAILED,
    LOOK_S,
    QUIET_S,
    RETRY_S,
    CopyRunner,
    FixityPart,
    NightProgress,
    last_time_at,
    night_store,
)
from agent.daemon.command_child import CommandChild
from agent.health.alarm import DAMAGED
from config.settings.office import Office, zone_of
from config.settings.schema import Settings
from config.settings.serving import FixitySettings
from devices.health.log_line import LogKind
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import log_folder
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog, FixityOutcome
from recorder.package.metadata import Problem, ProblemKind
from tests.support import archives, copies
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

HERE = zone_of("Asia/Jakarta")
BUDGET = 50_000_000


class Nights:
    """The part in simulated time; its rounds are processes that say what a test has them say."""

    def __init__(self, patch: pytest.MonkeyPatch, at: str = "02:30") -> None:
        self.clock = SimulatedClock()
        self.is_busy = False
        patch.setattr(maintenance, "is_session_running", lambda: self.is_busy)
        patch.setattr(maintenance, "start_command", self._start)
        self.began: list[tuple[datetime, Sequence[str]]] = []
        self.rounds: list[dict[str, object] | None] = []
        self.told: list[str] = []
        self.settings = Settings(office=Office(time_zone="Asia/Jakarta"), fixity=FixitySettings(at=at, budget=BUDGET))
        self.part = self.new()

    def new(self) -> FixityPart:
        """Return the part as a daemon has it that begins now."""
        part = FixityPart(self.settings, self.clock, self.told.append, Path("/arsip"))
        part.rest(QUIET_S)
        return part

    def _start(self, words: Sequence[str], _config: Path | None) -> CommandChild:
        self.began.append((self.clock.now().astimezone(HERE), words))
        said = self.rounds.pop(0)
        command = CommandChild(["echo", json.dumps(said)] if said else ["false"])
        wait_for(lambda: command.status is not None)
        return command

    def until(self, moment: datetime) -> None:
        """Let time pass."""
        while self.clock.now() < moment:
            self.part.look()
            self.clock.advance_to(self.clock.now_ns() + int(LOOK_S * NANOSECONDS))


def done(
    ended: str = "budget", packages: int = 3, size: int = 9_000_000, damaged: Sequence[str] = ()
) -> dict[str, object]:
    return {"type": "round", "packages": packages, "bytes": size, "damaged": damaged, "left": 1, "ended": ended}


def here(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=HERE)


@pytest.fixture
def nights(monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(monkeypatch)


def test_once_a_night_at_the_hour_that_is_set(nights: Nights) -> None:
    nights.rounds = [done(), done("done", 0, 0)]
    nights.until(here(25, 4))
    nights.part = nights.new()  # a daemon that begins anew reads nothing twice
    nights.until(here(26, 12))
    assert [at.replace(second=0) for at, _ in nights.began] == [here(25, 2, 30), here(26, 2, 30)]
    assert nights.began[0][1] == ["archive", "fixity", "--json", "--budget", str(BUDGET), "--archive", "/arsip"]
    assert nights.told == ["the archive was read again: 3 packages, 9.00 MB, none damaged; 1 left"]
    nights.part.take(Settings(fixity=FixitySettings(at="")))
    nights.until(here(27, 12))
    assert len(nights.began) == 2, "where no hour is set it is never"


def test_what_a_session_has_ended_goes_on_after_it_with_what_is_left(nights: Nights) -> None:
    nights.rounds = [done("session"), done()]
    nights.until(here(25, 2, 31))
    nights.is_busy = True
    nights.until(here(25, 4))
    assert len(nights.began) == 1
    nights.is_busy = False
    nights.until(here(26, 2))
    assert len(nights.began) == 2
    at, words = nights.began[1]
    assert QUIET_S - LOOK_S <= (at - here(25, 4)).total_seconds() <= QUIET_S + 3 * LOOK_S
    assert words[4] == str(BUDGET - 9_000_000)


def test_a_pc_that_was_off_at_night_reads_by_day_once_it_has_been_quiet(nights: Nights) -> None:
    nights.rounds = [done()]
    nights.until(here(24, 17))
    nights.clock.advance_to(nights.clock.now_ns() + 24 * 3600 * NANOSECONDS)
    nights.part = nights.new()
    nights.until(here(26, 2))
    ((at, _),) = nights.began
    assert QUIET_S <= (at - here(25, 17)).total_seconds() <= QUIET_S + 3 * LOOK_S


def test_a_round_that_could_not_be_is_tried_again_and_told_once(nights: Nights) -> None:
    nights.rounds = [None, None, done()]
    nights.until(here(25, 6))
    assert [(at - here(25, 2, 30)).total_seconds() // RETRY_S for at, _ in nights.began] == [0, 1, 2]
    assert nights.told[0].startswith(FAILED)
    assert len(nights.told) == 2


def entry(outcome: FixityOutcome, at: datetime, package: str = "rapat") -> FixityEntry:
    problems = (Problem("data/media/program.mp4", "is not what it was", ProblemKind.CHANGED),)
    damaged = outcome == "damaged"
    return FixityEntry(at=at, package=package, bytes=1, outcome=outcome, found=2 * damaged, problems=problems * damaged)


def test_a_damaged_package_is_an_alarm_until_it_is_repaired(nights: Nights) -> None:
    nights.part.look()
    assert nights.part.damaged() == ()
    now = nights.clock.now()
    FixityLog().add(entry("whole", now - timedelta(days=9)))
    FixityLog().add(entry("damaged", now))
    FixityLog().add(entry("whole", now, "seminar"))
    nights.part.look()
    (alarm,) = nights.part.damaged()
    assert (alarm.kind, alarm.subject, alarm.since) == (DAMAGED, "rapat", now)
    assert "rapat" in alarm.text.id
    assert alarm.message == "data/media/program.mp4 is not what it was, and 1 more"
    FixityLog().add(entry("repair-begun", now))
    nights.part.look()
    assert nights.part.damaged()
    FixityLog().add(entry("repaired", now))
    nights.part.look()
    assert nights.part.damaged() == ()


@pytest.mark.slow
def test_what_is_damaged_is_found_by_the_real_command(tmp_path: Path, program: Path) -> None:
    archive = Archive(tmp_path / "arsip", SystemClock(), 1)
    package = archives.seal_one(archive, program, "Rapat")
    copies.flip(package.folder / "data/media/program.mp4", 500)
    told: list[str] = []
    part = FixityPart(Settings(), SystemClock(), told.append, archive.root)
    night_store().change(lambda _: NightProgress(done=datetime(2020, 1, 1, tzinfo=UTC)))

    def is_told() -> bool:
        part.look()
        return bool(told)

    wait_for(is_told, 60.0, "a round")
    part.look()
    assert [alarm.subject for alarm in part.damaged()] == [package.id]
    assert told[0].endswith(f"1 damaged; 0 left: {package.id}")
    kinds = [line.kind for line in read(log_folder(), LogFilter())]
    assert kinds == [LogKind.PACKAGE_DAMAGED, LogKind.ARCHIVE_READ]
    assert night_store().read().done == last_time_at("02:30", SystemClock().now(), zone_of(Settings().office.time_zone))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (here(25, 2, 30), here(25, 2, 30)),
        (here(25, 2, 29), here(24, 2, 30)),
        (here(25, 10).astimezone(UTC), here(25, 2, 30)),
    ],
)
def test_the_last_passing_of_an_hour(now: datetime, expected: datetime) -> None:
    assert last_time_at("02:30", now, HERE) == expected


def copying(daemon: int) -> list[psutil.Process]:
    """Return the daemon's children that copy."""
    found = []
    for child in psutil.Process(daemon).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "copy" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.slow
def test_a_copy_that_does_not_end_beside_a_session_is_killed_and_one_that_runs_ends_with_the_daemon(
    tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    copies.large_package(archive, program, 12_000_000)
    settings = copies.write_settings(
        tmp_path, copies.folder_place(tmp_path / "nas"), more=f'[archive]\npath = "{archive.root}"'
    )
    settings.write_text(settings.read_text() + 'max_rate = "8 Mbit/s"\n')
    busy: list[bool] = []
    daemon = CopyRunner(SystemClock(), config_file=settings)
    monkeypatch.setattr(maintenance, "EVERY_S", 0.0)
    monkeypatch.setattr(maintenance, "is_session_running", lambda: bool(busy))
    monkeypatch.setattr(maintenance, "PATIENCE_S", 0.5)
    daemon.look()
    wait_for(lambda: list((tmp_path / "nas").rglob(".*.part")), what="a copy that has begun")
    (child,) = copying(os.getpid())
    busy.append(True)

    def ended() -> bool:
        daemon.look()
        return not child.is_running()

    wait_for(ended, what="the end of the copy")
    busy.clear()
    daemon.look()
    (child,) = wait_for(lambda: copying(os.getpid()), what="the next one")
    daemon.close()
    assert not child.is_running()
