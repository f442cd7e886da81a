"""What a monitor looks at and listens to, without a machine: plugs in ports, and a script of the kernel's messages."""

import dataclasses
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from devices.host.clock import NANOSECONDS
from devices.kernel.udev import SoundInput, UdevDevices, UsbDevice, UsbHub, VideoNode
from devices.model.device import Device, Mode
from devices.monitor.device_changes import DeviceSnapshot, make_snapshot
from devices.monitor.modes import NodeCapabilities
from devices.monitor.monitor import HotplugEvent, HotplugListener
from devices.monitor.snapshot import make_devices
from devices.roles.matching import RoleBinding, binding_of
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
        """Pull out what is in `port`, and return it."""
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
        """Return what is plugged in now."""
        return list(self.look().devices)


CAMERA, CARD, CARD_SOUND, MIC = "046d:0825:A1", "534d:2109@1-2", "534d:2109@1-2+sound", "0d8c:0134@1-3"
"""The ids of what is in a furnished room."""


def furnished() -> PortRoom:
    """Return a room with a camera, a stick with sound, and a microphone."""
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
