"""USB ports without a machine: plugs, kernel messages, recorded trees, and a monitor's view of them.

A recorded tree (tests/devices/usb_trees/*.toml) has a table for each hub or device, by its sysfs name. Its keys are
sysfs's attributes; those in hexadecimal digits are `descriptors` and `bos_descriptors`. A record that comes from a
listing (lsusb -v) has a line for each endpoint, from which `descriptors` are made:

    "1.11 0e02 81 iso 1400 1"

is interface 1, alternate setting 11, class 0e subclass 02, endpoint 81, isochronous, wMaxPacketSize 1400, bInterval 1;
a ninth word is the wBytesPerInterval of its SuperSpeed companion.
"""

import dataclasses
import itertools
import os
import struct
import threading
import tomllib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devices.health.log_line import HealthLogger
from devices.host.clock import NANOSECONDS, Clock
from devices.kernel.udev import SoundInput, UdevDevices, UsbDevice, UsbHub, VideoNode
from devices.model.device import Device, Mode
from devices.monitor.change_detector import ChangeDetector
from devices.monitor.device_changes import DeviceChange, DeviceSnapshot, make_snapshot
from devices.monitor.known_devices import KnownDevices, known_store
from devices.monitor.modes import NodeCapabilities
from devices.monitor.monitor import DeviceMonitor, HotplugEvent, HotplugListener, OnChange
from devices.monitor.snapshot import make_devices
from devices.roles.matching import RoleBinding, binding_of
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

OFFER = NodeCapabilities(gives_pictures=True, is_receiver=False, modes=(Mode("MJPG", 1280, 720, (30.0,)),))
STICK = UsbDevice("534d", "2109", None, "", "USB Video", "MACROSILICON", 480_000_000, capabilities="aaaa")
WEBCAM = UsbDevice("046d", "0825", "A1", "", "C270", "Logitech", 480_000_000, capabilities="bbbb")
MICROPHONE = UsbDevice("0d8c", "0134", None, "", "USB PnP Audio Device", "C-Media", 12_000_000, capabilities="cccc")

GIVEN_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

_REST_S = 5.0

type Act = Callable[[], None]


class PortRoom:
    """What is in which port. Devices of the vendors in `sounding` have sound; the microphone has no picture."""

    def __init__(self, *, sounding: Iterable[str] = ("534d", "0d8c"), bus: str = "pci-0000:00:14.0-usb2") -> None:
        self.plugs: dict[str, UsbDevice] = {}
        self.hubs: dict[str, UsbHub] = {}
        self.bus = bus
        self._sounding = set(sounding)
        self._numbers = itertools.count(2)

    def plug(self, usb: UsbDevice, port: str) -> None:
        """Plug in `usb`; the kernel counts it."""
        assert port not in self.plugs
        place = f"{self.bus}-{port.partition('-')[2]}"
        self.plugs[port] = dataclasses.replace(usb, port=port, place=place, devnum=next(self._numbers))

    def unplug(self, port: str) -> UsbDevice:
        return self.plugs.pop(port)

    def look(self) -> DeviceSnapshot:
        """Return what is plugged in now; a node's number is that of its plugging in."""
        there = sorted(self.plugs.values(), key=lambda usb: usb.port)
        pictures = tuple(
            VideoNode(f"/dev/video{usb.devnum}", usb.product, usb.port, usb, gives_pictures=True)
            for usb in there
            if usb.vid != MICROPHONE.vid
        )
        sounds = tuple(
            SoundInput("/dev/null", f"Card{usb.devnum}", 0, usb.product, usb.port, usb)
            for usb in there
            if usb.vid in self._sounding
        )
        found = UdevDevices(pictures, sounds, tuple(self.hubs.values()))
        return make_snapshot(found, make_devices(found, {picture.node: OFFER for picture in pictures}))

    def devices(self) -> list[Device]:
        return list(self.look().devices)


