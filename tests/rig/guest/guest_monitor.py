"""The monitor against real drivers: what comes, goes, moves, flaps and may have been swapped is told, and in time."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.kernel.udev import read_udev_devices as plugged_in
from devices.model.device import Device
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.known_devices import confirm, known_store
from devices.monitor.monitor import DeviceMonitor
from devices.roles.matching import MissingDevice, RoleBinding, binding_of, resolve
from tests.rig.rig import RigDevice
from tests.support.health import Recorded
from tests.support.waiting import wait_for

CAMERA = "046d:0825:CAM0001"
CLOCK = SystemClock()


class Watched:
    """A monitor that runs, with what it has told."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.record = Recorded(CLOCK)
        self.monitor = DeviceMonitor(self._on_change, clock=CLOCK, record=self.record, memory=memory)
        self._told: list[tuple[float, DeviceChange]] = []
        self._came = threading.Condition()

    def _on_change(self, change: DeviceChange) -> None:
        with self._came:
            self._told.append((time.monotonic(), change))
            self._came.notify_all()

    def next(self, *kinds: ChangeKind, port: int, within_s: float, after: Callable[[], None]) -> DeviceChange:
        """Do something, and return the change of a picture in `port` that is told in time because of it."""
        began = time.monotonic()
        after()

        def found() -> list[tuple[float, DeviceChange]]:
            there = [one for one in self._told if one[1].kind in kinds and one[0] > began]
            return [one for one in there if one[1].device.port == f"1-{port + 1}" and one[1].device.node]

        with self._came:
            assert self._came.wait_for(found, 15), (kinds, port, self._told)
            told_at, change = found()[0]
        keep_time(change.kind, told_at - began)
        assert told_at - began < within_s
        return change

    def plugged(self, rig: RigDevice, port: int) -> DeviceChange:
        """Plug a device in, and return what is told of it within 2 s."""
        kinds = (ChangeKind.PLUGGED, ChangeKind.MOVED)
        return self.next(*kinds, port=port, within_s=2, after=lambda: rig.plug(port))

    def unplugged(self, rig: RigDevice) -> DeviceChange:
        """Pull a device out, and return what is told of it within 1 s."""
        assert rig.port is not None
        return self.next(ChangeKind.UNPLUGGED, port=rig.port, within_s=1, after=rig.unplug)

    def told(self, kind: ChangeKind) -> list[DeviceChange]:
        with self._came:
            return [change for _, change in self._told if change.kind is kind]


