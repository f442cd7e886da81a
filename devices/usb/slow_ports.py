"""Devices in a port below their speed, and the neighbours of a node on its bus."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from devices.health.faults import Fault, HealthTracker, with_health
from devices.health.log_line import HealthLogger
from devices.host.clock import Clock
from devices.model.device import Device
from devices.model.quirks import quirk_of
from devices.usb.budget import bus_neighbours, controller_neighbours
from devices.usb.budget import usable_bps as usable_by
from devices.usb.topology import SUPER_SPEED, SYSFS, UsbNode, UsbTopology, read_node

SLOW_PORT_HINT = "Plug it into a USB 3 port (blue, or marked SS), with a cable for USB 3 and no USB 2 hub between."


def slow_port(topology: UsbTopology, device: Device) -> tuple[UsbNode, str | None] | None:
    """Return the node of a USB 3 device at USB 2 speed, with the port of a USB 2 hub above it, if any."""
    node = topology.node(device.port)
    if node is None or node.link_bps >= SUPER_SPEED or not _can_superspeed(node):
        return None
    hubs = topology.path(node.port)[1:-1]
    return node, next((hub.port for hub in reversed(hubs) if not hub.superspeed), None)


def port_warning(topology: UsbTopology, device: Device) -> str | None:
    """Return the result of `slow_port` as a sentence."""
    slow = slow_port(topology, device)
    if slow is None:
        return None
    node, hub = slow
    why = f"the hub at port {hub} is a USB 2 hub" if hub else f"port {node.port} or the cable is USB 2"
    return f"{device.name} is made for USB 3 and runs at {node.link_bps / 1e6:g} Mbit/s: {why}"


def _can_superspeed(node: UsbNode) -> bool:
    if node.superspeed is not None:
        return node.superspeed
    known = quirk_of(node.vid, node.pid)
    return known is not None and known.superspeed


def usable_bps(device: Device, root: Path = SYSFS) -> int | None:
    """Return the most bits a second for video of `device` on its link; None without a limit."""
    node = read_node(root / device.port) if device.port else None
    return usable_by(node) if node is not None else None


def streaming_neighbours(node: str, root: Path = SYSFS) -> list[str]:
    """Return other streaming devices on the bus of `node`, else on its controller, as "name (port 1-1)"."""
    port = port_of(node)
    if port is None:
        return []
    topology = UsbTopology.read(root)
    others = bus_neighbours(topology, port) or controller_neighbours(topology, port)
    return [f"{other.name} (port {other.port})" for other in others]


def port_of(node: str) -> str | None:
    """Return the USB port of a device node (/dev/video0, /dev/snd/pcmC1D0c), None without one."""
    try:
        number = Path(node).stat().st_rdev
        place = Path(f"/sys/dev/char/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    return next((folder.name for folder in place.parents if (folder / "idVendor").exists()), None)


type ReadTopology = Callable[[], UsbTopology]


def with_slow_ports(devices: Sequence[Device], topology: ReadTopology = UsbTopology.read) -> list[Device]:
    """Return `devices`, with the fault `slow-port` where it applies and no fault is worse."""
    warnings = _port_warnings(devices, topology)
    return [
        with_health(device, Fault.SLOW_PORT, warnings[device.id], None) if device.id in warnings else device
        for device in devices
    ]


def _port_warnings(devices: Sequence[Device], topology: ReadTopology) -> dict[str, str]:
    """Return the result of `port_warning` by id, of each video device that has one."""
    pictures = [device for device in devices if device.node is not None and device.port]
    tree = topology() if pictures else UsbTopology({})
    return {device.id: warning for device in pictures if (warning := port_warning(tree, device))}


class SlowPortTracker:
    """Keeps the fault `slow-port` in the health log. Thread-safe."""

    def __init__(self, record: HealthLogger, clock: Clock, topology: ReadTopology = UsbTopology.read) -> None:
        self._record = record
        self._clock = clock
        self._topology = topology
        self._lock = threading.Lock()
        self._found: dict[str, HealthTracker] = {}

    def observe(self, devices: Sequence[Device]) -> None:
        """Take all plugged-in devices after a change, and log faults that begin or end."""
        with self._lock:
            warnings = _port_warnings(devices, self._topology)
            for gone in self._found.keys() - warnings.keys():
                self._found.pop(gone).clear(Fault.SLOW_PORT)
            for device in devices:
                if device.id in warnings and device.id not in self._found:
                    tracker = HealthTracker(device.id, device.name, record=self._record, clock=self._clock)
                    tracker.find(Fault.SLOW_PORT, warnings[device.id], hint=SLOW_PORT_HINT, port=device.port)
                    self._found[device.id] = tracker
