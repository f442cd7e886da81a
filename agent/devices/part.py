"""The daemon's part `devices`: watches the devices and keeps the health log; nothing is polled while nobody looks."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.daemon.parts import look_again
from config.errors import LiputError
from config.files import stamp
from config.settings.schema import Settings
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import LogOnChange
from devices.model.device import Device

if TYPE_CHECKING:
    from devices.monitor.changes import DeviceChange
    from devices.service import DeviceService, OpenMonitor


FRESH_S = 5.0
"""For so long an answer is taken as it is."""
STALE_S = 60.0
"""After so long it is worth to wait for another one; between the two they are asked beside."""

type Ask = Callable[[], Sequence[Device]]


def _ask() -> Sequence[Device]:
    from capture.sound.inputs import server_inputs

    return server_inputs()


class KnownInputs:
    """For any thread. `on_change` is called, on another one, when an answer came that differs from the last."""

    def __init__(self, clock: Clock, on_change: Callable[[], None], ask: Ask = _ask) -> None:
        self._clock = clock
        self._on_change = on_change
        self._ask = ask
        self._asking = threading.Lock()
        self._known: Sequence[Device] = ()
        self._at_ns: int | None = None
        self._is_due = False

    def doubt(self) -> None:
        """Ask again the next time: something was plugged in or pulled out."""
        self._is_due = True

    def now(self) -> Sequence[Device]:
        """Return what they offer; waits for them where nobody has asked for a minute."""
        age_s = self._age_s()
        if age_s is None or age_s > STALE_S:
            with self._asking:
                if self._age_s() == age_s:
                    self._look()
        elif (self._is_due or age_s > FRESH_S) and self._asking.acquire(blocking=False):
            with contextlib.suppress(RuntimeError):  # the next who asks tries again
                threads.start(self._beside, name="sound-inputs", otherwise=self._asking.release)
        return self._known

    def _age_s(self) -> float | None:
        return None if self._at_ns is None else (self._clock.now_ns() - self._at_ns) / NANOSECONDS

    def _beside(self) -> None:
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
AGAIN_S = 10.0
"""Until a watch that has broken is begun anew."""
ASKED_S = 2.0
"""Between two looks that are taken because somebody asks: one takes 50 ms of CPU."""
BROKEN = "the devices are not watched any more; that is tried again, and whoever asks is told what is there then"


@dataclass(eq=False)
class DevicesPart:
    """Watches until it is told to stop; `there` and `number` are thread-safe."""

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
    _inputs: KnownInputs = field(init=False)

    def __post_init__(self) -> None:
        """Ask the sound servers where somebody wants to know; number from now, not as a daemon before this one did."""
        self._number = round(self.clock.now().timestamp() * 1000)
        self._inputs = KnownInputs(self.clock, self._move)

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Watch until `stop` is set; that it cannot be done is told once, and tried again."""
        once = LogOnChange(self.tell)
        look_again(lambda: once("" if self._watch(stop, beat) else BROKEN), AGAIN_S, self.clock, stop, beat)

    def _watch(self, stop: threading.Event, beat: Callable[[], None]) -> bool:
        """Watch until that ends; return whether it was watched at all, or is to end."""
        # pyudev, which the page need not wait for
        from devices.health.log import open_health_log
        from devices.monitor.monitor import DeviceMonitor
        from devices.service import device_service

        monitor = self.monitor or DeviceMonitor
        with (
            open_health_log(self.settings, self.clock) as log,
            device_service(
                log, self.settings, self.clock, archive=self.archive, on_change=self._hear, monitor=monitor
            ) as service,
        ):
            service.start()
            was_watched = service.is_watching
            self._service = service
            self._move()
            try:
                while service.is_watching and not self.clock.wait(stop, LOOK_S):
                    beat()
            finally:
                self._service = None
                self._move()
        return stop.is_set() or was_watched

    def _hear(self, _change: "DeviceChange") -> None:
        self._inputs.doubt()
        self._move()

    def _move(self) -> None:
        with self._changing:
            self._number += 1

    # For whoever looks

    def number(self) -> int | None:
        """Return a number that changes with what is shown of devices; None while they are not watched."""
        if self._service is None:
            return None
        files = _files()
        with self._changing:
            if files != self._files:
                self._files = files
                self._number += 1
            return self._number

    def there(self) -> list[Device] | None:
        """Return the devices without roles, None while they are not watched; asks for a fresh look at their users."""
        service = self._service
        if service is None:
            return None
        now_ns = self.clock.now_ns()
        if self._looked_ns is None or now_ns - self._looked_ns > ASKED_S * NANOSECONDS:
            self._looked_ns = now_ns
            service.refresh()
        return [*service.devices(), *self._inputs.now()]


def _files() -> object:
    """Return the stamps of the files that devices are shown from: the health log's last, roles, known devices."""
    from devices.health.log import log_files, log_folder
    from devices.monitor.known import known_store
    from devices.roles.roles import roles_store

    with suppress(OSError, LiputError):
        paths = [*log_files(log_folder())[-1:], roles_store().path, known_store().path]
        return [stamp(path) for path in paths]
    return None
