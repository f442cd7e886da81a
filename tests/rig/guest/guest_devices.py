"""Devices of real drivers and a real udev: listed, watched, known again, and refused to those who may not open them."""

import errno
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from capture.detectors.source_health import patience_for
from capture.sound.source import SoundSource
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import VideoWorker
from config.errors import DeviceError
from config.settings.schema import Settings
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.kernel import v4l2
from devices.kernel.udev import read_udev_devices
from devices.model.device import Device, DeviceKind, Mode
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.known_devices import confirm, known_store
from devices.monitor.monitor import DeviceMonitor
from devices.monitor.snapshot import list_devices
from devices.roles.matching import MissingDevice, RoleBinding, binding_of, resolve
from devices.usb.slow_ports import port_of, port_warning, streaming_neighbours
from devices.usb.topology import UsbTopology
from tests.rig.rig import CAMERA, STICK, STICK_SOUND, RigDevice, listed, plugged
from tests.support.health import Recorded
from tests.support.ports import usb_tree, watching
from tests.support.processes import be_powerless_root, be_user, confined, refuse_ioctl
from tests.support.waiting import wait_for
from tests.support.workers import judged_video

CLOCK = SystemClock()
NOBODY = 65534


def liput_devices(*words: str) -> bytes:
    liput = Path(sys.executable).with_name("liput")
    done = subprocess.run([liput, "devices", *words, "--json"], capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


# Listed


def test_camera_and_stick_are_listed_with_the_sticks_sound_paired(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    webcam, picture, sound = devices = listed(CAMERA, STICK, STICK_SOUND)
    assert msgspec.json.decode(liput_devices(), type=list[Device])[:3] == devices
    assert (webcam.kind, webcam.name, webcam.node) == (DeviceKind.CAMERA, "Rig Webcam", camera.wait_for_video())
    assert (webcam.vid, webcam.pid, webcam.serial, webcam.port) == ("046d", "0825", "CAM0001", "1-1")
    assert (webcam.alsa, webcam.paired_with, webcam.link_bps) == (None, None, 480_000_000)
    assert webcam.modes[1:] == (Mode("MJPG", 320, 240, (30, 15, 5)), Mode("YUYV", 160, 120, (30, 15, 5)))
    assert (picture.kind, picture.name) == (DeviceKind.CAPTURE_CARD, "MS2109 HDMI capture stick")
    assert (picture.serial, picture.node, picture.alsa) == (None, stick.wait_for_video(), None)
    assert (sound.kind, sound.node, sound.alsa) == (DeviceKind.MICROPHONE, None, "hw:CARD=MS2109,DEV=0")
    assert (picture.paired_with, sound.paired_with) == (sound.id, picture.id)


def test_devices_without_a_usb_plug_have_ids_that_do_not_depend_on_numbers(camera: RigDevice) -> None:
    webcam = plugged(camera, 0, CAMERA)
    for module in ("vivid", "snd-aloop"):
        subprocess.run(["modprobe", module], check=True)
    try:
        card, loopback, second = listed("platform-vivid.0", "platform-snd_aloop.0", "platform-snd_aloop.0+sound2")
        assert (card.kind, card.node != webcam.node, card.port) == (DeviceKind.CAPTURE_CARD, True, None)
        assert {"YUYV", "NV12"} <= {mode.format for mode in card.modes}
        assert all(mode.fps for mode in card.modes)
        assert (loopback.alsa, second.alsa) == ("hw:CARD=Loopback,DEV=0", "hw:CARD=Loopback,DEV=1")
    finally:
        for module in ("vivid", "snd-aloop"):
            subprocess.run(["modprobe", "-r", module], check=True)


def test_the_usb_tree_is_the_recorded_one_and_the_page_of_a_device_says_what_would_be_opened(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    device = listed(CAMERA, STICK, STICK_SOUND)[0]
    live = UsbTopology.read()
    for node in UsbTopology.read(usb_tree("rig", tmp_path)):
        found = live.node(node.port)
        assert found is not None
        assert (found.name, found.link_bps, found.is_hub) == (node.name, node.link_bps, node.is_hub)
        assert (found.superspeed, found.endpoints) == (node.superspeed, node.endpoints)
    assert port_warning(live, device) is None
    assert (port_of(str(device.node)), port_of(stick.wait_for_audio())) == ("1-1", "1-2")
    assert streaming_neighbours(str(device.node)) == ["MS2109 HDMI capture stick (port 1-2)"]
    page = json.loads(liput_devices("show", STICK, "--profile", "240p15"))
    assert [hop["port"] for hop in page["usb"]["path"]] == ["usb1", "1-2"]
    assert (page["partner"]["id"], page["mode"]["format"], page["mode"]["width"]) == (STICK_SOUND, "MJPG", 320)


# Refused


def test_a_full_bus_names_what_else_is_on_it_and_what_to_do(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    device = listed(CAMERA, STICK)[0]
    recorded = Recorded(CLOCK)
    tracker = HealthTracker(device.id, device.name, record=recorded, clock=CLOCK)
    source = V4l2Source(device, width=320, height=240, rate=15)
    worker, health = judged_video(source, device, patience_for(Settings(), device.kind), tracker)
    # The rig's cameras stream in bulk and never get ENOSPC, so the kernel is told to say it.
    caught = refusal_of(worker, lambda: refuse_ioctl(v4l2.VIDIOC_STREAMON, errno.ENOSPC))
    stick_there = "MS2109 HDMI capture stick (port 1-2)"
    assert caught.message == f"this USB bus is full: Rig Webcam ({device.node}) gets no room beside {stick_there}"
    assert (caught.why, caught.hint) == ("bus-full", "Move one device to another port or use MJPEG.")
    assert (health.now.fault, health.now.reason) == (Fault.BUS_FULL, caught.message)
    assert [line.reason for line in recorded.of(LogKind.REFUSED)] == [caught.message]
    again = VideoWorker(source, CLOCK, supervision=worker.supervision)
    again.open()
    again.close()
    assert [line.detail["fault"] for line in recorded.of(LogKind.RECOVERED)] == [Fault.BUS_FULL]


def test_who_may_not_open_a_device_is_told_the_group_and_the_command(stick: RigDevice) -> None:
    stick.plug(1)
    picture, sound = listed(STICK, STICK_SOUND)
    node = stick.wait_for_audio()
    # Sound is opened by a child, which has to read the checkout: a root without rights, whom the node is not.
    os.chown(node, NOBODY, -1)
    for caught, name, group in (
        (refusal_of(V4l2Source(picture, width=320, height=240, rate=15), lambda: be_user(NOBODY)),
         f"{picture.name} ({picture.node})", "video"),
        (refusal_of(SoundSource(sound), be_powerless_root), f"{sound.name} ({node})", "audio"),
    ):  # fmt: skip
        assert caught.why == "denied"
        assert caught.message == f"this user may not open {name}: it belongs to the group {group}"
        assert caught.hint == f'Join it with: sudo usermod -aG {group} "$USER", then log out and in again.'


def refusal_of(source: V4l2Source | SoundSource | VideoWorker, confine: Callable[[], None]) -> DeviceError:
    """Return what opening `source` ends with on a thread that is confined."""
    try:
        with pytest.raises(DeviceError) as caught:
            confined(confine, source.open)
    finally:
        source.close()
    return caught.value


# Watched


class Watched:
    """A monitor that runs, with what it has told."""

    def __init__(self, memory: Path) -> None:
        self.memory = memory
        self.record = Recorded(CLOCK)
        self.monitor = DeviceMonitor(self._on_change, clock=CLOCK, record=self.record, memory=memory)
        self._told: list[tuple[float, DeviceChange]] = []

    def _on_change(self, change: DeviceChange) -> None:
        self._told.append((time.monotonic(), change))

    def next(self, *kinds: ChangeKind, port: int, within_s: float, after: Callable[[], object]) -> DeviceChange:
        """Do something, and return the change of a picture in `port` that is told in time because of it."""
        began = time.monotonic()
        after()

        def found() -> list[tuple[float, DeviceChange]]:
            there = [one for one in list(self._told) if one[1].kind in kinds and one[0] > began]
            return [one for one in there if one[1].device.port == f"1-{port + 1}" and one[1].device.node]

        at, change = wait_for(found, 15, f"{kinds} in {port} among {self._told}")[0]
        assert at - began < within_s
        return change

    def plugged(self, rig: RigDevice, port: int) -> DeviceChange:
        """Plug a device in, and return what is told of it within 2 s."""
        kinds = (ChangeKind.PLUGGED, ChangeKind.MOVED)
        return self.next(*kinds, port=port, within_s=2, after=lambda: rig.plug(port))

    def unplugged(self, rig: RigDevice) -> DeviceChange:
        """Pull a device out, and return what is told of it within 1 s."""
        return self.next(ChangeKind.UNPLUGGED, port=rig.port or 0, within_s=1, after=rig.unplug)

    def count(self, kind: ChangeKind) -> int:
        return sum(change.kind is kind for _, change in self._told)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Provide a running monitor that remembers nothing of other days."""
    watched = Watched(tmp_path / "devices.json")
    with watching(watched.monitor):
        assert watched.monitor.devices() == ()
        yield watched


def bound(device: Device) -> RoleBinding:
    return binding_of(device, CLOCK.now())


def test_a_camera_is_told_in_time_and_known_again_while_its_node_is_held_in_whatever_port(
    camera: RigDevice, watched: Watched
) -> None:
    first = watched.plugged(camera, 0)
    assert (first.kind, first.device.id, first.before) == (ChangeKind.PLUGGED, CAMERA, None)
    assert first.device.place == "platform-vhci_hcd.0-usb2-1"
    assert first.devices == watched.monitor.devices() == (first.device,)
    held = os.open(first.device.node or "", os.O_RDWR)
    try:
        unplugged = watched.unplugged(camera)
        assert (unplugged.device, unplugged.devices, watched.monitor.devices()) == (first.device, (), ())
        again = watched.plugged(camera, 0)
        assert (again.kind, again.before, again.device.id) == (ChangeKind.PLUGGED, first.device, CAMERA)
        assert again.device.node != first.device.node
        watched.unplugged(camera)
        moved = watched.plugged(camera, 4)
    finally:
        os.close(held)
    assert (moved.kind, moved.device.id, moved.device.port) == (ChangeKind.MOVED, CAMERA, "1-5")
    assert moved.before == again.device
    assert resolve(bound(first.device), watched.monitor.devices()) == moved.device
    lines = watched.record.lines
    assert [(line.kind, line.device, line.level) for line in lines] == [
        (kind, CAMERA, LogLevel.INFO)
        for kind in (LogKind.PLUGGED, LogKind.UNPLUGGED, LogKind.PLUGGED, LogKind.UNPLUGGED, LogKind.MOVED)
    ]
    assert [lines[0].reason, *(line.reason for line in lines[2::2])] == [
        "plugged in, port 1-1; new: never seen on this PC before",
        "plugged in, port 1-1; known, last seen less than a minute ago",
        "moved from port 1-1 to port 1-5; last seen less than a minute ago",
    ]
    hubs = [(hub.port, hub.ports, hub.vid, hub.carries("1-1")) for hub in read_udev_devices().hubs]
    assert hubs[:2] == [("usb1", 15, "1d6b", True), ("usb2", 15, "1d6b", False)]


def test_rapid_replugs_are_one_line_and_end_as_it_is(camera: RigDevice, watched: Watched) -> None:
    watched.plugged(camera, 0)  # whom nobody has seen yet is named only once it stays
    unplugged_at = []
    for number in range(8):
        if number:
            camera.plug(0)
        # Pulled out while the driver still asks, the virtual controller needs 5 s until it sees the next plug.
        wait_for(lambda: len(list(Path(camera.sysfs_path).glob("*/video4linux/video*"))) == 2, what="both nodes")
        unplugged_at.append(CLOCK.now())
        camera.unplug()
    watched.next(ChangeKind.PLUGGED, port=0, within_s=2, after=lambda: camera.plug(0))
    node = camera.wait_for_video()
    (device,) = wait_for(lambda: [one for one in watched.monitor.devices() if one.node == node], what="the last one")
    assert (device.health.state, device.health.fault) == ("degraded", "flapping")
    assert device.health.reason == "comes and goes; check its cable and its port"
    (line,) = watched.record.of(LogKind.FLAPPING)
    assert (line.device, line.level, line.detail["fault"]) == (CAMERA, LogLevel.WARN, "flapping")
    said = re.fullmatch(re.escape(device.health.reason) + r": unplugged (\d+) times in \d+ s", line.reason)
    assert said is not None, line.reason
    assert 3 <= int(said[1]) == line.detail["unplugs"]
    assert 0 < (line.at - unplugged_at[2]).total_seconds() < 2
    assert len(watched.record.lines) <= 7
    assert watched.count(ChangeKind.PLUGGED) == watched.count(ChangeKind.UNPLUGGED) + 1


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
        assert [line.device for line in lines] == ["534d:2109@1-5", STICK]
        assert lines[1].level is LogLevel.WARN
        assert lines[1].reason.startswith("may have changed places with the one of port 1-5: nothing tells them apart")
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
        changed = watched.next(ChangeKind.CHANGED, port=0, within_s=2, after=lambda: twin.plug(1))
        assert (changed.before, changed.device.id) == (first, "046d:0825@1-1")
        assert (changed.device.node, changed.device.shared_serial) == (first.node, "CAM0001")
        assert watched.count(ChangeKind.UNPLUGGED) == 0
        (line,) = watched.record.of(LogKind.RENAMED)
        assert (line.device, line.detail["before"]) == ("046d:0825@1-1", CAMERA)
        assert resolve(bound(first), watched.monitor.devices()) == changed.device
        assert [(device.id, device.serial) for device in list_devices()] == [
            ("046d:0825@1-1", None), ("046d:0825@1-2", None),
        ]  # fmt: skip
        again = watched.next(ChangeKind.CHANGED, port=0, within_s=1, after=twin.unplug)
        assert again.device.id == CAMERA
