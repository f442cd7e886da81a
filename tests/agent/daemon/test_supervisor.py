"""Sessions whose recorder was killed: gone on with, waited for, or recovered; and the recorder in reserve."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import msgspec
import pytest

from agent.daemon import presence, standby, supervisor
from agent.daemon.presence import successor, with_replaced
from agent.daemon.standby import StandbyRecorder
from agent.sessions.control import NOTHING_RUNS
from config.errors import ArchiveError, StateError
from config.events import Event
from devices.host.clock import SystemClock, boot_id
from recorder.archive.archive import Archive
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.model.status import SessionResult, SessionStatus
from recorder.package.metadata import PackageState
from recorder.recovery.recover import RecoveryOutcome
from recorder.running import protocol, runtime_directory
from recorder.running.client import read_result, send_command
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo, ended_recorder_folder
from recorder.session.request import SessionRequest
from tests.support import archives, command, leftovers, media, recorders
from tests.support.leftovers import live
from tests.support.processes import children
from tests.support.waiting import PATIENCE_S, wait_for


def status_of(runtime: Path, info: RecorderInfo) -> SessionStatus:
    status = send_command(RecorderFolder(runtime / info.id), protocol.StatusCommand()).status
    assert status
    return status


@contextmanager
def recorded(home: Path, archive: Archive) -> Iterator[tuple[command.Running, command.Running]]:
    """Run a daemon, and beside it a session that records; give both commands."""
    options = ("--title", "Rapat", "--video", "synthetic", "--audio", "synthetic", "--profile", "240p15")
    with (
        command.running(home, "serve", "--archive", archive.root, "--json") as daemon,
        command.running(home, "record", *options, "--archive", archive.root, "--json") as client,
    ):
        daemon.until("note", text="ready")
        client.until("status", state="live")
        yield daemon, client


@pytest.mark.slow
def test_a_session_whose_recorder_is_killed_goes_on_and_becomes_one_package(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    with recorded(tmp_path, archive) as (daemon, client):
        first = recorders.recording(runtime)
        for request in (protocol.LayoutCommand(name="pause"), protocol.MuteCommand(name=None)):
            send_command(RecorderFolder(runtime / first.id), request)
        client.until("status", layout="pause")
        wait_for(lambda: status_of(runtime, first).media_time_s > 1.0)
        recorders.kill(first.pid)
        again = recorders.recording(runtime, first.pid)
        assert again.work == f"{first.work}.2"
        status = status_of(runtime, again)
        assert (status.layout, [line.muted for line in status.sounds]) == ("pause", [True])
        done = command.liput(tmp_path, "recover", "--json", "--archive", archive.root)
        assert [line["state"] for line in command.lines(done.stdout)] == ["recording"]
        mark: Any = send_command(RecorderFolder(runtime / again.id), protocol.MarkCommand(text="Lagi")).mark
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0, "it ends in order, and the recorder goes on"
        wait_for(lambda: status_of(runtime, again).media_time_s > 1.0)
        send_command(RecorderFolder(runtime / again.id), protocol.StopCommand())
        result = client.until("result")
        assert client.wait() == 3, "it has followed the session to its end"
    (package,) = archive.list()
    assert (result["state"], result["package"]) == ("sealed", package.path)
    assert archive.verify(package, decode=True) == []
    recording = package.recording
    assert recording
    assert [part.part for part in recording.parts] == [1, 2]
    (gap,) = recording.gaps
    assert gap.reason.startswith("between part 1 and part 2; the recorder was killed at")
    assert recording.parts[1].offset_s == pytest.approx(gap.start_s + gap.duration_s, abs=0.1)
    assert [each.media_s for each in recording.marks] == [pytest.approx(mark["media_s"], abs=0.5)]
    assert mark["media_s"] > recording.parts[1].offset_s
    program = package.folder / "data" / "media" / "program.mp4"
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").end_s == pytest.approx(recording.duration_s, abs=0.3)
    log = [json.loads(line) for line in (package.folder / "metadata" / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in log if event["kind"].startswith("session-")] == [
        "session-live", "session-resumed", "session-live", "session-stopping", "session-ended",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("by_command", [True, False])
def test_a_stop_that_comes_just_when_its_recorder_was_killed_ends_the_session(
    tmp_path: Path, archive: Archive, runtime: Path, *, by_command: bool
) -> None:
    """Else it would be gone on with after people have ended it. The recorder that is asked is not there yet."""
    with recorded(tmp_path, archive) as (daemon, client):
        first = recorders.recording(runtime)
        daemon.signal(signal.SIGSTOP)  # it has not seen it yet
        recorders.kill(first.pid)
        resuming = threading.Timer(1.0, daemon.signal, [signal.SIGCONT])
        resuming.start()
        if by_command:
            stopped = command.liput(tmp_path, "stop", "--json")
            assert stopped.returncode == 3, stopped.stderr
            client.until("result")
        else:
            client.signal(signal.SIGTERM)
            assert client.wait() == 3
        resuming.join()
        assert client.seen[-1]["state"] == "sealed"
        wait_for(lambda: not recorders.recorders(runtime))
        assert runtime_directory.killed_recorders() == []
    (package,) = archive.list()
    assert client.seen[-1]["package"] == str(package.path)
    assert package.recording
    assert len(package.recording.parts) == 2


def test_there_is_one_only(runtime: Path) -> None:
    assert not presence.is_serving()
    with presence.daemon_lock():
        assert presence.is_serving()
        with pytest.raises(StateError, match="runs already"), presence.daemon_lock():
            pass
    assert not presence.is_serving()


# Which session whose recorder was killed the daemon goes on with, and how; and which it recovers instead


LONG_AGO_S = presence.RESUME_WITHIN_S + 3600  # a clock that is set meanwhile changes nothing
ARMED = RecorderSpec(asked=SessionRequest(title="Rapat"), arm_only=True)


def killed(archive: Path, work: str | None = None, spec: RecorderSpec = ARMED, age_s: float = 0.0) -> RecorderFolder:
    """Leave the folder of a recorder that was armed `age_s` ago, and killed just now."""
    info = runtime_directory.new_recorder_info("Rapat", archive, SystemClock().now() - timedelta(seconds=age_s))
    info = msgspec.structs.replace(info, work=work, pid_started=1)
    return runtime_directory.make_recorder_folder(info, encode_spec_for_disk(spec))


type LeaveKilled = Callable[..., tuple[RecorderFolder, Path]]


@pytest.fixture
def killed_live(archive: Archive, program: Path) -> LeaveKilled:
    """Leave a session that was live until its recorder was killed `ago_s` ago; return both folders."""

    def leave(
        *events: Event, duration_s: float | None = None, ago_s: float = 0.0, age_s: float = 0.0
    ) -> tuple[RecorderFolder, Path]:
        work = leftovers.leave(archive, {"program.mp4": program}, events=[live(), *events])
        spec = RecorderSpec(asked=SessionRequest(title="Rapat", duration_s=duration_s))
        folder = killed(archive.root, str(work), spec, age_s)
        beat_s = time.time() - ago_s
        os.utime(folder.path / runtime_directory.RECORDER_FILE, (beat_s, beat_s))
        return folder, work

    return leave


def test_one_that_recorded_goes_on_at_once_with_what_is_there(tmp_path: Path) -> None:
    asked = SessionRequest(title="Rapat", videos=("podium",), streams=("kampus",), duration_s=3600.0)
    spec = RecorderSpec(asked=asked, arm_only=True)
    folder = killed(tmp_path, str(tmp_path / ".incoming" / "rapat.2"), spec)
    info = folder.info()
    assert info
    following = supervisor.next_spec(folder, info, 600.0)
    assert following
    asked = following.asked
    assert (asked.resume, asked.allow_missing) == (tmp_path / ".incoming" / "rapat.2", True)
    assert (list(asked.videos), list(asked.streams), asked.duration_s) == (["podium"], ["kampus"], 3000.0)
    assert (following.arm_only, following.replaces) == (False, folder.id)
    assert supervisor.next_spec(folder, info, 3599.5) is None, "its time is over"


@dataclass
class Recorders:
    """Takes note of what would be started; how it `ended` where it did so before it recorded anything."""

    runtime: Path
    ended: SessionResult | protocol.RecorderFailure | StateError | None = None
    specs: list[RecorderSpec] = field(default_factory=list)

    def __call__(self, spec: RecorderSpec) -> "Recorders":
        self.specs.append(spec)
        return self

    def ready(self) -> RecorderFolder:
        if isinstance(self.ended, StateError):
            raise self.ended
        folder = RecorderFolder(self.runtime / f"next{len(self.specs)}")
        if self.ended is not None:
            folder.end(protocol.encode(self.ended))
        else:
            RecorderFolder(self.runtime / str(self.specs[-1].replaces)).remove()
        return folder

    def wait(self, _timeout_s: float) -> bool:
        return True

    def when_idle(self) -> None:
        pass


def served(archive: Archive, spawn: Recorders, enough: Callable[[list[str]], object]) -> list[str]:
    """Let a daemon run until `enough` is true of what it has told; return that."""
    told: list[str] = []
    stop = threading.Event()
    daemon = supervisor.RecorderSupervisor(
        [archive], SystemClock(), told.append, lambda outcome: told.append(outcome.state),
        spawn, spawn.when_idle,  # type: ignore[arg-type]
    )  # fmt: skip
    thread = threading.Thread(target=daemon.run, args=(stop,))
    thread.start()
    try:
        wait_for(lambda: enough(told))
    finally:
        stop.set()
        thread.join()
    return told


def test_one_that_had_ended_is_recovered_instead(killed_live: LeaveKilled, archive: Archive, runtime: Path) -> None:
    ended = leftovers.event(2, "session-ended", "Rapat", media_time_s=2.0, frames=50)
    folder, _ = killed_live(ended)
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    assert not folder.path.exists()
    assert [package.state for package in archive.list()] == [PackageState.SEALED]


@pytest.mark.parametrize("ended", [StateError("no camera"), protocol.RecorderFailure(message="no camera")])
def test_what_cannot_be_taken_up_now_is_tried_again(
    killed_live: LeaveKilled, archive: Archive, runtime: Path, ended: protocol.RecorderFailure | StateError
) -> None:
    folder, work = killed_live()
    spawn = Recorders(runtime, ended)
    told = served(archive, spawn, lambda _told: len(spawn.specs) >= 2)
    assert any("cannot be taken up now: no camera" in text for text in told)
    assert folder.path.exists()
    assert work.exists(), "nor is it sealed meanwhile"


def test_one_whose_next_recorder_was_ended_before_it_recorded_is_recovered(
    killed_live: LeaveKilled, archive: Archive, runtime: Path
) -> None:
    folder, _ = killed_live()
    spawn = Recorders(runtime, ended=NOTHING_RUNS)
    served(archive, spawn, lambda told: "sealed" in told)
    assert len(spawn.specs) == 1
    assert not folder.path.exists()


def test_of_two_killed_recorders_of_a_session_the_one_that_recorded_counts(archive: Archive, runtime: Path) -> None:
    """The second died before it recorded anything, and the daemon with it."""
    first = killed(archive.root)
    second = killed(archive.root, spec=msgspec.structs.replace(ARMED, replaces=first.id))
    info = second.info()
    assert info
    second.write_info(msgspec.structs.replace(info, replaces=first.id))
    spawn = Recorders(runtime)
    served(archive, spawn, lambda _told: spawn.specs and not runtime_directory.killed_recorders())
    assert [each.replaces for each in spawn.specs] == [first.id]


def test_recorders_that_die_at_once_are_started_ever_more_seldom(
    archive: Archive, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes while none is being started."""
    now, times = [0.0], list[float]()

    class Dying(Recorders):
        def ready(self) -> RecorderFolder:
            times.append(now[0])
            killed(archive.root)
            return super().ready()

        def when_idle(self) -> None:
            now[0] += 0.25

    monkeypatch.setattr(supervisor, "LOOK_S", 0.01)
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    killed(archive.root)
    served(archive, Dying(runtime), lambda _told: len(times) >= 4)
    assert [later - before for before, later in pairwise(times)][:3] == pytest.approx([1, 2, 4], abs=0.5)


