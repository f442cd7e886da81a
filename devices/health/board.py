"""The health of the devices that a session uses, in one place: watches write it, the session reads it and is told."""

import threading
from collections.abc import Mapping

from devices.health.tracker import HealthChange, OnChange
from devices.model import Device, Health


class HealthBoard:
    """Implements OnChange for any number of watches; may be told and asked from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._health: dict[str, Health] = {}
        self._listener: OnChange | None = None

    def add(self, device: Device) -> None:
        """Show `device`, which is well until somebody says otherwise."""
        with self._lock:
            self._devices[device.id] = device
            self._health[device.id] = Health()

    def listen(self, listener: OnChange) -> None:
        """Tell `listener` of every change from now on, on the thread that finds it."""
        self._listener = listener

    def __call__(self, change: HealthChange) -> None:
        """Take note of a change; see devices.health.tracker.OnChange."""
        with self._lock:
            self._health[change.device] = change.health
        if self._listener:
            self._listener(change)

    def read(self) -> Mapping[str, tuple[Device, Health]]:
        """Return each device by its id, with its health now."""
        with self._lock:
            return {key: (device, self._health[key]) for key, device in self._devices.items()}
