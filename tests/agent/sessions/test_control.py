"""Ending a session whose recorder does not answer, and is not ours to end."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.sessions import control
from config.errors import SessionError
from devices.host.clock import SystemClock
from devices.host.process import process_started
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.model.status import SessionResult, SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder
from recorder.running.protocol import encode
from recorder.session.request import SessionRequest

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