@pytest.mark.parametrize("was_ended", [False, True])
def test_one_that_was_killed_long_ago_is_recovered_and_has_failed_unless_people_had_ended_it(
    killed_live: LeaveKilled, archive: Archive, runtime: Path, *, was_ended: bool
) -> None:
    """A planned session that has failed is begun again."""
    stopping = leftovers.event(2, "session-stopping", "Rapat")
    folder, _ = killed_live(*[stopping] * was_ended, ago_s=LONG_AGO_S)
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    failed = None if was_ended else protocol.RecorderFailure(message=supervisor.KILLED)
    assert read_result(ended_recorder_folder(folder.id)) == failed


def test_one_that_was_killed_long_ago_and_whose_disk_is_away_is_not_said_to_be_recovered(
    killed_live: LeaveKilled, tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    _, work = killed_live(ago_s=LONG_AGO_S)
    archive.root.rename(away := tmp_path / "away")
    (text,) = served(archive, Recorders(runtime), lambda told: told)
    assert "killed long ago, and nothing of it is in" in text
    assert "liput recover" in text
    away.rename(archive.root)
    assert work.exists()


def test_one_that_was_armed_long_ago_and_killed_just_now_is_armed_again(archive: Archive, runtime: Path) -> None:
    killed(archive.root, age_s=10 * presence.RESUME_WITHIN_S)
    spawn = Recorders(runtime)
    told = served(archive, spawn, lambda _told: spawn.specs)
    assert [(each.arm_only, each.asked.allow_missing) for each in spawn.specs] == [(True, True)]
    assert not any("long ago" in text for text in told)


@pytest.mark.parametrize(("boot", "left_s"), [(boot_id(), 3540.0), ("another", 3600.0 - 1800.0)])
def test_the_length_that_was_asked_for_counts_from_when_it_was_live(
    killed_live: LeaveKilled, archive: Archive, runtime: Path, boot: str, left_s: float
) -> None:
    """Armed two hours ago; the wall clock was set by half an hour, and clocks of two boots cannot be compared."""
    folder, _ = killed_live(duration_s=3600.0, age_s=7200.0)
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


# Who waits for the recorder that goes on in the place of a killed one, and for how long


def recorder(**facts: object) -> RecorderFolder:
    """Leave the folder of a recorder: this very process, so that it counts as alive."""
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    facts = {"work": "/arsip/.incoming/rapat"} | facts
    return runtime_directory.make_recorder_folder(msgspec.structs.replace(info, **facts), b"{}")


@pytest.mark.parametrize("died_before_it_recorded", [False, True])
def test_one_that_comes_in_the_place_of_the_killed_one_is_waited_for(*, died_before_it_recorded: bool) -> None:
    killed = recorder(pid_started=1)
    waited_for = [killed]
    if died_before_it_recorded:  # who comes then is in the place of the first
        second = recorder(pid_started=1, replaces=killed.id)
        info = second.info()
        assert info
        waited_for = with_replaced(second, info)
        second.remove()  # the daemon does: nothing is lost with it

    def come() -> None:
        recorder(replaces=killed.id)
        killed.remove()

    with presence.daemon_lock():
        coming = threading.Timer(0.3, come)
        coming.start()
        found = successor(*waited_for)
        coming.join()
    assert found
    info = found.info()
    assert info
    assert info.replaces == killed.id


def test_none_is_waited_for_once_the_session_is_given_up_or_where_no_daemon_runs() -> None:
    """The daemon takes the folder away, and makes a package of what there is."""
    killed = recorder(pid_started=1)
    began_s = time.monotonic()
    assert successor(killed, patience_s=3600.0) is None
    with presence.daemon_lock():
        threading.Timer(0.3, killed.remove).start()
        assert successor(killed, patience_s=3600.0) is None
    assert time.monotonic() - began_s < PATIENCE_S


# Recovery of unfinished sessions beside running ones, in rounds


def test_what_is_recorded_at_its_start_is_left_alone_even_if_its_recorder_is_killed_just_then(
    archive: Archive, program: Path
) -> None:
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])  # nobody holds it, as after a kill
    alive = recorder(archive=str(archive.root), work=str(work))  # when it is looked
    outcomes: list[object] = []
    daemon = supervisor.SessionRecovery([archive], SystemClock(), print, outcomes.append)
    daemon.recover_round()
    assert not outcomes, "it is gone on with"
    alive.remove()
    daemon.recover_round()
    assert len(outcomes) == 1


