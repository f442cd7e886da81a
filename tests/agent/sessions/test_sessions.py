"""What commands need to begin and end sessions: early recorders, a stop that is not answered, the demo's receiver."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from agent.sessions import control, early_recorder, receiver
from agent.sessions.receiver import DemoReceiver
from config.errors import LiputError, SessionError
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from devices.host.process import process_started
from recorder.control.launch import MODULE
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.live.destination import LiveDestination
from recorder.model.status import SessionResult, SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder
from recorder.running.protocol import encode
from recorder.session.request import SessionRequest
from tests.support import command
from tests.support.encoded import SmallEncoder
from tests.support.room import Room
from tests.support.streams import Events, count, decode
from tests.support.waiting import wait_for

RESULT = SessionResult(state=SessionState.SEALED, package="/arsip/p", duration_s=1.0, frames=30, degraded=[])


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """Run something that another user has: it may not be sent a signal."""

    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(control, "EXIT_S", 1.0)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    with monkeypatch.context() as patched:
        patched.setattr(os, "kill", refuse)
        yield process
    process.communicate()


def leave(archive: Path, **facts: object) -> RunningRecorder:
    """Return a recorder that has a folder and no socket."""
    info = runtime_directory.new_recorder_info("Rapat", archive, SystemClock().now())
    info = msgspec.structs.replace(info, **facts)
    spec = encode_spec_for_disk(RecorderSpec(asked=SessionRequest(title="Rapat")))
    return RunningRecorder(runtime_directory.make_recorder_folder(info, spec), info, None)


def hanging(process: "subprocess.Popen[bytes]", archive: Path) -> RunningRecorder:
    return leave(archive, pid=process.pid, pid_started=process_started(process.pid) or 0)


@pytest.mark.parametrize("wait", [True, False])
def test_it_is_said_that_it_is_another_users(
    process: "subprocess.Popen[bytes]", runtime: Path, tmp_path: Path, *, wait: bool
) -> None:
    found = hanging(process, tmp_path)
    with pytest.raises(SessionError, match="does not answer, and its recorder is another user's") as caught:
        control.stop(found, wait=wait)
    assert str(process.pid) in caught.value.hint


def test_one_that_is_just_ending_has_time_to(
    process: "subprocess.Popen[bytes]", runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = hanging(process, tmp_path)

    def sleep(_seconds: float) -> None:
        found.folder.end(encode(RESULT))
        process.communicate()

    monkeypatch.setattr(time, "sleep", sleep)
    assert control.stop(found, wait=True) == RESULT


def test_one_that_went_on_and_was_ended_by_somebody_else_says_how(runtime: Path, tmp_path: Path) -> None:
    """And not that it was killed."""
    killed = leave(tmp_path, pid_started=1)
    following = leave(tmp_path, pid_started=1, replaces=killed.info.id)

    def end(_recorder_id: str) -> None:
        following.folder.end(encode(RESULT))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(control, "successor", lambda *_killed, **_how: following.folder)
        patched.setattr(control, "find_running", end)
        assert control.stop(killed, wait=True) == RESULT


def of(home: Path) -> list[psutil.Process]:
    """Return the recorders' processes that were started in a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if MODULE in (process.info["cmdline"] or ()) and process.info["cwd"] == str(home)
    ]


def test_a_recording_has_one_recorder(room: Room) -> None:
    with command.running(room.home, *room.words("--json", "--for", "1s")) as recording:
        recording.until("event", kind="session-live")
        (process,) = of(room.home)
        assert process.ppid() == recording.pid
        assert recording.wait() == 0
    done = command.liput(room.home, *room.words("--layout"))
    assert done.returncode == 2
    wait_for(lambda: not of(room.home), what="a wrong word leaves no process")


def test_an_early_recorder_is_taken_once_and_ends_where_nobody_tells_it_anything() -> None:
    early_recorder.start_early(["--title", "Rapat", "-h"])
    assert early_recorder.take_early() is None, "who asks for help starts none"
    early_recorder.start_early(["--title", "Rapat"])
    found = early_recorder.take_early()
    assert found is not None
    process, note = found
    assert (note, process.wait(0.0), early_recorder.take_early()) == ("", False, None)
    process.give(b"")
    process.close_input()
    assert process.read(60.0) == b""
    assert process.last_words() == "it ended with status 0"
    process.let_go()
    assert process.wait(60.0)


@pytest.mark.server
def test_a_receiver_keeps_what_was_streamed_to_it_also_without_nginx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "nginx_with_rtmp", lambda: None)
    before = set(psutil.Process().children())
    with DemoReceiver(tmp_path / 'a "strange" folder') as there:
        assert there.name == "ffmpeg"
        assert there.url
        encoder = SmallEncoder()
        target = StreamTarget("demo", secret_url(there.url))
        destination = LiveDestination(target, encoder.templates, emit=Events(), clock=SystemClock())
        destination.start()
        for _ in range(60):
            for packet in encoder.next():
                destination.put(packet)
        wait_for(lambda: destination.status().state == "live")
        destination.stop()
        encoder.close()
    assert set(psutil.Process().children()) <= before, "no server is left"
    assert there.received
    decode(there.received)
    assert count(there.received)["video"] == 60


def test_a_machine_without_a_server_has_no_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with DemoReceiver(tmp_path) as there:
        assert (there.name, there.url) == (None, None)
    assert there.received is None


def test_a_server_that_does_not_start_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho cannot start >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(receiver, "nginx_with_rtmp", lambda: (str(broken), Path("module.so")))
    with pytest.raises(LiputError) as caught, DemoReceiver(tmp_path / "folder"):
        pass
    assert str(tmp_path / "folder" / "output") in caught.value.hint
    assert (tmp_path / "folder" / "output").read_text() == "cannot start\n"
