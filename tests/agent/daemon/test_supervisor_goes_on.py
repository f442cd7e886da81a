"""Which session whose recorder was killed the daemon goes on with, and how; and which it recovers instead."""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.daemon import presence, supervisor
from config.errors import StateError
from devices.host.clock import SystemClock, boot_id
from recorder.archive.archive import Archive
from recorder.control.spec import RecorderSpec, decode_spec, encode_spec_for_disk
from recorder.model.status import SessionResult, SessionState
from recorder.package.metadata import PackageState
from recorder.running import runtime_directory
from recorder.running.client import read_result
from recorder.running.protocol import RecorderFailure, encode
from recorder.running.runtime_directory import RecorderFolder, ended_recorder_folder
from recorder.session.request import SessionRequest
from tests.support import archives, leftovers
from tests.support.leftovers import live
from tests.support.waiting import wait_for


def killed(runtime: Path, archive: Path, *, work: str | None, spec: RecorderSpec, age_s: float = 0.0) -> RecorderFolder:
    """Leave the folder of a recorder that was armed `age_s` ago, and killed just now."""
    info = runtime_directory.new_recorder_info(
        spec.asked.title, archive, SystemClock().now() - timedelta(seconds=age_s)
    )
    folder = runtime_directory.make_recorder_folder(
        msgspec.structs.replace(info, work=work, pid_started=1), encode_spec_for_disk(spec)
    )
    assert folder.path.parent == runtime
    return folder


def spec_of(folder: RecorderFolder, passed_s: float) -> RecorderSpec | None:
    info = folder.info()
    assert info
    return supervisor.next_spec(folder, info, passed_s)


def test_one_that_recorded_goes_on_at_once_with_what_is_there(runtime: Path, tmp_path: Path) -> None:
    spec = RecorderSpec(asked=SessionRequest(title="Rapat", videos=("podium",), duration_s=3600.0), arm_only=True)
    folder = killed(runtime, tmp_path, work=str(tmp_path / ".incoming" / "rapat.2"), spec=spec)
    following = spec_of(folder, 600.0)
    assert following
    assert not following.arm_only
    assert following.asked.allow_missing
    assert following.asked.resume == tmp_path / ".incoming" / "rapat.2"
    assert following.asked.duration_s == 3000.0
    assert following.asked.videos == ("podium",)
    assert spec_of(folder, 3599.5) is None, "its time is over"


def test_one_that_was_armed_is_armed_again(runtime: Path, tmp_path: Path) -> None:
    spec = RecorderSpec(asked=SessionRequest(title="Rapat", duration_s=60.0), arm_only=True)
    folder = killed(runtime, tmp_path, work=None, spec=spec)
    asked = msgspec.structs.replace(spec.asked, allow_missing=True)  # nobody is there to be asked
    expected = msgspec.structs.replace(spec, asked=asked, replaces=folder.id)
    assert spec_of(folder, 600.0) == decode_spec(encode_spec_for_disk(expected))


class Recorders:
    """Takes note of what would be started; says how it `ended` where it did so before it recorded anything."""

    def __init__(
        self, runtime: Path, *, works: bool = True, ended: SessionResult | RecorderFailure | None = None
    ) -> None:
        self.specs: list[RecorderSpec] = []
        self._runtime = runtime
        self._works = works
        self._ended = ended

    def __call__(self, spec: RecorderSpec) -> "Recorders":
        self.specs.append(spec)
        return self

    def ready(self) -> RecorderFolder:
        if not self._works:
            raise StateError("no camera")
        folder = RecorderFolder(self._runtime / f"next{len(self.specs)}")
        if self._ended is not None:
            folder.end(encode(self._ended))
        else:
            RecorderFolder(self._runtime / str(self.specs[-1].replaces)).remove()
        return folder

    def wait(self, _timeout_s: float) -> bool:
        return True


def served(archive: Archive, spawn: Recorders, enough: "object") -> list[str]:
    """Let a daemon run until `enough` is true; return what it told."""
    told: list[str] = []
    stop = threading.Event()
    daemon = supervisor.RecorderSupervisor(
        [archive], SystemClock(), told.append, lambda outcome: told.append(outcome.state),
        spawn,  # type: ignore[arg-type]
    )  # fmt: skip
    thread = threading.Thread(target=daemon.run, args=(stop,))
    thread.start()
    try:
        wait_for(lambda: enough(told))  # type: ignore[operator]
    finally:
        stop.set()
        thread.join()
    return told


def test_one_that_had_ended_is_recovered_instead(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    ended = leftovers.event(2, "session-ended", "Rapat", media_time_s=2.0, frames=50)
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live(), ended])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    assert not folder.path.exists()
    assert [package.state for package in archive.list()] == [PackageState.SEALED]


