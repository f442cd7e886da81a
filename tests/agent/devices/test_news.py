"""What the watch hears besides the monitor: the sound servers, and what processes write into the health log."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.devices import news as device_news
from agent.devices.news import Faults, Inbox, Inputs, InputWatch, LogWatch, Message
from config.errors import DeviceError
from devices.clock import SystemClock
from devices.health.line import HealthLine, Kind, Level
from devices.health.log import HealthLog
from devices.model import Device, DeviceKind, HealthState
from tests.support.command import ROOT

ROOM = Device(id="sound:room", kind=DeviceKind.MICROPHONE, name="room")
RECORDER = """
import sys, time
from pathlib import Path
from devices.clock import SystemClock
from devices.health.line import Kind, Level
from devices.health.log import HealthLog
log = HealthLog(Path(sys.argv[1]), clock=SystemClock(), journal=None)
log("cam", Kind.DEGRADED, "it gives nothing", level=Level.ERROR, fault="no-data")
log.flush()
print("found", flush=True)
time.sleep(60)
"""


@pytest.fixture
def inbox() -> Inbox:
    return queue.SimpleQueue[Message]()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[HealthLog]:
    with HealthLog(tmp_path / "health", clock=SystemClock(), journal=None) as log:
        yield log


def test_the_sound_servers_are_asked_at_first_and_when_something_changed(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[list[Device] | DeviceError] = [[ROOM], DeviceError("no server"), []]

    def inputs() -> list[Device]:
        answer = answers.pop(0)
        if isinstance(answer, DeviceError):
            raise answer
        return answer

    monkeypatch.setattr(device_news, "server_inputs", inputs)
    with InputWatch(inbox) as watch:
        assert inbox.get(timeout=5) == Inputs([ROOM])
        assert inbox.empty()
        watch.look()
        assert inbox.get(timeout=5) == Inputs([])
        watch.look()
        assert inbox.get(timeout=5) == Inputs([])
    watch._thread.join(5)
    assert not watch._thread.is_alive()


def test_lines_come_as_they_are_written_but_for_those_that_are_shown_otherwise(inbox: Inbox, log: HealthLog) -> None:
    with LogWatch(log.folder, SystemClock(), inbox):
        log("046d:0825:A", Kind.PLUGGED)
        log("046d:0825:A", Kind.SAMPLE, level=Level.DEBUG)
        log("046d:0825:A", Kind.KERNEL, "usb 1-1: words", level=Level.WARN)
        line = inbox.get(timeout=5)
    assert isinstance(line, HealthLine)
    assert (line.kind, line.reason) == (Kind.KERNEL, "usb 1-1: words")


def test_a_fault_is_told_when_it_begins_ends_and_when_whoever_found_it_dies(inbox: Inbox, log: HealthLog) -> None:
    with LogWatch(log.folder, SystemClock(), inbox):
        log("cam", Kind.DEGRADED, "the same picture", level=Level.ERROR, fault="frozen")
        found = inbox.get(timeout=5)
        assert isinstance(found, Faults)
        assert (found.health["cam"].state, found.health["cam"].reason) == (HealthState.FROZEN, "the same picture")
        log("cam", Kind.RECOVERED, fault="frozen")
        assert inbox.get(timeout=5) == Faults({})
        words = [sys.executable, "-c", RECORDER, str(log.folder)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as recorder:
            assert recorder.stdout is not None
            assert recorder.stdout.readline() == b"found\n"
            found = inbox.get(timeout=5)
            assert isinstance(found, Faults)
            assert found.health["cam"].state is HealthState.SILENT
            recorder.kill()
        assert inbox.get(timeout=5) == Faults({})


def test_a_log_that_cannot_be_read_is_silent(inbox: Inbox, tmp_path: Path) -> None:
    (tmp_path / "health").write_text("no folder")
    watch = LogWatch(tmp_path / "health", SystemClock(), inbox)
    with watch:
        for thread in watch._threads:
            thread.join(5)
            assert not thread.is_alive()
    assert inbox.empty()
