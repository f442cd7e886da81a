"""Sets the controls of cameras whenever they are there anew, none waiting for another."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from devices.host import threads
from devices.model import Device


class PresetKeeper:
    """Calls `apply` with each device that is there anew, on a thread for each device.

    A camera that hangs keeps only its own thread; plugged in again meanwhile, it is set once that thread is back.
    """

    def __init__(self, apply: Callable[[Device], object]) -> None:
        self._apply = apply
        self._lock = threading.Lock()
        self._waiting: dict[str, Device] = {}
        self._busy: set[str] = set()
        self._is_over = False

    def enumerated(self, device: Device) -> None:
        """Set what `device` is to have; returns at once."""
        if device.node is None:
            return
        with self._lock:
            if self._is_over:
                return
            self._waiting[device.id] = device
            if device.id in self._busy:
                return
            self._busy.add(device.id)
        undo = partial(self._busy.discard, device.id)
        with suppress(RuntimeError):  # whoever plugs it in anew tries again
            threads.start(self._run, device.id, name=f"presets-{device.node}", otherwise=undo)

    def stop(self) -> None:
        """Set nothing more; what is under way is left to itself."""
        with self._lock:
            self._is_over = True
            self._waiting.clear()

    def _run(self, identifier: str) -> None:
        while True:
            with self._lock:
                device = self._waiting.pop(identifier, None)
                if device is None:
                    self._busy.discard(identifier)
                    return
            try:
                self._apply(device)
            except Exception:  # its next plug must find a thread that sets it
                threads.report()