CAMERA, CARD, CARD_SOUND, MIC = "046d:0825:A1", "534d:2109@1-2", "534d:2109@1-2+sound", "0d8c:0134@1-3"
"""The ids of what is in a furnished room."""


def furnished() -> PortRoom:
    room = PortRoom()
    room.plug(WEBCAM, "1-1")
    room.plug(STICK, "1-2")
    room.plug(MICROPHONE, "1-3")
    return room


def given_roles(devices: Iterable[Device], **ids: str) -> dict[str, RoleBinding]:
    """Return roles given to devices, by the ids of these."""
    by_id = {device.id: device for device in devices}
    return {role: binding_of(by_id[device_id], GIVEN_AT) for role, device_id in ids.items()}


class Script(HotplugListener):
    """Messages at their times, and what is to be done at a time.

    `over` is set some seconds after all has been taken; from then on `wait` waits until it is woken.
    """

    def __init__(self, clock: SimulatedClock, *items: tuple[float, HotplugEvent | Act | OSError]) -> None:
        self._clock = clock
        self._began_ns = clock.now_ns()
        self._items = deque(sorted(items, key=lambda item: item[0]))
        self._end_ns = self._began_ns + int((self._items[-1][0] + _REST_S) * NANOSECONDS)
        self._wakes = threading.Event()
        self.over = threading.Event()
        self.is_closed = False

    def wait(self, timeout_s: float | None) -> list[HotplugEvent]:
        until_ns = None if timeout_s is None else self._clock.now_ns() + int(timeout_s * NANOSECONDS)
        while self._items and (until_ns is None or self._next_ns() <= until_ns):
            self._clock.advance_to(self._next_ns())
            _, item = self._items.popleft()
            if isinstance(item, OSError):
                raise item
            if isinstance(item, tuple):
                return [item]
            item()
            if self._wakes.is_set():
                self._wakes.clear()
                return []
        if until_ns is not None and (self._items or until_ns <= self._end_ns):
            self._clock.advance_to(until_ns)
            return []
        self.over.set()
        assert self._wakes.wait(60), "nobody stopped the monitor"
        return []

    def _next_ns(self) -> int:
        return self._began_ns + int(self._items[0][0] * NANOSECONDS)

    def wake(self) -> None:
        self._wakes.set()

    def close(self) -> None:
        self.is_closed = True


HUB = UsbHub("1-1", "0bda", "5411", "Realtek 4-Port USB Hub", 480_000_000, 4)


class Eye:
    """An observer of a room, in simulated time."""

    def __init__(self, room: PortRoom, memory: Path = Path("/dev/null/devices.json")) -> None:
        self.room = room
        self.clock = SimulatedClock()
        self.record = Recorded(self.clock)
        self.known = KnownDevices(known_store(memory))
        self.slept_ns = 0
        self.observer = ChangeDetector(
            clock=self.clock, record=self.record, known=self.known, slept=lambda: self.slept_ns
        )
        self.observer.begin(room.look())
        self.record.lines.clear()

    def look(self, *unplugs: str, after_s: float = 1.0) -> list[DeviceChange]:
        self.clock.advance(after_s)
        return self.observer.observe(self.room.look(), Counter(unplugs))

    def replug(self, *ports: str, into: Iterable[str] = (), looks: bool = True) -> list[DeviceChange]:
        """Pull out what is in `ports`, look, and put it back in that order."""
        out = [self.room.unplug(port) for port in ports]
        changes = self.look() if looks else []
        for usb, port in zip(out, into or ports, strict=True):
            self.room.plug(usb, port)
            if looks:
                changes += self.look()
        return changes if looks else self.look(*ports)

    def faults(self) -> dict[str, str | None]:
        return {device.port or "": device.health.fault for device in self.observer.devices if device.node}


def told(changes: Iterable[DeviceChange]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.device.id) for change in changes]


@contextmanager
def watching(monitor: DeviceMonitor) -> Iterator[DeviceMonitor]:
    """Let a monitor run."""
    monitor.start()
    try:
        yield monitor
    finally:
        monitor.stop()


