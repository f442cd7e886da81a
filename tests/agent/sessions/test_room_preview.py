"""The daemon's preview of the devices: a real recorder with synthetic sources."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from agent.sessions import room_preview as module
from devices.host.child import ChildProcess
from recorder.control.launch import MODULE, launch_child
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.running import runtime_directory
from recorder.running.client import fetch_preview, preview_recorder, running_recorders
from recorder.running.runtime_directory import without_preview
from tests.support.hall import CAMERA
from tests.support.previewed import Previewed
from tests.support.processes import children, is_alive
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.5)


def test_it_is_there_while_it_is_wanted_and_needs_no_archive(tmp_path: Path) -> None:
    room = Previewed(tmp_path, settings='[archive]\nreserve = "900 TB"\n')
    with room.running():
        time.sleep(3 * module.LOOK_S)  # nobody wants it: real time, for the part looks by the clock
        assert preview_recorder() is None
        found = room.shown()
        assert fetch_preview(found.folder, "program", 10)[:2] == b"\xff\xd8"
        assert found.status is not None
        assert [len(sound.levels_dbfs) for sound in found.status.sounds] == [2]
        assert running_recorders() == []
        assert os.getpriority(os.PRIO_PROCESS, found.info.pid) >= 10
        wait_for(lambda: preview_recorder() is None)
    assert room.told == []


def test_a_session_gets_the_devices_and_gives_them_back(tmp_path: Path) -> None:
    room = Previewed(tmp_path)
    with room.running():
        first = room.shown().info.id
        asked = msgspec.structs.replace(room.asked, archive=tmp_path / "arsip")
        session = SpawnedRecorder(RecorderSpec(asked=asked, folder=Path("/"), arm_only=True))
        session.ready()
        assert preview_recorder() is None
        room.stays_hidden(4 * module.AGAIN_S)
        session.terminate()
        assert session.wait(10)
        assert room.shown().info.id != first


def test_other_users_of_devices_end_it_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_directory, "GIVES_WAY_S", 30.0)  # a PC that is busy with other tests closes slowly
    room = Previewed(tmp_path)
    with room.running():
        found = room.shown()
        with without_preview():
            wait_for(lambda: not found.info.is_alive)
        assert found.folder.has_ended, "it was not killed"
        room.shown()


def test_a_preview_that_hangs_is_killed(tmp_path: Path) -> None:
    room = Previewed(tmp_path)
    with room.running():
        found = room.shown()
        os.kill(found.info.pid, signal.SIGSTOP)
        with without_preview():
            wait_for(lambda: not found.info.is_alive)
        assert room.shown().info.id != found.info.id
        assert not found.folder.path.exists()


def test_a_device_that_is_plugged_in_begins_it_anew(tmp_path: Path) -> None:
    room = Previewed(tmp_path)
    with room.running():
        found = room.shown()
        room.plugged.append(CAMERA)
        wait_for(lambda: not found.info.is_alive)
        assert room.shown().info.id != found.info.id


def test_one_that_cannot_begin_waits_for_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = list[Path | None]()

    def launch(folder: Path | None) -> ChildProcess:
        begun.append(folder)
        return launch_child(folder)

    monkeypatch.setattr(module, "launch_child", launch)
    room = Previewed(tmp_path, video="no such camera")

    def told(lines: int) -> bool:
        return room.part.want() is None and len(begun) == lines and len(room.told) == 1

    with room.running():
        wait_for(lambda: told(1))
        room.plugged.append(CAMERA)
        wait_for(lambda: told(2))
    assert "no such camera" in room.told[0]


def test_the_settings_can_do_without_it(tmp_path: Path) -> None:
    room = Previewed(tmp_path, settings="[web]\npreview = false\n")
    with room.running():
        room.stays_hidden(2)


STARTER = """
import os, sys, time
from pathlib import Path
from recorder.control.launch import launch_child
from recorder.control.spawn import SpawnedRecorder
from recorder.control.spec import RecorderSpec
from recorder.session.request import SessionRequest
asked = SessionRequest(title="Coba", videos=("synthetic",), audios=("synthetic",), archive=Path(sys.argv[1]))
spec = RecorderSpec(asked=asked, folder=Path("/"), arm_only=True, preview=os.getpid())
recorder = SpawnedRecorder(spec, (launch_child(Path("/")), ""))
print("begun", flush=True)
recorder.ready()
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("when", ["begun", "ready"])
def test_it_ends_with_a_daemon_that_is_killed(tmp_path: Path, when: str) -> None:
    words = [sys.executable, "-c", STARTER, str(tmp_path / "arsip")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert any(line.strip() == when for line in starter.stdout)
        (recorder,) = children(MODULE, psutil.Process(starter.pid))
        starter.kill()
    wait_for(lambda: not is_alive(recorder))
