"""USB 3 devices in USB 2 ports: a fault of the device for as long as it sits there."""

import threading
from collections.abc import Callable, Sequence

from devices.health.faults import Fault, with_health
from devices.health.line import Record
from devices.health.tracker import HealthTracker
from devices.host.clock import Clock
from devices.model import Device
from devices.usb.ports import HINT, port_warning
from devices.usb.topology import Topology

type ReadTopology = Callable[[], Topology]


def with_slow_ports(devices: Sequence[Device], topology: ReadTopology = Topology.read) -> list[Device]:
    """Return `devices`; one that sits in a port that is too slow for it has that as its health if nothing is worse."""
    if not any(device.port for device in devices):
        return list(devices)
    tree = topology()
    return [_with_warning(device, port_warning(tree, device)) for device in devices]


def _with_warning(device: Device, warning: str | None) -> Device:
    if warning is None or device.node is None:
        return device
    return with_health(device, Fault.SLOW_PORT, warning, None)


class SlowPorts:
    """Keeps the fault in the health log: told of everything that is plugged in, whenever that has changed."""

    def __init__(self, record: Record, clock: Clock, topology: ReadTopology = Topology.read) -> None:
        self._record = record
        self._clock = clock
        self._topology = topology
        self._lock = threading.Lock()
        self._found: dict[str, HealthTracker] = {}

    def observe(self, devices: Sequence[Device]) -> None:
        """Say which of `devices` sit in a port that is too slow, and of which that is over."""
        with self._lock:
            pictures = [device for device in devices if device.node is not None and device.port]
            tree = self._topology() if pictures else None
            warned = {}
            for device in pictures:
                if tree is not None and (warning := port_warning(tree, device)):
                    warned[device.id] = (device, warning)
            for gone in self._found.keys() - warned.keys():
                self._found.pop(gone).clear(Fault.SLOW_PORT)
            for key in warned.keys() - self._found.keys():
                device, warning = warned[key]
                tracker = HealthTracker(key, device.name, record=self._record, clock=self._clock)
                tracker.find(Fault.SLOW_PORT, warning, hint=HINT, port=device.port)
                self._found[key] = tracker
