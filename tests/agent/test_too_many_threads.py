"""A PC that has no thread to give costs whoever wanted one that, once: nobody waits for it for ever after."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.devices.watch_part import SoundInputCache
from agent.metrics.exposition import DeadlineQueries
from agent.web.http.context import CommandRuns, WorkerPool
from config.errors import LiputError
from devices.controls.presets import PresetRestorer
from devices.host import threads
from devices.host.clock import SystemClock
from devices.kernel.udev import VideoNode
from devices.model.device import Device, DeviceKind
from devices.monitor import modes
from devices.monitor.modes import CapabilityProber
from recorder.model.status import SessionState
from recorder.running.client import running_recorders
from tests.support.ports import OFFER
from tests.support.scripted_session import ServedRecorder
from tests.support.waiting import wait_for

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0")

type Once = Callable[[], None]


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Once:
    """Return what lets the next thread fail to start, and no other."""
    start = threading.Thread.start

    def fail(_thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", fail)


def test_what_was_made_ready_is_taken_back(no_thread: Once) -> None:
    taken_back: list[bool] = []
    no_thread()
    with pytest.raises(RuntimeError, match="new thread"):
        threads.start_thread(print, name="x", otherwise=lambda: taken_back.append(True))
    assert taken_back == [True]
    done = threading.Event()
    threads.start_thread(lambda given: given.set(), done, name="x", otherwise=lambda: taken_back.append(True))
    assert done.wait(30)
    assert taken_back == [True]


def test_a_lane_has_as_many_places_as_before(no_thread: Once) -> None:
    async def ask() -> int:
        lane = WorkerPool("disk", 1)
        no_thread()
        with pytest.raises(RuntimeError, match="new thread"):
            await lane.run(lambda: 1)
        return await asyncio.wait_for(lane.run(lambda: 2), 30)

    assert asyncio.run(ask()) == 2


def test_a_recorder_is_asked_how_it_is_without_one(no_thread: Once) -> None:
    with ServedRecorder():
        no_thread()
        assert [one.state for one in running_recorders()] == [SessionState.LIVE]


def test_sound_servers_are_asked_by_the_next_who_wants_to_know(no_thread: Once) -> None:
    asked: list[bool] = []

    def ask() -> list[Device]:
        asked.append(True)
        return []

    known = SoundInputCache(SystemClock(), lambda: None, ask)
    known.now()
    known.expire()
    no_thread()
    assert known.now() == ()
    assert len(asked) == 1
    known.now()
    wait_for(lambda: len(asked) == 2)


def test_a_check_can_be_begun_again(no_thread: Once) -> None:
    nothing, done = LiputError("nothing found"), threading.Event()
    runs = CommandRuns(lambda words, config_file: (None, nothing))
    no_thread()
    with pytest.raises(RuntimeError, match="new thread"):
        runs.start([], None, done.set)
    assert runs.now() == (None, None)
    runs.start([], None, done.set)
    assert done.wait(30)
    assert runs.now() == (None, nothing)


def test_a_figure_is_there_the_next_time(no_thread: Once) -> None:
    gathering = DeadlineQueries[object]()
    no_thread()
    assert gathering.gather({"a": lambda: 1}, 30.0, keep_s=60.0) == {}
    assert gathering.gather({"a": lambda: 1}, 30.0, keep_s=60.0) == {"a": 1}


def test_a_camera_is_set_when_it_is_plugged_in_the_next_time(no_thread: Once) -> None:
    applied: list[Device] = []
    keeper = PresetRestorer(applied.append)
    no_thread()
    keeper.apply_soon(CAMERA)
    assert applied == []
    keeper.apply_soon(CAMERA)
    wait_for(lambda: applied == [CAMERA])


def test_a_node_is_asked_again(no_thread: Once, tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    picture = VideoNode(str(node), "Webcam", "usb", None, gives_pictures=True)
    prober = CapabilityProber(timeout_s=30.0, ask=lambda node, name: OFFER)
    no_thread()
    with pytest.raises(RuntimeError, match="new thread"):
        prober.offers([picture])
    assert prober.offers([picture]) == {str(node): OFFER}


def test_whether_a_stream_is_free_is_asked_again(no_thread: Once, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "is_stream_free", lambda node: True)
    no_thread()
    with pytest.raises(RuntimeError, match="new thread"):
        modes.free_nodes(["/dev/video0"])
    assert modes.free_nodes(["/dev/video0"], 30.0) == {"/dev/video0"}
