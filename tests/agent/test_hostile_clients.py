"""Clients that hang, flood, talk rubbish or come in crowds, at a real recorder: the recording loses nothing by it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from recorder.running import access, runtime_directory
from recorder.running.runtime_directory import RecorderFolder
from tests.support import command
from tests.support.command import ROOT, running
from tests.support.recorders import recorders
from tests.support.room import FPS, Room, frames

WATCHER = """
import sys
from pathlib import Path
from recorder.running import access
c = access.connect_to(Path(sys.argv[1]), 60.0)
c.sendall(b'{"command": "watch", "every_s": 0.1, "events_from": 0}\\n')
c.recv(10)
print(flush=True)
while c.recv(4096): pass
"""
FLOODER = """
import sys
from pathlib import Path
from recorder.running import access
c = access.connect_to(Path(sys.argv[1]), 60.0)
print(flush=True)
c.sendall(100_000 * b'{"command": "status"}\\n')
"""
CROWD = """
import sys
from pathlib import Path
from recorder.running import access
print(flush=True)
while True:
    try:
        access.connect_to(Path(sys.argv[1]), 1.0).close()
    except OSError:
        pass
"""
GARBAGE = """
import os, sys
from pathlib import Path
from recorder.running import access
print(flush=True)
while True:
    try:
        access.connect_to(Path(sys.argv[1]), 1.0).sendall(os.urandom(1_000_000))
    except OSError:
        pass
"""
MARKS = 6


@contextlib.contextmanager
def client(code: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a client in a process of its own; it has begun when this returns, and is gone afterwards."""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_they_cost_the_recording_and_a_good_client_nothing(room: Room) -> None:
    with running(room.home, *room.words("--json")) as session, ExitStack() as stack:
        session.until("event", kind="session-live")
        (info,) = recorders(Path(os.environ[runtime_directory.RUNTIME_VARIABLE]))
        folder = RecorderFolder(Path(os.environ[runtime_directory.RUNTIME_VARIABLE]) / info.id)
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
        for number in range(MARKS):
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
    assert marks == [f"tanda {number}" for number in range(MARKS)]
