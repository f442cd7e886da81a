"""Recorders as units of a service manager: systemd's own socket activation starts one for each connection."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.errors import SessionError
from config.state import STATE_VARIABLE as STATE
from devices.host.process import process_started
from recorder.control import launch
from recorder.control.launch import RecorderUnit
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec, decode_spec
from recorder.model.status import SessionResult
from recorder.running import runtime_directory
from recorder.running.client import ControlClient, send_command
from recorder.running.protocol import RecorderRefused, StatusCommand, StopCommand, WatchCommand
from recorder.session.request import SessionRequest
from tests.support import command, recorders
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[3]
RECORDER = ("setsid", sys.executable, "-P", "-m", launch.MODULE, launch.UNIT_ARGUMENT)


@dataclass
class Manager:
    """systemd-socket-activate, which starts `words` for each connection as systemd does for a socket of Accept=yes."""

    address: Path
    process: "subprocess.Popen[bytes]"

    def is_parent_of(self, pid: int) -> bool:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        return int(parent) == self.process.pid


type Start = Callable[..., Manager]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Provide what starts a manager whose socket LIPUT_RECORDERS then names."""
    managers = []

    def started(*words: str) -> Manager:
        address = tmp_path / "recorders.sock"
        variables = [f"--setenv={name}={os.environ[name]}" for name in (STATE, runtime_directory.RUNTIME_VARIABLE)]
        process = subprocess.Popen(
            ["systemd-socket-activate", f"--listen={address}", "--accept", "--inetd", *variables,
             f"--setenv=PYTHONPATH={ROOT}", "--", *(words or RECORDER)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        managers.append(process)
        wait_for(address.exists)
        monkeypatch.setenv(launch.RECORDERS_VARIABLE, str(address))
        return Manager(address, process)

    yield started
    for process in managers:
        process.terminate()
        process.wait()


def asked(tmp_path: Path, **more: object) -> RecorderSpec:
    words = {
        "title": "Rapat",
        "videos": ("synthetic",),
        "archive": tmp_path / "arsip",
        "reserve": 0,
        "profile": "240p15",
    }
    return RecorderSpec(asked=SessionRequest(**(words | more)), folder=tmp_path)  # type: ignore[arg-type] # what the names say


def ended(folder: runtime_directory.RecorderFolder) -> SessionResult:
    """End a session once it has recorded something, and return what came of it."""
    wait_for(lambda: (status := send_command(folder, StatusCommand()).status) and status.media_time_s > 0.5)
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=10))
        connection.request(StopCommand())
        return next(told for told in connection.told_within(60.0) if isinstance(told, SessionResult))


@pytest.mark.parametrize("is_spare", [True, False])
def test_a_session_is_recorded_by_a_process_that_is_not_ours(tmp_path: Path, start: Start, *, is_spare: bool) -> None:
    manager = start()
    spawned = SpawnedRecorder(None if is_spare else asked(tmp_path))
    if is_spare:
        wait_for(lambda: spawned.pid)
        assert not spawned.wait(0.0)
        spawned.give(asked(tmp_path))
    folder = spawned.ready()
    assert spawned.notes == []
    info = folder.info()
    assert info
    assert spawned.pid == info.pid
    assert manager.is_parent_of(info.pid)
    assert not spawned.wait(0.0)
    result = ended(folder)
    assert (result.state, result.degraded) == ("sealed", [])
    assert spawned.wait(30.0)


