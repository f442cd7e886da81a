"""A monitor's observer that looks at a room of ports in simulated time."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from devices.host.clock import NANOSECONDS
from devices.kernel.udev import UsbHub
from devices.monitor.change_detector import ChangeDetector
from devices.monitor.device_changes import DeviceChange
from devices.monitor.known_devices import KnownDevices, known_store
from tests.support.health import Recorded
from tests.support.looks import PortRoom
from tests.support.simulated import SimulatedClock

HUB = UsbHub("1-1", "0bda", "5411", "Realtek 4-Port USB Hub", 480_000_000, 4)


class Eye:
    """An observer of a room, in simulated time."""

    def __init__(self, room: PortRoom, memory: Path | None = None, clock: SimulatedClock | None = None) -> None:
        self.room = room
        self.clock = clock or SimulatedClock()
        self.record = Recorded(self.clock)
        self.known = KnownDevices(known_store(memory or Path("/dev/null/devices.json")))
        self.slept_ns = 0
        self.observer = ChangeDetector(
            clock=self.clock, record=self.record, known=self.known, slept=lambda: self.slept_ns
        )
        self.observer.begin(room.look())
        self.record.lines.clear()

    def look(self, *unplugs: str, after_s: float = 1.0) -> list[DeviceChange]:
        self.wait(after_s)
        return self.observer.observe(self.room.look(), Counter(unplugs))

    def wait(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))

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
