"""Who uses a device, as it changes: processes that open a node, close it, and stream from what they have open."""

import ctypes
import os
import queue
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.health.log_line import discard_line
from devices.host.clock import SystemClock
from devices.kernel.udev import UdevDevices, VideoNode
from devices.monitor import monitor as module
from devices.monitor import use_watcher
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.holders import Holder, is_own
from devices.monitor.modes import CapabilityProber
from devices.monitor.monitor import DeviceMonitor, HotplugEvent, HotplugListener
from devices.monitor.snapshot import nodes_in_use, nodes_open_elsewhere
from devices.monitor.use_watcher import DeviceUseWatcher, NodeWatcher
from tests.support.ports import OFFER
from tests.support.waiting import wait_for

LOOPBACK = VideoNode("/dev/zero", "Loop", "virtual-Loop", None, gives_pictures=True)
HOLD = "import sys; held = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"


@contextmanager
def holding(node: str) -> Iterator[int]:
    """Provide the pid of a process that has `node` open."""
    words = [sys.executable, "-c", HOLD, node]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid


@pytest.fixture(autouse=True)
def _strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that a test starts be those of others, and no others: the rig's machines open anything."""
    monkeypatch.setattr("devices.monitor.snapshot.is_own", lambda holder: not is_own(holder))
    monkeypatch.setattr(use_watcher, "SETTLES_S", 0.01)
    monkeypatch.setattr(use_watcher, "_PAUSE_S", 0.01)


@pytest.fixture
def camera() -> Iterator[VideoNode]:
    """Provide a terminal for a camera: a device that nobody else has open; whoever has it, is taken to stream."""
    master, slave = os.openpty()
    node = os.ttyname(slave)
    os.close(slave)
    yield VideoNode(node, "Cam", "platform-cam.0", None, gives_pictures=True)
    os.close(master)


class Desk:
    """A watch, what it was told to look at again, and programs that stream or do not."""

    def __init__(self, camera: VideoNode) -> None:
        self.node = camera.node
        self._found = UdevDevices((camera, LOOPBACK), ())
        self.looks: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.asked: list[set[str]] = []
        self.streaming: set[str] = set()
        self.openings = NodeWatcher()
        self.watch = DeviceUseWatcher(lambda: self.looks.put(True), openings=lambda: self.openings, free=self._free)

    def _free(self, nodes: object) -> set[str]:
        assert isinstance(nodes, dict)
        self.asked.append(set(nodes))
        return set(nodes) - self.streaming

    def look(self) -> None:
        """Take a look, as the monitor does, which takes those who have the node open for no more than that."""
        held = nodes_open_elsewhere(self._found)
        self.watch.update(self._found, held, {node: who for node, who in held.items() if node in self.streaming})

    def is_told(self) -> bool:
        return self.looks.get(timeout=60)


@pytest.fixture
def desk(camera: VideoNode) -> Iterator[Desk]:
    desk = Desk(camera)
    desk.look()
    desk.watch.start()
    yield desk
    assert desk.watch.stop()


def test_nobody_is_asked_while_nobody_has_it_open_and_who_opens_it_is_noticed(desk: Desk) -> None:
    with holding(desk.node):
        assert desk.is_told()
    assert desk.asked == []


def test_a_stream_that_begins_and_ends_in_a_program_that_has_it_open_all_along_is_noticed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_watcher, "ASK_S", 0.02)
    with holding(desk.node):
        assert desk.is_told()
        desk.look()
        for is_streaming in (True, False):
            while not desk.looks.empty():
                desk.looks.get()
            asked = len(desk.asked)
            desk.streaming = {desk.node} if is_streaming else set()
            assert desk.is_told()
            assert len(desk.asked) > asked
            desk.look()
    assert {node for nodes in desk.asked for node in nodes} == {desk.node}


def test_a_program_that_closes_what_it_did_not_stream_from_is_asked_for_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_watcher, "ASK_S", 0.02)
    with holding(desk.node):
        assert desk.is_told()
        desk.look()
        wait_for(lambda: desk.asked)
    assert desk.is_told()
    desk.look()
    asked = len(desk.asked)
    with holding(desk.node):  # it is followed again
        assert desk.is_told()
    assert len(desk.asked) == asked


