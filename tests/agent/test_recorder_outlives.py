"""A recorder goes on whatever becomes of whoever started it, and is found again."""

import io
import json
import os
import signal
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recorder.model.status import SessionResult, SessionStatus
from recorder.running import access, runtime_directory
from recorder.running.client import ControlClient, send_command
from recorder.running.protocol import MarkCommand, StartCommand, StatusCommand, StopCommand, WatchCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from tests.support import command
from tests.support.command import running
from tests.support.recorders import kill, recorders
from tests.support.room import FPS, Room, frames
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for

SMALL = (120, 160, 3)


def the_recorder(runtime: Path) -> tuple[RecorderFolder, RecorderInfo]:
    (info,) = recorders(runtime)
    return RecorderFolder(runtime / info.id), info


def until_recorded(folder: RecorderFolder, seconds: float) -> None:
    """Watch until so much is on disk."""
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=0.1))
        for told in told_by(connection):
            if isinstance(told, SessionStatus) and told.media_time_s >= seconds:
                return


def told_by(connection: ControlClient) -> Iterator[object]:
    while told := connection.told(30.0):
        yield told


def stopped(folder: RecorderFolder) -> SessionResult:
    """End it, and return what came of it."""
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=10))
        connection.request(StopCommand())
        return next(told for told in told_by(connection) if isinstance(told, SessionResult))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_stopped_command_line_costs_the_recording_nothing(
    room: Room, runtime: Path, number: signal.Signals
) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, info = the_recorder(runtime)
        os.killpg(session.pid, number)  # everything of the command's session
        until_recorded(folder, 1.5)
        result = stopped(folder)
        wait_for(lambda: not folder.path.exists())  # which it takes away itself
    assert (result.state, result.degraded) == ("sealed", [])
    assert result.frames == frames(room.only_package()) > FPS
    assert info.title == "Rapat Senat"


def test_a_window_that_is_closed_ends_nothing(room: Room, runtime: Path) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        terminal.until("LIVE")
        folder, _ = the_recorder(runtime)
        terminal.close_window()
        status = send_command(folder, StatusCommand()).status
        assert status
        until_recorded(folder, status.media_time_s + 1.5)
        result = stopped(folder)
        assert (result.state, result.degraded) == ("sealed", [])
        assert terminal.wait() == 0  # `record` itself has gone on without it
    assert result.frames == frames(room.only_package()) > FPS


def test_signals_of_terminals_do_not_reach_it_and_sigterm_ends_it_in_order(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, info = the_recorder(runtime)
        assert os.getsid(info.pid) == info.pid != os.getsid(session.pid)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(info.pid, number)
        until_recorded(folder, 1.0)
        os.kill(info.pid, signal.SIGTERM)
        assert session.wait() == 0, session.seen
    assert session.seen[-1]["degraded"] == []
    assert frames(room.only_package()) > 0


def test_what_it_says_of_itself_names_its_work_and_no_address(room: Room, runtime: Path) -> None:
    address = room.home / "alamat"
    address.touch(0o600)
    address.write_text("rtmp://127.0.0.1:1/live/kunci-9f27-rahasia")
    with running(room.home, *room.words("--json", "--stream", f"@{address}")) as session:
        session.until("event", kind="session-live")
        folder, info = the_recorder(runtime)
        (work,) = room.archive.glob(".incoming/*")
        wait_for(lambda: (now := folder.info()) and now.work == str(work))
        assert info.archive == str(room.archive)
        spec = json.loads(folder.spec.read_bytes())
        everything = b"".join(path.read_bytes() for path in folder.path.iterdir() if path.is_file())
        session.until("event", kind="destination-lost")
        session.signal(signal.SIGINT)
        assert session.wait() == 3
    assert spec["asked"]["streams"] == [f"@{address}"]
    assert (spec["asked"]["title"], spec["folder"], spec["unsaved"]) == ("Rapat Senat", str(room.home), [])
    assert b"kunci" not in everything
    assert b"rtmp" not in everything


def test_its_heart_beats_while_it_is_armed_and_it_says_when_it_began_to_record(room: Room, runtime: Path) -> None:
    assert command.liput(room.home, "arm", *room.words()[1:]).returncode == 0
    folder, info = the_recorder(runtime)
    began_s = folder.last_beat_s
    wait_for(lambda: folder.last_beat_s > began_s + 1.5)
    armed_at = datetime.now().astimezone()
    with ControlClient(folder) as connection:
        connection.request(StartCommand(pre_roll_s=1.0))
    live_at = wait_for(lambda: (now := folder.info()) and now.live_at)
    assert live_at
    assert info.started_at < live_at < armed_at, "it reaches back"
    stopped(folder)


def test_a_killed_recorder_is_told_of_and_what_it_was_asked_for_stays(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, info = the_recorder(runtime)
        kill(info.pid)
        assert session.wait() == 1
        assert "the recorder was killed" in str(session.seen[-1]["message"])
    assert [found.id for found in runtime_directory.killed_recorders()] == [folder.id]
    assert json.loads(folder.spec.read_bytes())["asked"]["title"] == "Rapat Senat"


def test_who_has_slept_through_the_end_is_told_how_it_ended(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, _ = the_recorder(runtime)
        session.signal(signal.SIGSTOP)
        fill(folder)
        stopped(folder)
        wait_for(lambda: not folder.path.exists())  # it does not wait for a sleeper for ever
        session.signal(signal.SIGCONT)
        assert session.wait() == 0, session.seen
    assert session.seen[-1]["package"] == str(room.only_package())


def fill(folder: RecorderFolder) -> None:
    """Make so much happen that no socket of a sleeper holds it."""
    for number in range(100):
        with ControlClient(folder) as connection:
            connection.request(MarkCommand(text=f"{number} " + "x" * 1900))


def test_somebody_elses_stop_ends_the_command_in_order_too(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, _ = the_recorder(runtime)
        send_command(folder, StopCommand())
        send_command(folder, StopCommand())  # again, which changes nothing
        assert session.wait() == 0
    assert session.seen[-1]["package"] == str(room.only_package())


def test_the_program_and_each_source_can_be_looked_at_while_it_records(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, _ = the_recorder(runtime)
        for source in ("program", "synthetic picture"):
            with access.connect_to(folder.preview, 10.0) as viewer, viewer.makefile("rb") as file:
                viewer.sendall(json.dumps({"source": source, "fps": 5, "width": 160}).encode() + b"\n")
                answer = json.loads(file.readline())
                assert answer["ok"], answer
                shown = []
                for _ in range(3):
                    (length,) = struct.unpack(">I", file.read(4))
                    shown.append(np.asarray(Image.open(io.BytesIO(file.read(length)))))
                assert {picture.shape for picture in shown} == {SMALL}
                assert all(picture.max() > 100 for picture in shown)  # no black one
        session.signal(signal.SIGINT)
        assert session.wait() == 0
    assert session.seen[-1]["degraded"] == []
    assert frames(room.only_package()) == session.seen[-1]["frames"]
