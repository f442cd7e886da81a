"""The daemon, with real recorders that are really killed."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from agent.daemon import presence
from config.errors import StateError
from recorder.archive.archive import Archive
from recorder.model.status import SessionState, SessionStatus
from recorder.package.metadata import PackageState, VideoTrack
from recorder.running import runtime_directory
from recorder.running.client import send_command
from recorder.running.protocol import LayoutCommand, MarkCommand, MuteCommand, StatusCommand, StopCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
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


def test_there_is_one_only(runtime: Path, tmp_path: Path) -> None:
    assert not presence.is_serving()
    with presence.daemon_lock():
        assert presence.is_serving()
        with pytest.raises(StateError, match="runs already"), presence.daemon_lock():
            pass
        done = command.liput(tmp_path, "serve", "--archive", tmp_path)
        assert done.returncode == 1
        assert "runs already" in done.stderr
    assert not presence.is_serving()
