"""The daemon, with real recorders that are really killed."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from agent.daemon import presence, supervisor
from config.errors import StateError
from config.events import Event
from devices.host.clock import SystemClock, boot_id
from recorder.archive.archive import Archive
from recorder.control.spec import RecorderSpec, decode_spec, encode_spec_for_disk
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.package.metadata import PackageState, VideoTrack
from recorder.running import runtime_directory
from recorder.running.client import read_result, send_command
from recorder.running.protocol import (
    LayoutCommand,
    MarkCommand,
    MuteCommand,
    RecorderFailure,
    StatusCommand,
    StopCommand,
    encode,
)
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo, ended_recorder_folder
from recorder.session.request import SessionRequest
from tests.support import archives, command, leftovers, media, recorders
from tests.support.leftovers import live
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb


def end(runtime: Path, info: RecorderInfo) -> None:
    send_command(RecorderFolder(runtime / info.id), StopCommand())
    wait_for(lambda: not recorders.recorders(runtime))


@contextmanager
def recorded(home: Path, archive: Archive) -> Iterator[tuple[command.Running, command.Running]]:
    """Run a daemon, and beside it a session that records; give both commands."""
    options = ("--title", "Rapat", "--video", "synthetic", "--profile", "240p15", "--archive", archive.root, "--json")
    with (
        command.running(home, "serve", "--archive", archive.root, "--json") as daemon,
        command.running(home, "record", *options) as client,
    ):
        daemon.until("note", text="ready")
        client.until("status", state="live")
        yield daemon, client


@pytest.mark.slow
def test_a_session_whose_recorder_is_killed_goes_on_and_becomes_one_package(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    with recorded(tmp_path, archive) as (_, client):
        first = recorders.recording(runtime)
        reach_disk(runtime, first, 1.0)
        recorders.kill(first.pid)
        again = recorders.recording(runtime, first.pid)
        assert again.work == f"{first.work}.2"
        done = command.liput(tmp_path, "recover", "--json", "--archive", archive.root)
        assert [line["state"] for line in command.lines(done.stdout)] == ["recording"]
        reach_disk(runtime, again, 1.0)
        end(runtime, again)
        result = client.until("result")
        assert client.wait() == 3, "it has followed the session to its end"
    (package,) = archive.list()
    assert (result["state"], result["package"]) == ("sealed", package.path)
    assert package.state is PackageState.SEALED
    assert archive.verify(package, decode=True) == []
    recording = package.recording
    assert recording
    assert [part.part for part in recording.parts] == [1, 2]
    (gap,) = recording.gaps
    assert gap.reason.startswith("between part 1 and part 2; the recorder was killed at")
    assert recording.parts[1].offset_s == pytest.approx(gap.start_s + gap.duration_s, abs=0.1)
    program = package.folder / "data" / "media" / "program.mp4"
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").end_s == pytest.approx(recording.duration_s, abs=0.3)
    log = [json.loads(line) for line in (package.folder / "metadata" / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in log if event["kind"].startswith("session-")] == [
        "session-live", "session-resumed", "session-live", "session-stopping", "session-ended",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("by_name", [False, True])
def test_a_stop_that_comes_just_when_its_recorder_was_killed_ends_the_session(
    tmp_path: Path, archive: Archive, runtime: Path, *, by_name: bool
) -> None:
    """Else it would be gone on with after people have ended it."""
    with recorded(tmp_path, archive) as (daemon, client):
        first = recorders.recording(runtime)
        daemon.signal(signal.SIGSTOP)  # it has not seen it yet
        recorders.kill(first.pid)
        with command.running(tmp_path, "stop", "--json", *(("--session", first.id[:4]) if by_name else ())) as stop:
            time.sleep(1)
            daemon.signal(signal.SIGCONT)
            assert stop.wait() == 3, stop.seen
        assert stop.seen[-1]["state"] == "sealed"
        client.until("result")
        wait_for(lambda: not recorders.recorders(runtime))
        assert runtime_directory.killed_recorders() == []
    (package,) = archive.list()
    assert stop.seen[-1]["package"] == str(package.path)
    assert package.recording
    assert len(package.recording.parts) == 2


@pytest.mark.slow
def test_ending_the_command_line_just_when_its_recorder_was_killed_ends_the_session(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    """Who is asked is the one that goes on: it is not there yet."""
    with recorded(tmp_path, archive) as (daemon, client):
        first = recorders.recording(runtime)
        daemon.signal(signal.SIGSTOP)  # it has not seen it yet
        recorders.kill(first.pid)
        time.sleep(1)
        client.signal(signal.SIGTERM)
        time.sleep(1)
        daemon.signal(signal.SIGCONT)
        assert client.wait() == 3
        assert client.seen[-1]["state"] == "sealed"
        wait_for(lambda: not recorders.recorders(runtime))
    (package,) = archive.list()
    assert package.recording
    assert len(package.recording.parts) == 2


@pytest.mark.slow
def test_killing_the_daemon_costs_nothing_and_the_next_one_goes_on(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    options = ("--title", "Rapat", "--video", "synthetic", "--profile", "240p15", "--archive", archive.root, "--json")
    with (
        command.running(tmp_path, "record", *options) as client,
        command.running(tmp_path, "serve", "--archive", archive.root, "--json") as daemon,
    ):
        daemon.until("note", text="ready")
        first = recorders.recording(runtime)
        client.until("status", state="live")
        daemon.signal(signal.SIGKILL)
        reach_disk(runtime, first, 1.0)
        recorders.kill(first.pid)
        with command.running(tmp_path, "serve", "--archive", archive.root, "--json") as other:
            again = recorders.recording(runtime, first.pid)
            reach_disk(runtime, again, 1.0)
            other.signal(signal.SIGTERM)
            assert other.wait() == 0, "it ends in order, and the recorder goes on"
            assert recorders.recorders(runtime) == [again]
            end(runtime, again)
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    assert package.recording
    assert len(package.recording.parts) == 2


@pytest.mark.slow
def test_layout_mutes_screen_and_form_are_taken_along(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    """Killed with its screen there, and again with its screen gone: the first source is missing, and it goes on."""
    words = ("--title", "Rapat", "--video", "screen", "--audio", "synthetic", "--profile", "240p15")
    with (
        command.running(tmp_path, "serve", "--archive", archive.root, "--json") as daemon,
        Xvfb(tmp_path, 320, 200) as server,
    ):
        daemon.until("note", text="ready")
        with command.running(
            tmp_path, "record", *words, "--archive", archive.root, "--json", more={"DISPLAY": server.display}
        ) as client:
            client.until("event", kind="session-live")
            first = recorders.recording(runtime)
            for request in (LayoutCommand(name="pause"), MuteCommand(name=None)):
                send_command(RecorderFolder(runtime / first.id), request)
            client.until("status", layout="pause")
            reach_disk(runtime, first, 1.0)
        recorders.kill(first.pid)
        second = recorders.recording(runtime, first.pid)
        status = status_of(runtime, second)
        assert (status.layout, [line.muted for line in status.sounds]) == ("pause", [True])
        assert not any(trouble.startswith("source-lost") for trouble in status.troubles), "its screen is found"
        mark = send_command(RecorderFolder(runtime / second.id), MarkCommand(text="Lagi")).mark
        assert isinstance(mark, dict)
        send_command(RecorderFolder(runtime / second.id), LayoutCommand(name="single"))
        wait_for(lambda: status_of(runtime, second).bytes and status_of(runtime, second).frames > 15)
        server.__exit__(None, None, None)
        recorders.kill(second.pid)
        third = recorders.recording(runtime, second.pid)
        wait_for(lambda: status_of(runtime, third).bytes and status_of(runtime, third).frames > 15)
        status = status_of(runtime, third)
        assert (status.layout, status.state) == ("single", SessionState.DEGRADED)
        end(runtime, third)
    (package,) = archive.list()
    assert package.recording
    assert [part.part for part in package.recording.parts] == [1, 2, 3]
    assert [each.media_s for each in package.recording.marks] == [pytest.approx(mark["media_s"], abs=0.5)]
    assert mark["media_s"] > package.recording.parts[1].offset_s
    assert archive.verify(package, decode=True) == []
    (file,) = package.recording.media
    (picture,) = (track for track in file.tracks if isinstance(track, VideoTrack))
    assert (picture.width, picture.height) == (320, 200)
    loud = [at_s for at_s, peak in levels(package.folder / file.file) if peak > 0.001]
    assert max(loud) < 1.5, "it was muted soon after its beginning, and then by each recorder from its first packet on"


def levels(path: Path) -> list[tuple[float, float]]:
    """Return when each frame of sound is heard, and its peak, of 1."""
    with av.open(path) as film:
        return [
            (float(frame.pts * frame.time_base), float(np.abs(frame.to_ndarray()).max()))
            for frame in film.decode(audio=0)
            if frame.pts is not None and frame.time_base is not None
        ]


def status_of(runtime: Path, info: RecorderInfo) -> SessionStatus:
    status = send_command(RecorderFolder(runtime / info.id), StatusCommand()).status
    assert status
    return status


def reach_disk(runtime: Path, info: RecorderInfo, media_time_s: float) -> None:
    """Wait until so much of a recording is on disk."""
    wait_for(lambda: status_of(runtime, info).media_time_s > media_time_s)


def test_what_was_left_before_it_is_recovered_at_its_start(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    leftovers.leave(archive, {"program.mp4": program}, events=[live()])
    with command.running(tmp_path, "serve", "--archive", archive.root, "--json") as daemon:
        assert daemon.until("recovery")["state"] == "sealed"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    (package,) = archive.list()
    assert package.state is PackageState.SEALED


def test_packages_of_parts_become_one_once_there_is_room(tmp_path: Path, archive: Archive, runtime: Path) -> None:
    program, second = archives.make_program(tmp_path / "program.mp4"), archives.archive_at(tmp_path / "disk-2")
    for place, part in ((archive, 1), (second, 2)):
        left = leftovers.leave(place, {"program.mp4": program}, part=part, offset_s=4.0 * part, events=[live(4 * part)])
        place.seal(place.reopen(left), may_be_joined=True)
    settings = tmp_path / "liput.toml"
    settings.write_text(f'[archive]\npath = "{archive.root}"\n[storage]\npaths = ["{second.root}"]\n')
    with command.running(tmp_path, "serve", "--json", more={"LIPUT_CONFIG": str(settings)}) as daemon:
        told = daemon.until("recovery")
        assert (told["state"], len(told["parts"])) == ("sealed", 2)  # type: ignore[arg-type]
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    (package,), others = archive.list(), second.list()
    assert package.recording
    assert ([part.part for part in package.recording.parts], list(others)) == ([1, 2], [])


def test_there_is_one_only(runtime: Path) -> None:
    assert not presence.is_serving()
    with presence.daemon_lock():
        assert presence.is_serving()
        with pytest.raises(StateError, match="runs already"), presence.daemon_lock():
            pass
    assert not presence.is_serving()


# Which session whose recorder was killed the daemon goes on with, and how; and which it recovers instead


LONG_AGO_S = presence.RESUME_WITHIN_S + 5


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


def killed_live(
    runtime: Path, archive: Archive, *events: Event, duration_s: float | None = None, ago_s: float = 0.0, **more: Any
) -> tuple[RecorderFolder, Path]:
    """Leave a session that was live until its recorder was killed `ago_s` ago; return both folders."""
    program = archives.make_program(runtime.parent / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live(), *events])
    spec = RecorderSpec(asked=SessionRequest(title="Rapat", duration_s=duration_s))
    folder = killed(runtime, archive.root, work=str(work), spec=spec, **more)
    beat_s = time.time() - ago_s
    os.utime(folder.path / runtime_directory.RECORDER_FILE, (beat_s, beat_s))
    return folder, work


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


def test_one_that_had_ended_is_recovered_instead(archive: Archive, runtime: Path) -> None:
    ended = leftovers.event(2, "session-ended", "Rapat", media_time_s=2.0, frames=50)
    folder, _ = killed_live(runtime, archive, ended)
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    assert not folder.path.exists()
    assert [package.state for package in archive.list()] == [PackageState.SEALED]


def test_what_cannot_be_taken_up_now_is_tried_again(archive: Archive, runtime: Path) -> None:
    folder, work = killed_live(runtime, archive)
    spawn = Recorders(runtime, works=False)
    told = served(archive, spawn, lambda _told: len(spawn.specs) >= 2)
    assert any("cannot be taken up now: no camera" in text for text in told)
    assert folder.path.exists()
    assert work.exists(), "nor is it sealed meanwhile"


def test_one_whose_next_recorder_fails_before_it_records_is_tried_again(archive: Archive, runtime: Path) -> None:
    folder, work = killed_live(runtime, archive)
    spawn = Recorders(runtime, ended=RecorderFailure(message="the encoder refused its settings"))
    told = served(archive, spawn, lambda _told: len(spawn.specs) >= 2)
    assert any("cannot be taken up now: the encoder refused" in text for text in told)
    assert folder.path.exists()
    assert work.exists()


def test_one_whose_next_recorder_was_ended_before_it_recorded_is_recovered(archive: Archive, runtime: Path) -> None:
    folder, _ = killed_live(runtime, archive)
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


def test_one_that_was_killed_long_ago_is_recovered(archive: Archive, runtime: Path) -> None:
    folder, _ = killed_live(runtime, archive, ago_s=LONG_AGO_S)
    spawn = Recorders(runtime)
    served(archive, spawn, lambda told: "sealed" in told)
    assert spawn.specs == []
    end = read_result(ended_recorder_folder(folder.id))
    assert isinstance(end, RecorderFailure), "nobody has ended it: what was planned is begun again"
    assert end.message == supervisor.KILLED


def test_one_that_people_had_ended_and_that_was_killed_long_ago_is_not_said_to_have_failed(
    archive: Archive, runtime: Path
) -> None:
    """A planned session would be begun again."""
    stopping = leftovers.event(2, "session-stopping", "Rapat")
    folder, _ = killed_live(runtime, archive, stopping, ago_s=LONG_AGO_S)
    served(archive, Recorders(runtime), lambda told: "sealed" in told)
    assert read_result(ended_recorder_folder(folder.id)) is None


def test_one_that_was_killed_long_ago_and_whose_disk_is_away_is_not_said_to_be_recovered(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    _, work = killed_live(runtime, archive, ago_s=LONG_AGO_S)
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
    folder, _ = killed_live(runtime, archive, duration_s=3600.0, age_s=7200.0)
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
    folder, _ = killed_live(runtime, archive, duration_s=3600.0)
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
