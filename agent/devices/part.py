"""The daemon's part `devices`: watches what is plugged in, and keeps the health log, as it is done beside a session.

Nothing is polled while nobody looks. What is plugged in is known without opening anything; `number` is another one
whenever a page that shows it should ask again. A watch that breaks is begun anew.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.daemon.parts import look_again
from agent.devices.inputs import KnownInputs
from config.errors import LiputError
from config.files import stamp
from config.schema import Settings
from devices.clock import NANOSECONDS, Clock
from devices.host.log_on_change import LogOnChange
from devices.model import Device

if TYPE_CHECKING:
    from devices.monitor.changes import DeviceChange
    from devices.service import DeviceService, OpenMonitor

LOOK_S = 1.0
"""Between two signs of life."""
AGAIN_S = 10.0
"""Until a watch that has broken is begun anew."""
ASKED_S = 2.0
"""Between two looks that are taken because somebody asks: one takes 50 ms of CPU."""
BROKEN = "the devices are not watched any more; that is tried again, and whoever asks is told what is there then"


@dataclass(eq=False)
class DevicesPart:
    """Watches until it is told to stop; `there` and `number` may be asked from any thread.

    `archive` is the folder whose disk must not fill up, None for that of the settings.
    """

    settings: Settings
    clock: Clock
    tell: Callable[[str], None]
    archive: Path | None = None
    monitor: "OpenMonitor | None" = None
    """None: this PC's own."""
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
        """Return a number that is another one when devices may be others, or used, named, or well otherwise.

        None where they are not watched: it is asked for again and again then.
        """
        if self._service is None:
            return None
        files = _files()
        with self._changing:
            if files != self._files:
                self._files = files
                self._number += 1
            return self._number

    def there(self) -> list[Device] | None:
        """Return what is plugged in, without roles; None where it is not watched.

        Who uses what is as it was at the last look; another one is taken now, and `number` says when it saw something.
        """
        service = self._service
        if service is None:
            return None
        now_ns = self.clock.now_ns()
        if self._looked_ns is None or now_ns - self._looked_ns > ASKED_S * NANOSECONDS:
            self._looked_ns = now_ns
            service.refresh()
        return [*service.devices(), *self._inputs.now()]


def _files() -> object:
    """Return what differs when something was written that is shown of devices: by whoever uses, names or watches them.

    That are the last file of the health log, the roles, and the devices that are known.
    """
    from devices.health.files import log_files
    from devices.health.log import log_folder
    from devices.monitor.known import known_store
    from devices.roles.roles import roles_store

    with suppress(OSError, LiputError):
        paths = [file.path for file in log_files(log_folder())[-1:]] + [roles_store().path, known_store().path]
        return [stamp(path) for path in paths]
    return None
