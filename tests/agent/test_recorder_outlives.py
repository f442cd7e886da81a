"""A recorder goes on whatever becomes of whoever started it, stands still or not, and its PC stays awake for it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

import pytest

from recorder.model.status import SessionResult, SessionStatus
from recorder.running import access
from recorder.running.client import ControlClient, send_command
from recorder.running.protocol import MarkCommand, StartCommand, StatusCommand, StopCommand, WatchCommand
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from tests.proofs.sync import sound_times
from tests.support import command
from tests.support.buses import logind, private_bus, screensaver
from tests.support.command import ROOT, running, until_on_disk
from tests.support.recorders import recorders
from tests.support.room import FPS, Room, frames, program
from tests.support.sessions import faults
from tests.support.terminal import Terminal
from tests.support.waiting import wait_for


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


def test_a_killed_command_line_costs_the_recording_nothing(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, info = the_recorder(runtime)
        assert os.getsid(info.pid) == info.pid, "signals of terminals do not reach it"
        os.killpg(session.pid, signal.SIGKILL)  # everything of the command's session
        until_recorded(folder, 1.5)
        assert "LIVE" in command.liput(room.home, "status").stdout
        done = command.liput(room.home, "stop")
        wait_for(lambda: not folder.path.exists())  # which it takes away itself
    package = room.only_package()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"Package: {package}"), done.stderr
    assert frames(package) > FPS


def test_a_window_that_is_closed_ends_nothing(room: Room, runtime: Path) -> None:
    with Terminal(room.home, *room.words()) as terminal:
        terminal.until("LIVE")
        folder, _ = the_recorder(runtime)
        terminal.close_window()
        status = send_command(folder, StatusCommand()).status
        assert status
        until_recorded(folder, status.media_time_s + 1.0)
        result = stopped(folder)
        assert (result.state, faults(result)) == ("sealed", [])
        assert terminal.wait() == 0  # `record` itself has gone on without it
    assert result.frames == frames(room.only_package()) > FPS


def test_who_has_slept_through_the_end_is_told_how_it_ended(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session:
        session.until("event", kind="session-live")
        folder, _ = the_recorder(runtime)
        session.signal(signal.SIGSTOP)
        for number in range(100):  # no socket of a sleeper holds so much
            with ControlClient(folder) as connection:
                connection.request(MarkCommand(text=f"{number} " + "x" * 1900))
        result = stopped(folder)
        assert (result.state, faults(result)) == ("sealed", [])
        wait_for(lambda: not folder.path.exists())  # it does not wait for a sleeper for ever
        session.signal(signal.SIGCONT)
        assert session.wait() == 0, session.seen
    assert session.seen[-1]["package"] == str(room.only_package())


def test_while_it_stands_still_all_sound_is_recorded_and_none_is_called_silent(room: Room, runtime: Path) -> None:
    """As on a virtual PC that is paused: it has what its sources gave meanwhile."""
    with running(room.home, *room.words("--json", "--audio", "synthetic", "--for", "4s")) as session:
        until_on_disk(session.read(), 1.0)
        _, info = the_recorder(runtime)
        os.kill(info.pid, signal.SIGSTOP)
        time.sleep(2.0)  # in real time: longer than any source may give nothing
        os.kill(info.pid, signal.SIGCONT)
        session.wait()
    assert [line["kind"] for line in session.seen if line.get("subject") == "synthetic sound"] == []
    assert sound_times(program(room.only_package()), 0.0) == pytest.approx(range(4), abs=0.04)


def test_sleep_and_lock_are_held_off_from_arming_to_the_end_and_its_heart_beats(
    room: Room, runtime: Path, tmp_path: Path
) -> None:
    with private_bus(tmp_path / "bus") as bus, logind(bus) as login, screensaver(bus) as desktop:
        buses = {"DBUS_SYSTEM_BUS_ADDRESS": bus, "DBUS_SESSION_BUS_ADDRESS": bus}
        armed = command.liput(room.home, "arm", *room.words()[1:], more=buses)
        assert armed.returncode == 0, armed.stderr
        folder, info = the_recorder(runtime)
        began_s = folder.last_beat_s
        wait_for(lambda: len(login.held) == 2 and len(desktop.held) == 1)
        assert login.held[0] == ("sleep:idle", "Liput", "Rapat Senat: a session is armed or recorded", "block")
        wait_for(lambda: folder.last_beat_s > began_s)
        armed_at = datetime.now().astimezone()
        send_command(folder, StartCommand(pre_roll_s=1.0))
        live_at = wait_for(lambda: (now := folder.info()) and now.live_at)
        assert live_at
        assert info.started_at < live_at < armed_at, "it reaches back"
        assert (len(login.held), len(desktop.held)) == (2, 1)
        stopped(folder)
        wait_for(lambda: login.held == desktop.held == [])
        assert len(login.asked) == 2  # nothing was asked for twice


# Clients that hang, flood, talk rubbish or come in crowds, at a real recorder

CONNECT = """
import os, sys
from contextlib import suppress
from pathlib import Path
from recorder.running import access

def connect(timeout_s=1.0):
    return access.connect_to(Path(sys.argv[1]), timeout_s)
"""
WATCHER = """
c = connect(60.0)
c.sendall(b'{"command": "watch", "every_s": 0.1, "events_from": 0}\\n')
c.recv(10)
print(flush=True)
while c.recv(4096): pass
"""
FLOODER = """
c = connect(60.0)
print(flush=True)
c.sendall(100_000 * b'{"command": "status"}\\n')
"""
CROWD = """
print(flush=True)
while True:
    with suppress(OSError):
        connect().close()
"""
GARBAGE = """
print(flush=True)
while True:
    with suppress(OSError):
        connect().sendall(os.urandom(1_000_000))
"""


@contextlib.contextmanager
def client(code: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a client in a process of its own; it has begun when this returns, and is gone afterwards."""
    with subprocess.Popen(
        [sys.executable, "-c", CONNECT + code, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_hostile_clients_cost_the_recording_and_a_good_client_nothing(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json")) as session, ExitStack() as stack:
        session.until("event", kind="session-live")
        folder, _ = the_recorder(runtime)
        stopped = [stack.enter_context(client(WATCHER, folder.control)) for _ in range(3)]
        for one in stopped:
            one.send_signal(signal.SIGSTOP)
        for code in (FLOODER, CROWD, GARBAGE):
            stack.enter_context(client(code, folder.control))
        stack.enter_context(client(GARBAGE, folder.preview))
        half = stack.enter_context(closing(access.connect_to(folder.control, 10.0)))
        half.sendall(b'{"command": "st')
        hangs = stack.enter_context(closing(access.connect_to(folder.preview, 10.0)))
        hangs.sendall(b'{"source": "program", "fps": 5, "width": 1280}\n')
        for number in range(3):
            assert command.liput(room.home, "mark", f"tanda {number}", timeout=20).returncode == 0
        assert command.liput(room.home, "stop", timeout=30).returncode == 0
        assert session.wait() == 0, session.seen[-1]
        (*_, last) = command.of_type(session.seen, "status")
    result = session.seen[-1]
    assert result["degraded"] == []
    assert result["frames"] == pytest.approx(float(str(result["duration_s"])) * FPS, abs=1)
    assert (last["dropped"], last["repeated"]) == (0, 0)
    package = room.only_package()
    assert frames(package) == result["frames"]
    told = command.of_type(session.seen, "event")
    assert told == command.lines((package / "metadata/events.jsonl").read_text())
    marks = [line["subject"] for line in told if line["kind"] == "mark"]
    assert marks == [f"tanda {number}" for number in range(3)]
