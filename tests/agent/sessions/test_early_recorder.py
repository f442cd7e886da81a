"""The recorder that `liput record` starts before it has read its words."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agent.sessions import early_recorder
from devices.host.child import ChildProcess
from recorder.control.launch import MODULE, RecorderUnit
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.model.status import SessionState
from recorder.running.client import send_command
from recorder.running.protocol import StatusCommand, StopCommand
from recorder.session.request import SessionRequest
from tests.support import command
from tests.support.room import Room
from tests.support.waiting import wait_for


@pytest.fixture
def begun() -> Iterator[ChildProcess | RecorderUnit]:
    """Provide one that was started for the words of a recording."""
    early_recorder.start_early(["--title", "Rapat"])
    found = early_recorder.take_early()
    assert found is not None
    process, note = found
    assert note == ""
    yield process
    process.let_go()
    assert process.wait(60.0)


def of(home: Path) -> list[psutil.Process]:
    """Return the recorders' processes that were started in a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if MODULE in (process.info["cmdline"] or ()) and process.info["cwd"] == str(home)
    ]


def test_it_is_started_once_and_taken_once(begun: ChildProcess | RecorderUnit) -> None:
    assert not begun.wait(0.0)
    assert early_recorder.take_early() is None


@pytest.mark.parametrize("words", [["--help"], ["--title", "Rapat", "-h"]])
def test_who_asks_for_help_starts_none(words: list[str]) -> None:
    early_recorder.start_early(words)
    assert early_recorder.take_early() is None


def test_it_ends_without_a_word_where_nobody_tells_it_anything(begun: ChildProcess | RecorderUnit) -> None:
    begun.give(b"")
    begun.close_input()
    assert begun.read(60.0) == b""
    assert begun.last_words() == "it ended with status 0"


def test_it_records_what_it_is_told(begun: ChildProcess | RecorderUnit, tmp_path: Path) -> None:
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), archive=tmp_path / "arsip", reserve=0, profile="240p15"
    )
    spawned = SpawnedRecorder(RecorderSpec(asked=asked, folder=tmp_path, arm_only=True), (begun, ""))
    folder = spawned.ready()
    assert (info := folder.info())
    assert info.pid == begun.pid
    wait_for(lambda: (status := send_command(folder, StatusCommand()).status) and status.state is SessionState.ARMED)
    send_command(folder, StopCommand())


def test_a_recording_has_one_recorder(room: Room) -> None:
    with command.running(room.home, *room.words("--json", "--for", "1s")) as recording:
        recording.until("event", kind="session-live")
        (process,) = of(room.home)
        assert process.ppid() == recording.pid
        assert recording.wait() == 0


def test_a_wrong_word_leaves_no_process(room: Room) -> None:
    done = command.liput(room.home, *room.words("--layout"))
    assert done.returncode == 2
    wait_for(lambda: not of(room.home))
