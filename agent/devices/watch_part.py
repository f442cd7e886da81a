"""The daemon's part `devices`: watches devices and keeps the health log. Polls only for viewers."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.daemon.parts import poll
from config.errors import LiputError
from config.files import file_stamp
from config.settings.schema import Settings
from devices.host.clock import NANOSECONDS, Clock
from devices.host.threads import start_thread
from devices.host.throttle import LogOnChange
from devices.model.device import Device

if TYPE_CHECKING:
    from devices.device_service import DeviceService, OpenMonitor
    from devices.monitor.device_changes import DeviceChange


FRESH_S = 5.0  # younger answers are used as they are
STALE_S = 60.0  # older answers are waited for; between the two a thread asks again

type Ask = Callable[[], Sequence[Device]]


def _ask() -> Sequence[Device]:
    from capture.sound.inputs import server_inputs

    return server_inputs()


class SoundInputCache:
    """Caches the inputs of sound servers. Thread-safe; `on_change` is called on another thread."""

    def __init__(self, clock: Clock, on_change: Callable[[], None], ask: Ask = _ask) -> None:
        self._clock = clock
        self._on_change = on_change
        self._ask = ask
        self._asking = threading.Lock()
        self._known: Sequence[Device] = ()
        self._at_ns: int | None = None
        self._is_due = False

    def expire(self) -> None:
        """Ask again next time: something was plugged or unplugged."""
        self._is_due = True

    def now(self) -> Sequence[Device]:
        """Return the inputs; blocks if the last answer is older than STALE_S."""
        age_s = self._age_s()
        if age_s is None or age_s > STALE_S:
            with self._asking:
                if self._age_s() == age_s:
                    self._look()
        elif (self._is_due or age_s > FRESH_S) and self._asking.acquire(blocking=False):
            with contextlib.suppress(RuntimeError):  # the next caller tries again
                start_thread(self._refresh, name="sound-inputs", otherwise=self._asking.release)
        return self._known

    def _age_s(self) -> float | None:
        return None if self._at_ns is None else (self._clock.now_ns() - self._at_ns) / NANOSECONDS

    def _refresh(self) -> None:
        try:
            before = self._known
            self._look()
        finally:
            self._asking.release()
        if self._known != before:
            self._on_change()

    def _look(self) -> None:
        self._is_due = False
        self._known = tuple(self._ask())
        self._at_ns = self._clock.now_ns()


LOOK_S = 1.0
AGAIN_S = 10.0  # before a broken watch starts again
ASKED_S = 2.0  # least time between two looks for viewers; one takes 50 ms of CPU
BROKEN = "the device monitor has stopped; Liput restarts it, and lists devices on request"


@dataclass(eq=False)
class DevicesPart:
    """Watches until it is stopped. `there` and `number` are thread-safe."""

    settings: Settings
    clock: Clock
    tell: Callable[[str], None]
    archive: Path | None = None
    monitor: "OpenMonitor | None" = None
    name: str = "devices"
    _service: "DeviceService | None" = None
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _number: int = 0
    _files: object = None
    _looked_ns: int | None = None
    _inputs: SoundInputCache = field(init=False)

    def __post_init__(self) -> None:
        """Start numbering at the present time, above any former daemon's number."""
        self._number = round(self.clock.now().timestamp() * 1000)
        self._inputs = SoundInputCache(self.clock, self._count_change)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Watch until `stop` is set; retry after a failure, which is logged once."""
        once = LogOnChange(self.tell)
        poll(lambda: once("" if self._watch(stop, beat) else BROKEN), AGAIN_S, self.clock, stop, beat)

    def _watch(self, stop: threading.Event, beat: Callable[[], None]) -> bool:
        # Lazy: pyudev, which the page does not need.
        from devices.device_service import DeviceService
        from devices.health.log_writer import open_health_log
        from devices.monitor.monitor import DeviceMonitor

        monitor = self.monitor or DeviceMonitor
        with (
            open_health_log(self.settings, self.clock) as log,
            DeviceService(
                log, self.settings, self.clock, archive=self.archive, on_change=self._on_change, monitor=monitor
            ) as service,
        ):
            service.start()
            was_watched = service.is_watching
            self._service = service
            self._count_change()
            try:
                while service.is_watching and not self.clock.wait(stop, LOOK_S):
                    beat()
            finally:
                self._service = None
                self._count_change()
        return stop.is_set() or was_watched

    def _on_change(self, _change: "DeviceChange") -> None:
        self._inputs.expire()
        self._count_change()

    def _count_change(self) -> None:
        with self._changing:
            self._number += 1

    # For viewers

    def number(self) -> int | None:
        """Return a number that changes with the devices shown; None while nothing is watched."""
        if self._service is None:
            return None
        files = _files()
        with self._changing:
            if files != self._files:
                self._files = files
                self._number += 1
            return self._number

    def there(self) -> list[Device] | None:
        """Return the devices without roles, None while nothing is watched; asks for a fresh look."""
        service = self._service
        if service is None:
            return None
        now_ns = self.clock.now_ns()
        if self._looked_ns is None or now_ns - self._looked_ns > ASKED_S * NANOSECONDS:
            self._looked_ns = now_ns
            service.refresh()
        return [*service.devices(), *self._inputs.now()]


def _files() -> object:
    """Return stamps of the last health log, the roles and the known devices."""
    from devices.health.log_writer import log_files, log_folder
    from devices.monitor.known_devices import known_store
    from devices.roles.assignment import roles_store

    with suppress(OSError, LiputError):
        paths = [*log_files(log_folder())[-1:], roles_store().path, known_store().path]
        return [file_stamp(path) for path in paths]
    return None
