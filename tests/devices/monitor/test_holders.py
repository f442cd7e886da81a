"""Who uses a device: processes that open a node, close it, and stream; and what refusals say."""

import ctypes
import errno
import os
import queue
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.health.log_line import discard_line
from devices.host.clock import SystemClock
from devices.kernel.udev import UdevDevices, VideoNode
from devices.monitor import holders, use_watcher
from devices.monitor import monitor as module
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.modes import CapabilityProber
from devices.monitor.monitor import DeviceMonitor, HotplugListener
from devices.monitor.snapshot import nodes_open_elsewhere
from devices.monitor.use_watcher import DeviceUseWatcher, NodeWatcher
from tests.support.ports import OFFER, Netlink, watching

LOOPBACK = VideoNode("/dev/zero", "Loop", "virtual-Loop", None, gives_pictures=True)
HOLD = "import sys; held = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"


@contextmanager
def holding(node: str, *program: str, path: str = "") -> Iterator[int]:
    """Provide the pid of a process that has `node` open; its modules come from `path` first."""
    words = [sys.executable, *(program or ("-c", HOLD)), node]
    env = os.environ | ({"PYTHONPATH": path} if path else {})
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[VideoNode]:
    """Provide a terminal for a camera, which nobody else has open; processes that a test starts are those of others."""
    monkeypatch.setattr("devices.monitor.snapshot.is_own", lambda holder: not holders.is_own(holder))
    monkeypatch.setattr(use_watcher, "SETTLES_S", 0.01)
    monkeypatch.setattr(use_watcher, "_PAUSE_S", 0.01)
    master, slave = os.openpty()
    node = os.ttyname(slave)
    os.close(slave)
    yield VideoNode(node, "Cam", "platform-cam.0", None, gives_pictures=True)
    os.close(master)


class Desk:
    def __init__(self, camera: VideoNode, monkeypatch: pytest.MonkeyPatch) -> None:
        self.node = camera.node
        self._found = UdevDevices((camera, LOOPBACK), ())
        self.looks: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.asked: list[set[str]] = []
        self.streaming: set[str] = set()
        monkeypatch.setattr(use_watcher, "free_nodes", self._free)
        self.watch = DeviceUseWatcher(lambda: self.looks.put(True))

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
def desk(camera: VideoNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(camera, monkeypatch)
    desk.look()
    desk.watch.start()
    yield desk
    assert desk.watch.stop()


def test_nobody_is_asked_while_nobody_has_it_open_and_who_opens_it_is_noticed(desk: Desk) -> None:
    with holding(desk.node):
        assert desk.is_told()
    assert desk.asked == []


def test_a_stream_that_begins_and_ends_in_one_program_is_noticed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_monitor_tells_who_takes_a_device(
    camera: VideoNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "read_udev_devices", lambda known: UdevDevices((camera,), ()))
    monkeypatch.setattr(CapabilityProber, "offers", lambda prober, pictures: {camera.node: OFFER})
    monkeypatch.setattr(use_watcher, "ASK_S", 0.05)
    told: queue.SimpleQueue[DeviceChange] = queue.SimpleQueue()
    netlink = Netlink()  # nothing comes or goes
    memory = tmp_path / "devices.json"
    tells = DeviceMonitor(
        told.put, SystemClock(), discard_line, memory=memory, follows_use=True, events=lambda: HotplugListener(netlink)
    )
    with watching(tells) as monitor:
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
    netlink.close()


# inotify: openings and closings, also of a new file of the same name


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


def test_only_what_is_followed_is_told_also_another_file_of_its_name(openings: NodeWatcher, tmp_path: Path) -> None:
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


# Who holds a device, and what the kernel's refusals say to people


NODE = "/dev/full"  # a character device that hardly anybody has open


def test_the_holder_of_a_node_is_named_by_whatever_name_it_was_opened(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(NODE)
    with holding(str(link)) as pid, Path("/dev/zero").open("rb"):
        who = holders.Holder(pid, Path(f"/proc/{pid}/comm").read_text().strip())
        found = holders.holders_of([NODE, "/dev/zero", "/dev/is-not-there"])
        error = holders.device_open_error(errno.EBUSY, "Webcam", NODE)
        assert holders.have_open([who], NODE)
        assert not holders.have_open([who], "/dev/null/none")
        assert not holders.have_open([who, holders.Holder(1 << 23, "nobody")], NODE)
        own = [holders.Holder(each, "") for each in (os.getpid(), pid)]
        assert [holders.is_own(one) for one in (*own, holders.Holder(1, ""))] == [True, True, False]
    assert who in found[NODE]
    assert os.getpid() in [one.pid for one in found["/dev/zero"]]
    assert "/dev/is-not-there" not in found
    assert error.why == "busy"
    assert f"pid {pid} ({who.command})" in error.message
    assert not holders.have_open([who], NODE)


def test_a_session_of_ours_is_called_that_its_sound_child_too(tmp_path: Path) -> None:
    package = tmp_path / "capture" / "sound"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "child.py").write_text(HOLD)
    with holding(NODE, "-m", "capture.sound.child", path=str(tmp_path)) as pid:
        assert holders.Holder(pid, "liput") in holders.holders(NODE)
    session = [holders.Holder(41, "liput"), holders.Holder(52, "liput")]
    error = holders.device_in_use_error("Stick", "/dev/video0", session)
    assert error.message == "Stick (/dev/video0) is in use by a session of Liput (pid 41, 52)"
    mixed = holders.device_in_use_error("Stick", "/dev/video0", [*session, holders.Holder(60, "zoom")])
    assert mixed.message == "Stick (/dev/video0) is used by pid 41 (liput), pid 52 (liput), pid 60 (zoom)"


def test_a_holder_that_this_user_may_not_see_is_another_program() -> None:
    assert "another program" in holders.device_busy_error("Webcam", "/dev/is-not-there").message
    assert holders.holders("/dev/is-not-there") == []


@pytest.mark.parametrize(
    ("code", "why"),
    [(errno.ENODEV, "no-device"), (errno.EIO, "lost"), (errno.EINVAL, "unsupported"), (errno.EACCES, "denied")],
)
def test_each_refusal_says_what_happened_to_what(code: int, why: str) -> None:
    error = holders.device_open_error(code, "Webcam", "/dev/video7")
    assert error.why == why
    assert "Webcam" in error.message
    assert "/dev/video7" in error.message
    assert error.hint


def test_a_full_bus_names_what_else_is_on_it_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = holders.device_open_error(errno.ENOSPC, "Webcam", "/dev/video7")
    assert alone.message == "this USB bus is full: Webcam (/dev/video7) gets no room"
    monkeypatch.setattr(holders, "streaming_neighbours", lambda _: ["C920 (port 1-1.2)", "MS2109 (port 1-1.3)"])
    beside = holders.device_open_error(errno.ENOSPC, "Webcam", "/dev/video7")
    assert beside.message == f"{alone.message} beside C920 (port 1-1.2), MS2109 (port 1-1.3)"
    assert alone.hint == beside.hint == "Move one device to another port or use MJPEG."


@pytest.mark.parametrize(("node", "group"), [("/dev/video7", "video"), ("/dev/snd/pcmC9D0c", "audio")])
def test_who_may_not_open_a_node_is_told_the_group_and_the_command(node: str, group: str) -> None:
    assert f'sudo usermod -aG {group} "$USER"' in holders.device_denied_error("Webcam", node).hint