class Ports:
    """Opens real monitors that hear of these ports; `looks` counts how often what is plugged in was looked at."""

    def __init__(self) -> None:
        self.room = PortRoom(sounding=())
        self.netlink = Netlink()
        self.looks = 0
        self.opened = 0

    def monitor(self, on_change: OnChange, clock: Clock, record: HealthLogger) -> DeviceMonitor:
        self.opened += 1
        return DeviceMonitor(on_change, clock=clock, record=record, look=self._look, events=self.events)

    def events(self) -> HotplugListener:
        return HotplugListener(self.netlink)

    def _look(self) -> DeviceSnapshot:
        self.looks += 1
        return self.room.look()

    def plug(self, usb: UsbDevice, port: str) -> None:
        """Plug something in, and send what udev sends then."""
        self.room.plug(usb, port)
        self.netlink.put(Message("add", sys_name=port))
        self.netlink.put(Message("add", "video4linux", None, "video0"))

    def unplug(self, port: str) -> None:
        self.room.unplug(port)
        self.netlink.put(Message("remove", sys_name=port))


@dataclass
class Message:
    action: str
    subsystem: str = "usb"
    device_type: str | None = "usb_device"
    sys_name: str = "1-1"


class Netlink:
    """Stands for pyudev.Monitor: messages, or errors, that wait to be read."""

    def __init__(self) -> None:
        self.waiting: deque[Message | OSError] = deque()
        self.readable, self._writable = os.pipe()

    def put(self, message: Message | OSError) -> None:
        self.waiting.append(message)
        os.write(self._writable, b"x")

    def fileno(self) -> int:
        return self.readable

    def poll(self, timeout: float | None) -> Message | None:
        assert timeout == 0
        if not self.waiting:
            return None
        os.read(self.readable, 1)
        message = self.waiting.popleft()
        if isinstance(message, OSError):
            raise message
        return message

    def close(self) -> None:
        os.close(self.readable)
        os.close(self._writable)


TREES = Path(__file__).parents[1] / "devices" / "usb_trees"
_TRANSFERS = {"ctrl": 0, "iso": 1, "bulk": 2, "int": 3}


def usb_tree(name: str, folder: Path) -> Path:
    """Unpack the recorded tree `name` below `folder`; return what stands for /sys/bus/usb/devices."""
    root = folder / name
    tree = tomllib.loads((TREES / f"{name}.toml").read_text())
    for port, attributes in tree.items():
        add_device(root, port, attributes)
    return root


def add_device(root: Path, port: str, attributes: Mapping[str, object]) -> None:
    """Add one hub or device to an unpacked tree."""
    place = root / port
    place.mkdir(parents=True)
    for key, value in attributes.items():
        if key == "endpoints":
            assert isinstance(value, list)
            (place / "descriptors").write_bytes(descriptors(value))
        elif key in ("descriptors", "bos_descriptors"):
            (place / key).write_bytes(bytes.fromhex(str(value)))
        else:
            (place / key).write_text(f"{value}\n")


def descriptors(lines: Sequence[str]) -> bytes:
    """Return what sysfs would have as `descriptors` of a device with the endpoints in `lines`."""
    parts = [struct.pack("<BB16x", 18, 1), struct.pack("<BBHBBBBB", 9, 2, 0, 1, 1, 0, 0x80, 250)]
    for line in lines:
        where, kind, address, transfer, packet, interval, *companion = line.split()
        interface, setting = map(int, where.split("."))
        parts.append(bytes((9, 4, interface, setting, 1, *bytes.fromhex(kind), 0, 0)))
        packed = struct.pack("<BBBBHB", 7, 5, int(address, 16), _TRANSFERS[transfer], int(packet, 16), int(interval))
        parts.append(packed)
        if companion:
            parts.append(struct.pack("<BBBBH", 6, 0x30, 0, 0, int(companion[0])))
    return b"".join(parts)