def test_it_is_told_what_it_does_not_inherit(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setenv("PULSE_SERVER", "unix:/tiada")
    monkeypatch.setenv("SECRET", "tidak diteruskan")
    folder = SpawnedRecorder(asked(tmp_path)).ready()
    saved = decode_spec(folder.spec.read_bytes()).environment
    assert saved
    assert saved["PULSE_SERVER"] == "unix:/tiada"
    assert "SECRET" not in saved
    ended(folder)


def test_what_cannot_be_planned_is_raised(tmp_path: Path, start: Start) -> None:
    start()
    spawned = SpawnedRecorder(asked(tmp_path, profile="9000p"))
    with pytest.raises(RecorderRefused, match="9000p"):
        spawned.ready()
    assert spawned.wait(60.0)


def test_a_spare_ends_when_it_is_let_go(start: Start) -> None:
    start()
    spawned = SpawnedRecorder(None)
    pid = wait_for(lambda: spawned.pid)
    spawned.discard()
    assert process_started(pid) is None


@pytest.mark.parametrize("is_read", [True, False])
def test_a_spare_whose_client_is_gone_ends_without_a_word(tmp_path: Path, *, is_read: bool) -> None:
    ours, its = socket.socketpair()
    words = [sys.executable, "-P", "-m", launch.MODULE, launch.UNIT_ARGUMENT]
    with (
        its,
        subprocess.Popen(
            words,
            stdin=its.fileno(),
            stdout=its.fileno(),
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        ) as spare,
    ):
        ours.recv(100, 0 if is_read else socket.MSG_PEEK)  # what was not read makes the end of it a reset
        ours.close()
        _, errors = spare.communicate(timeout=60)
    assert (spare.returncode, errors) == (0, b"")


def test_one_that_dies_before_it_says_anything_is_told(tmp_path: Path, start: Start) -> None:
    start("/bin/false")
    spawned = SpawnedRecorder(asked(tmp_path))
    with pytest.raises(SessionError, match="did not start: the journal has its output"):
        spawned.ready()
    assert spawned.wait(60.0)


def test_one_that_is_never_ready_is_killed(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start("/bin/sh", "-c", "echo $$; exec sleep 60")
    monkeypatch.setattr("recorder.control.spawn.READY_S", 0.5)
    spawned = SpawnedRecorder(asked(tmp_path))
    pid = wait_for(lambda: spawned.pid)
    with pytest.raises(SessionError, match="has not been ready within"):
        spawned.ready()
    assert spawned.wait(60.0)
    wait_for(lambda: process_started(pid) is None)


def test_without_a_manager_that_listens_it_is_a_child_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launch.RECORDERS_VARIABLE, str(tmp_path / "tiada.sock"))
    spawned = SpawnedRecorder(asked(tmp_path))
    folder = spawned.ready()
    (note,) = spawned.notes
    assert "is no unit of its own" in note
    assert ended(folder).state == "sealed"
    assert spawned.wait(30.0)


@pytest.mark.slow
def test_the_daemon_goes_on_with_a_killed_one_in_a_unit_too(tmp_path: Path, start: Start) -> None:
    manager = start()
    (tmp_path / "arsip").mkdir()
    folder = SpawnedRecorder(asked(tmp_path)).ready()
    first = folder.info()
    assert first
    wait_for(lambda: (status := send_command(folder, StatusCommand()).status) and status.media_time_s > 1.0)
    variables = {launch.RECORDERS_VARIABLE: str(manager.address)}
    with command.running(tmp_path, "serve", "--archive", tmp_path / "arsip", "--json", more=variables) as daemon:
        daemon.until("note", text="ready")
        recorders.kill(first.pid)

        def found() -> runtime_directory.RecorderInfo | None:
            alive = recorders.recorders(Path(os.environ[runtime_directory.RUNTIME_VARIABLE]))
            return next((info for info in alive if info.work and info.pid != first.pid), None)

        again = wait_for(found)
        assert again
        assert again.replaces == first.id
        assert manager.is_parent_of(again.pid)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        again_folder = runtime_directory.RecorderFolder(folder.path.parent / again.id)
        assert ended(again_folder).state == "sealed"


def test_a_client_that_goes_away_ends_no_recorder(tmp_path: Path, start: Start) -> None:
    manager = start()
    code = (
        "import sys; from pathlib import Path; from recorder.session.request import SessionRequest\n"
        "from recorder.control.spawn import SpawnedRecorder; from recorder.control.spec import RecorderSpec\n"
        "here = Path(sys.argv[1])\n"
        "asked = SessionRequest(title='x', videos=('synthetic',), archive=here / 'arsip', reserve=0,"
        " profile='240p15')\n"
        "print(SpawnedRecorder(RecorderSpec(asked=asked, folder=here)).ready().id)\n"
    )
    more = {launch.RECORDERS_VARIABLE: str(manager.address)}
    done = command.run_python(tmp_path, code, str(tmp_path), more=more)
    assert done.stderr == ""
    folder = runtime_directory.RecorderFolder(
        Path(os.environ[runtime_directory.RUNTIME_VARIABLE]) / done.stdout.strip()
    )
    assert ended(folder).state == "sealed"


def test_the_number_of_a_process_is_the_first_line_and_no_other(start: Start) -> None:
    start("/bin/sh", "-c", "echo $$; echo 12; cat >/dev/null")
    unit = RecorderUnit(Path(os.environ[launch.RECORDERS_VARIABLE]))
    pid = wait_for(lambda: unit.pid)
    assert unit.read(10.0) == b"12\n"
    assert unit.pid == pid
    unit.close_input()
    assert unit.wait(60.0)
    unit.let_go()