def test_an_archive_that_cannot_be_read_at_first_is_no_reason_to_take_what_a_recorder_has_just_made(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, outcomes = list[str](), list[object]()
    daemon = supervisor.SessionRecovery([archive], SystemClock(), told.append, outcomes.append)

    def fail(_archives: object) -> NoReturn:
        raise ArchiveError("the disk is away")

    with monkeypatch.context() as patched:
        patched.setattr(supervisor, "find_unfinished", fail)
        with pytest.raises(ArchiveError):
            daemon.recover_round()
    leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    alive = recorder(archive=str(archive.root), work=None)
    daemon.recover_round()
    alive.remove()
    daemon.recover_round()
    assert not outcomes, "it may be locked in a moment"
    daemon.recover_round()
    assert len(outcomes) == 1


@pytest.mark.parametrize(("is_damaged", "state", "packages"), [(False, "sealed", (1, 0)), (True, "failed", (1, 1))])
def test_a_session_keeps_parts_from_being_joined_and_what_does_is_told_once(
    tmp_path: Path, archive: Archive, program: Path, is_damaged: bool, state: str, packages: tuple[int, int]
) -> None:
    outcomes = list[RecoveryOutcome]()
    second = archives.archive_at(tmp_path / "disk-2")
    for place, part in ((archive, 1), (second, 2)):
        left = leftovers.leave(place, {"program.mp4": program}, part=part, offset_s=4.0 * part, events=[live(4 * part)])
        place.seal(place.reopen(left), may_be_joined=True)
    daemon = supervisor.SessionRecovery([archive, second], SystemClock(), print, outcomes.append)
    alive = recorder(archive=str(archive.root), work=None)
    daemon.recover_round()
    assert not outcomes
    alive.remove()
    if is_damaged:
        (damaged,) = second.list()
        (damaged.folder / "data/media/program.mp4").write_bytes(b"rot")
    for _ in range(2):
        daemon.recover_round()
    assert [outcome.state for outcome in outcomes] == [state]
    assert (len(archive.list()), len(second.list())) == packages


# The recorder in reserve: one at a time, replaced when it ends, gone with its daemon


def spare_pids() -> list[int]:
    """Return the recorders that are children of this process."""
    return [child.pid for child in children("recorder.control.process")]


def test_a_spare_recorder_waits_and_ends_with_its_daemon(archive: Archive, runtime: Path) -> None:
    told: list[str] = []
    spares = StandbyRecorder(told.append)
    spares.keep()
    (first,) = wait_for(spare_pids)
    spares.keep()
    assert spare_pids() == [first]
    asked = SessionRequest(title="Rapat", videos=("synthetic",), profile="240p15", archive=archive.root, reserve=1)
    recorder = spares.take(RecorderSpec(asked=asked, folder=archive.root))
    recorder.ready()
    info = recorders.recording(runtime)
    assert info.pid == first
    send_command(RecorderFolder(runtime / info.id), protocol.StopCommand())
    assert recorder.wait(60.0)
    spares.keep()
    assert len(wait_for(spare_pids)) == 1
    spares.close()
    assert spare_pids() == []
    assert told == []
    (package,) = archive.list()
    assert package.state is PackageState.SEALED


def test_a_spare_that_ends_at_once_is_replaced_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead:
        notes = ("a note",)

        def __init__(self, spec: RecorderSpec | None) -> None:
            begun.append(now[0])

        def wait(self, timeout_s: float) -> bool:
            return True

    begun, now, told = list[float](), [0.0], list[str]()
    monkeypatch.setattr(standby, "SpawnedRecorder", Dead)
    monkeypatch.setattr(standby, "time", SimpleNamespace(monotonic=lambda: now[0]))
    spares = StandbyRecorder(told.append)
    for _ in range(4 * 120):
        spares.keep()
        now[0] += supervisor.LOOK_S
    assert [later - before for before, later in pairwise(begun)][:5] == pytest.approx([1, 2, 4, 8, 16], abs=1)
    assert len(begun) < 10
    assert len(told) == len(begun)