def test_what_is_asked_is_not_followed_and_a_loopback_is_neither(
    camera: VideoNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[set[str]] = []

    class Followed(NodeWatcher):
        def follow(self, nodes: object) -> None:
            assert isinstance(nodes, set)
            followed.append(nodes)

    asked: queue.SimpleQueue[set[str]] = queue.SimpleQueue()

    def free(nodes: Iterable[str]) -> set[str]:
        asked.put(set(nodes))
        return set(nodes)

    monkeypatch.setattr(use_watcher, "ASK_S", 0.02)
    watch = DeviceUseWatcher(lambda: None, openings=Followed, free=free)
    other = [Holder(1, "desktop")]
    watch.update(UdevDevices((camera, LOOPBACK), ()), {}, {})
    watch.update(UdevDevices((camera, LOOPBACK), ()), {camera.node: other, LOOPBACK.node: other}, {})
    assert followed == [{camera.node}, set()]
    watch.start()
    assert asked.get(timeout=60) == {camera.node}
    watch.stop()
    watch.stop()


def test_a_loopback_is_nobodys_and_its_driver_is_not_asked(camera: VideoNode, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def idle(nodes: set[str]) -> set[str]:
        asked.append(nodes)
        return set()

    monkeypatch.setattr("devices.monitor.snapshot.free_nodes", idle)
    held = {camera.node: [Holder(1, "zoom")], LOOPBACK.node: [Holder(1, "zoom")]}
    assert nodes_in_use(UdevDevices((camera, LOOPBACK), ()), held) == {camera.node: [Holder(1, "zoom")]}
    assert asked == [{camera.node}]


def test_the_monitor_tells_of_a_program_that_takes_a_device_and_lets_go_of_it(
    camera: VideoNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_udev_devices", lambda known: UdevDevices((camera,), ()))
    monkeypatch.setattr(CapabilityProber, "offers", lambda prober, pictures: {camera.node: OFFER})
    monkeypatch.setattr(use_watcher, "ASK_S", 0.05)
    told: queue.SimpleQueue[DeviceChange] = queue.SimpleQueue()
    with DeviceMonitor(
        told.put, SystemClock(), discard_line, memory=tmp_path / "devices.json", events=Quiet, follows_use=True
    ) as monitor:
        assert monitor.devices()[0].health.state == "ok"
        for _ in range(2):
            with holding(camera.node) as pid:
                change = told.get(timeout=60)
                assert (change.kind, change.device.health.state) == (ChangeKind.CHANGED, "busy")
                assert change.device.health.reason == f"Cam ({camera.node}) is used by pid {pid} (python)"
                assert change.is_of_health_only
            change = told.get(timeout=60)
            assert (change.kind, change.device.health.state) == (ChangeKind.CHANGED, "ok")
    assert told.empty()


class Quiet(HotplugListener):
    """Nothing comes or goes."""

    def __init__(self) -> None:
        self._wakes: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def wait(self, timeout_s: float | None) -> list[HotplugEvent]:
        self._wakes.get(timeout=60)
        return []

    def wake(self) -> None:
        self._wakes.put(True)

    def close(self) -> None: ...


# inotify: openings and closings, also of a new file of the same name


NODE = "/dev/full"


@pytest.fixture
def openings() -> Iterator[NodeWatcher]:
    openings = NodeWatcher()
    yield openings
    openings.close()


def touch(path: str | Path) -> None:
    with Path(path).open("rb"):
        pass


def test_opening_and_closing_a_device_are_each_told(openings: NodeWatcher) -> None:
    master, slave = os.openpty()
    node = os.ttyname(slave)
    openings.follow([node])
    other = os.open(node, os.O_RDWR | os.O_NOCTTY)
    assert openings.wait(20) == {node}
    assert openings.wait(0) == set()
    os.close(other)
    assert openings.wait(20) == {node}
    for fd in (master, slave):
        os.close(fd)


def test_only_what_is_followed_is_told_and_a_name_that_is_another_file_now_can_be_followed_again(
    openings: NodeWatcher, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.touch()
    openings.follow([str(one), str(tmp_path / "absent")])
    touch(other)
    assert openings.wait(0) == set()
    one.unlink()
    one.touch()
    openings.wait(0)
    touch(one)
    assert openings.wait(0) == set()
    openings.follow([str(one), str(other)])
    touch(one)
    assert openings.wait(20) == {str(one)}
    openings.follow([str(other)])
    touch(one)
    assert openings.wait(0) == set()
    touch(other)
    assert openings.wait(20) == {str(other)}


def test_waking_ends_the_wait_also_one_that_comes_later(openings: NodeWatcher) -> None:
    openings.wake()
    assert openings.wait(None) == set()
    openings.close()
    openings.wake()
    openings.follow([NODE])


def test_without_inotify_nothing_is_told_and_it_can_still_be_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoneLeft:
        def inotify_init1(self, flags: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: NoneLeft())
    openings = NodeWatcher()
    openings.follow([NODE])
    touch(NODE)
    openings.wake()
    assert openings.wait(None) == set()
    openings.close()