def test_what_cannot_be_taken_up_now_is_tried_again(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    spawn = Recorders(runtime, works=False)
    told = served(archive, spawn, lambda _told: len(spawn.specs) >= 2)
    assert any("cannot be taken up now: no camera" in text for text in told)
    assert folder.path.exists()
    assert work.exists(), "nor is it sealed meanwhile"


def test_one_whose_next_recorder_fails_before_it_records_is_tried_again(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    spawn = Recorders(runtime, ended=RecorderFailure(message="the encoder refused its settings"))
    told = served(archive, spawn, lambda _told: len(spawn.specs) >= 2)
    assert any("cannot be taken up now: the encoder refused" in text for text in told)
    assert folder.path.exists()
    assert work.exists()


def test_one_whose_next_recorder_was_ended_before_it_recorded_is_recovered(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    nothing = SessionResult(state=SessionState.IDLE, package=None, duration_s=0.0, frames=0, degraded=[])
    spawn = Recorders(runtime, ended=nothing)
    served(archive, spawn, lambda told: "sealed" in told)
    assert len(spawn.specs) == 1
    assert not folder.path.exists()


def test_of_two_killed_recorders_of_a_session_the_one_that_recorded_counts(archive: Archive, runtime: Path) -> None:
    """The second died before it recorded anything, and the daemon with it."""
    spec = RecorderSpec(asked=SessionRequest(title="Rapat"), arm_only=True)
    first = killed(runtime, archive.root, work=None, spec=spec)
    second = killed(runtime, archive.root, work=None, spec=msgspec.structs.replace(spec, replaces=first.id))
    info = second.info()
    assert info
    second.write_info(msgspec.structs.replace(info, replaces=first.id))
    spawn = Recorders(runtime)
    served(archive, spawn, lambda _told: spawn.specs and not runtime_directory.killed_recorders())
    assert [each.replaces for each in spawn.specs] == [first.id]


def test_recorders_that_die_at_once_are_started_ever_more_seldom(archive: Archive, runtime: Path) -> None:
    spec = RecorderSpec(asked=SessionRequest(title="Rapat"), arm_only=True)

    class Dying(Recorders):
        def ready(self) -> RecorderFolder:
            killed(runtime, archive.root, work=None, spec=spec)
            return super().ready()

    killed(runtime, archive.root, work=None, spec=spec)
    spawn = Dying(runtime)
    served(archive, spawn, lambda _told: len(spawn.specs) >= 4)
    stopped = time.monotonic() + 2.0
    served(archive, spawn, lambda _told: time.monotonic() > stopped)
    assert len(spawn.specs) <= 8, "not once every quarter of a second"


def test_one_that_was_killed_long_ago_is_recovered(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    long_ago = time.time() - presence.RESUME_WITHIN_S - 5
    os.utime(folder.path / runtime_directory.RECORDER_FILE, (long_ago, long_ago))
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    end = read_result(ended_recorder_folder(folder.id))
    assert isinstance(end, RecorderFailure), "nobody has ended it: what was planned is begun again"
    assert end.message == supervisor.KILLED


def test_one_that_people_had_ended_and_that_was_killed_long_ago_is_not_said_to_have_failed(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    """A planned session would be begun again."""
    program = archives.make_program(tmp_path / "program.mp4")
    stopping = leftovers.event(2, "session-stopping", "Rapat")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live(), stopping])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    long_ago = time.time() - presence.RESUME_WITHIN_S - 5
    os.utime(folder.path / runtime_directory.RECORDER_FILE, (long_ago, long_ago))
    served(archive, Recorders(runtime), lambda told: "sealed" in told)
    assert read_result(ended_recorder_folder(folder.id)) is None


def test_one_that_was_killed_long_ago_and_whose_disk_is_away_is_not_said_to_be_recovered(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    work = leftovers.leave(archive, {"program.mp4": archives.make_program(tmp_path / "program.mp4")}, events=[live()])
    folder = killed(runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat")))
    long_ago = time.time() - presence.RESUME_WITHIN_S - 5
    os.utime(folder.path / runtime_directory.RECORDER_FILE, (long_ago, long_ago))
    archive.root.rename(away := tmp_path / "away")
    (text,) = served(archive, Recorders(runtime), lambda told: told)
    assert "killed long ago, and nothing of it is in" in text
    assert "liput recover" in text
    away.rename(archive.root)
    assert work.exists()


def test_one_that_was_armed_long_ago_and_killed_just_now_is_armed_again(archive: Archive, runtime: Path) -> None:
    spec = RecorderSpec(asked=SessionRequest(title="Rapat"), arm_only=True)
    killed(runtime, archive.root, work=None, spec=spec, age_s=10 * presence.RESUME_WITHIN_S)
    spawn = Recorders(runtime)
    told = served(archive, spawn, lambda _told: spawn.specs)
    assert [each.arm_only for each in spawn.specs] == [True]
    assert not any("long ago" in text for text in told)


def test_the_length_that_was_asked_for_counts_from_when_it_was_live(archive: Archive, runtime: Path) -> None:
    """Armed two hours ago for an hour, live for a minute: most of the hour is still to come."""
    program = archives.make_program(runtime.parent / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    spec = RecorderSpec(asked=SessionRequest(title="Rapat", duration_s=3600.0), arm_only=True)
    folder = killed(runtime, archive.root, work=str(work), spec=spec, age_s=7200.0)
    info = folder.info()
    assert info
    folder.write_info(msgspec.structs.replace(info, live_at=SystemClock().now() - timedelta(seconds=60)))
    spawn = Recorders(runtime)
    served(archive, spawn, lambda _told: spawn.specs)
    assert spawn.specs[0].asked.duration_s == pytest.approx(3540.0, abs=15.0)


@pytest.mark.parametrize(("boot", "left_s"), [(boot_id(), 3540.0), ("another", 3600.0 - 1800.0)])
def test_a_wall_clock_that_was_set_meanwhile_does_not_change_the_length(
    archive: Archive, runtime: Path, boot: str, left_s: float
) -> None:
    """By half an hour; clocks of two boots cannot be compared."""
    program = archives.make_program(runtime.parent / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    folder = killed(
        runtime, archive.root, work=str(work), spec=RecorderSpec(asked=SessionRequest(title="Rapat", duration_s=3600.0))
    )
    info, clock = folder.info(), SystemClock()
    assert info
    folder.write_info(
        msgspec.structs.replace(
            info, boot_id=boot, live_at=clock.now() - timedelta(seconds=1800), live_clock_ns=clock.now_ns() - 60 * 10**9
        )
    )
    spawn = Recorders(runtime)
    served(archive, spawn, lambda _told: spawn.specs)
    assert spawn.specs[0].asked.duration_s == pytest.approx(left_s, abs=15.0)
