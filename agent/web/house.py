"""What the API works with: the settings in force, who starts recorders, whom to let in, what the time is."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.alarms.alarm import Alarm
from agent.web.lanes import Lane
from agent.web.runs import Rehearsals, Runs
from agent.web.token import Gate
from config.schema import Settings
from config.settings import find_file, load_settings
from devices.clock import Clock
from devices.model import Device
from recorder.archive.archive import Archive
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec

type Tell = Callable[[str], None]


class Watched(Protocol):
    """What is plugged in, for whoever has it watched (agent/devices/part.py)."""

    def number(self) -> int | None:
        """Return a number that is another one when devices may be others; None where nobody watches."""

    def there(self) -> Sequence[Device] | None:
        """Return what is plugged in, without roles; None where nobody watches."""


class SettingsInForce:
    """The settings, read again when their file has changed; for any thread."""

    def __init__(self, file: Path | None) -> None:
        """`file`: the one that the daemon was told to take, None for that which is found."""
        self.file = file
        self._lock = threading.Lock()
        self._seen: object = None
        self._settings = Settings()

    def read(self) -> Settings:
        """Return the settings; raises SettingsError."""
        with self._lock:
            seen = self._stamp()
            if seen != self._seen or seen is None:
                self._settings = load_settings(self.file)
                self._seen = seen
            return self._settings

    def _stamp(self) -> object:
        file = find_file(self.file)
        try:
            found = None if file is None else file.stat()
        except OSError:
            found = None
        return None if found is None else (file, found.st_mtime_ns, found.st_size, found.st_ino)


@dataclass(eq=False)
class House:
    """What every request may use."""

    gate: Gate
    clock: Clock
    settings: SettingsInForce
    spawn: Callable[[Spec], Spawned] = Spawned
    """Starts a recorder: the daemon's spare, if it has one."""
    standing: Callable[[], list[str]] = list
    """The names of the daemon's parts that hang."""
    parts: Sequence[str] = ()
    """The names of all of them."""
    tell: Tell = lambda _text: None
    learn: Callable[[Settings], None] = lambda _settings: None
    """Told the settings whose keys have changed: from then on they stand in no log."""
    folder: Path | None = None
    """The archive that the daemon was told to take, None for that of the settings."""
    url: str = ""
    alarms: Callable[[], Sequence[Alarm]] = tuple
    """What people are to be told now."""
    notices: Callable[[], Sequence[object]] = tuple
    """What people are to hear of planned sessions now."""
    devices: Watched | None = None
    """What watches the devices, if the daemon does."""
    loop: asyncio.AbstractEventLoop | None = None
    """The server's, once it runs."""
    recorders: list[Spawned] = field(default_factory=list)
    """Those that were started here: processes of ours to wait for."""
    runs: Runs = field(default_factory=Runs)
    rehearsals: Rehearsals = field(default_factory=Rehearsals)
    light: Lane = field(default_factory=lambda: Lane("light", 8, 128))
    """For what takes milliseconds."""
    slow: Lane = field(default_factory=lambda: Lane("slow", 8))
    """For what waits for a device or a session: arming, starting, stopping."""
    disk: Lane = field(default_factory=lambda: Lane("disk", 6, 128))
    """For what waits for the archive's disk."""

    def archives(self) -> Sequence[Archive]:
        """Return the archive where sessions go, and those that they go on in. Raises SettingsError."""
        if self.folder is not None:
            return [Archive(self.folder, self.clock)]
        settings = self.settings.read()
        roots = dict.fromkeys((settings.archive.path, *settings.storage.paths))
        return [Archive(root, self.clock, settings.archive.reserve) for root in roots]

    def reap(self) -> None:
        """Let go of recorders that have ended."""
        for recorder in list(self.recorders):  # others may be added meanwhile, by another thread
            if recorder.wait(0.0):
                self.recorders.remove(recorder)