def keep_time(what: str, seconds: float) -> None:
    with Path(os.environ["ARTIFACTS"], "told-after.txt").open("a") as times:
        times.write(f"{what} {seconds:.3f} s\n")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Provide a running monitor that remembers nothing of other days."""
    watched = Watched(tmp_path / "devices.json")
    with watched.monitor:
        assert watched.monitor.devices() == ()
        yield watched


def bound(device: Device) -> RoleBinding:
    return binding_of(device, CLOCK.now())


def test_a_plug_is_told_within_two_seconds_an_unplugging_within_one_and_in_the_same_port_it_is_known(
    camera: RigDevice, watched: Watched
) -> None:
    plugged = watched.plugged(camera, 0)
    assert (plugged.kind, plugged.device.id, plugged.before) == (ChangeKind.PLUGGED, CAMERA, None)
    assert (plugged.device.node, plugged.device.health.state) == (camera.wait_for_video(), "ok")
    assert plugged.device.place == "platform-vhci_hcd.0-usb2-1"
    assert len(plugged.device.capabilities or "") == 12
    assert plugged.devices == watched.monitor.devices() == (plugged.device,)
    (line,) = watched.record.of(LogKind.PLUGGED)
    assert (line.device, line.name, line.level) == (CAMERA, "Rig Webcam", LogLevel.INFO)
    assert line.reason == "plugged in, port 1-1; new: never seen on this PC before"
    unplugged = watched.unplugged(camera)
    assert (unplugged.device, unplugged.devices) == (plugged.device, ())
    assert watched.monitor.devices() == ()
    (line,) = watched.record.of(LogKind.UNPLUGGED)
    assert (line.device, line.level) == (CAMERA, LogLevel.INFO)
    assert line.reason.startswith("unplugged from port 1-1 after ")
    again = watched.plugged(camera, 0)
    assert (again.kind, again.before, again.device.id) == (ChangeKind.PLUGGED, plugged.device, CAMERA)
    assert (again.device.port, again.device.health.state) == ("1-1", "ok")
    _, line = watched.record.of(LogKind.PLUGGED)
    assert (line.device, line.level) == (CAMERA, LogLevel.INFO)
    assert line.reason == "plugged in, port 1-1; known, last seen less than a minute ago"
    assert len(watched.record.lines) == 3
    hubs = [(hub.port, hub.ports, hub.vid, hub.carries("1-1")) for hub in plugged_in().hubs]
    assert hubs[:2] == [("usb1", 15, "1d6b", True), ("usb2", 15, "1d6b", False)]
    assert [port for port, *_ in hubs] == [f"usb{number + 1}" for number in range(len(hubs))]


def test_replugged_while_its_node_is_held_it_is_known_in_the_same_port_and_in_another(
    camera: RigDevice, watched: Watched
) -> None:
    first = watched.plugged(camera, 0).device
    held = os.open(first.node or "", os.O_RDWR)
    try:
        watched.unplugged(camera)
        again = watched.plugged(camera, 0)
        assert (again.kind, again.before) == (ChangeKind.PLUGGED, first)
        assert (again.device.id, again.device.node != first.node) == (CAMERA, True)
        assert (again.device.port, again.device.health.state) == ("1-1", "ok")
        line = watched.record.of(LogKind.PLUGGED)[-1]
        assert (line.device, line.level) == (CAMERA, LogLevel.INFO)
        assert line.reason == "plugged in, port 1-1; known, last seen less than a minute ago"
        watched.unplugged(camera)
        moved = watched.plugged(camera, 4)
    finally:
        os.close(held)
    assert (moved.kind, moved.device.id, moved.device.port) == (ChangeKind.MOVED, CAMERA, "1-5")
    assert (moved.before, moved.device.health.state) == (again.device, "ok")
    (line,) = watched.record.of(LogKind.MOVED)
    assert (line.device, line.name, line.level) == (CAMERA, "Rig Webcam", LogLevel.INFO)
    assert line.reason == "moved from port 1-1 to port 1-5; last seen less than a minute ago"
    assert len(watched.record.lines) == 5
    assert resolve(bound(first), watched.monitor.devices()) == moved.device


def test_twenty_rapid_replugs_are_one_line_and_end_as_it_is(camera: RigDevice, watched: Watched) -> None:
    watched.plugged(camera, 0)  # whom nobody has seen yet is named only once it stays
    began = time.monotonic()
    unplugged_at = []
    for number in range(20):
        if number:
            camera.plug(0)
        # Pulled out while the driver still asks, the virtual controller needs 5 s until it sees the next plug.
        wait_for(lambda: _has_both_nodes(camera), what="the driver's nodes")
        unplugged_at.append(CLOCK.now())
        camera.unplug()
    assert time.monotonic() - began < 25
    watched.next(ChangeKind.PLUGGED, port=0, within_s=2, after=lambda: camera.plug(0))
    node = camera.wait_for_video()
    (device,) = wait_for(lambda: [one for one in watched.monitor.devices() if one.node == node], what="the last one")
    assert (device.id, device.health.state, device.health.fault) == (CAMERA, "degraded", "flapping")
    assert device.health.reason == "comes and goes; check its cable and its port"
    (line,) = watched.record.of(LogKind.FLAPPING)
    assert (line.device, line.level, line.detail["fault"]) == (CAMERA, LogLevel.WARN, "flapping")
    said = re.fullmatch(re.escape(device.health.reason) + r": unplugged (\d+) times in \d+ s", line.reason)
    assert said is not None, line.reason
    assert 3 <= int(said[1]) == line.detail["unplugs"]
    took_s = (line.at - unplugged_at[2]).total_seconds()
    keep_time("flapping", took_s)
    assert 0 < took_s < 2
    assert len(watched.record.lines) <= 7
    assert not watched.record.of(LogKind.SWAPPED)
    kinds = [change.kind for change in watched.told(ChangeKind.PLUGGED) + watched.told(ChangeKind.UNPLUGGED)]
    assert kinds.count(ChangeKind.PLUGGED) == kinds.count(ChangeKind.UNPLUGGED) + 1


def _has_both_nodes(rig: RigDevice) -> bool:
    return len(list(Path(rig.sysfs_path).glob("*/video4linux/video*"))) == 2


def test_sticks_without_serials_that_changed_places_are_reported_and_roles_stay_with_the_ports(
    stick: RigDevice, watched: Watched
) -> None:
    with RigDevice("hdmi-stick") as other:
        slides = watched.plugged(stick, 1).device
        watched.plugged(other, 4)
        role = bound(slides)
        watched.unplugged(stick)
        missing = resolve(role, watched.monitor.devices())
        assert isinstance(missing, MissingDevice)
        assert (missing.replacement, [device.port for device in missing.elsewhere]) == (None, ["1-5"])
        watched.unplugged(other)
        watched.plugged(stick, 4)
        assert isinstance(resolve(role, watched.monitor.devices()), MissingDevice), "the role went with the cable"
        back = watched.plugged(other, 1).device
        pictures = [device for device in watched.monitor.devices() if device.node]
        assert [(device.health.state, device.health.fault) for device in pictures] == [("degraded", "swapped")] * 2
        lines = [line for line in watched.record.of(LogKind.SWAPPED) if "sound" not in line.device]
        assert [line.device for line in lines] == ["534d:2109@1-5", "534d:2109@1-2"]
        assert lines[1].reason.startswith("may have changed places with the one of port 1-5: nothing tells them apart")
        assert lines[1].level is LogLevel.WARN
        assert resolve(role, watched.monitor.devices()) == back

        def look() -> None:
            store, ids = known_store(watched.memory), {device.id for device in watched.monitor.devices()}
            wait_for(lambda: len([known for known in store.read().values() if known.swapped]) == 4)
            assert set(confirm(store, ids)) == ids

        sure = watched.next(ChangeKind.CHANGED, port=1, within_s=4, after=look)
        assert sure.device.health.state == "ok"


def test_a_twin_with_the_same_serial_takes_nothing_from_the_one_that_was_there(
    camera: RigDevice, watched: Watched
) -> None:
    with RigDevice("webcam", serial="CAM0001") as twin:
        first = watched.plugged(camera, 0).device
        role = bound(first)
        changed = watched.next(ChangeKind.CHANGED, port=0, within_s=2, after=lambda: twin.plug(1))
        assert (changed.before, changed.device.id) == (first, "046d:0825@1-1")
        assert (changed.device.node, changed.device.shared_serial) == (first.node, "CAM0001")
        assert watched.told(ChangeKind.UNPLUGGED) == []
        (line,) = watched.record.of(LogKind.RENAMED)
        assert (line.device, line.detail["before"]) == ("046d:0825@1-1", CAMERA)
        assert resolve(role, watched.monitor.devices()) == changed.device
        again = watched.next(ChangeKind.CHANGED, port=0, within_s=1, after=twin.unplug)
        assert again.device.id == CAMERA


def test_another_unit_in_the_same_port_is_offered_and_not_taken(camera: RigDevice, watched: Watched) -> None:
    role = bound(watched.plugged(camera, 0).device)
    watched.unplugged(camera)
    with RigDevice("webcam", serial="CAM0002") as unit:
        replacement = watched.plugged(unit, 0).device
        found = resolve(role, watched.monitor.devices())
        assert isinstance(found, MissingDevice)
        assert found.replacement == replacement
        assert found.reason == "another Rig Webcam is in its port 1-1: its serial number is CAM0002, not CAM0001"
        assert watched.record.lines[-1].device == "046d:0825:CAM0002"
