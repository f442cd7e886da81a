"""What the API works with: the settings in force, who starts recorders, whom to let in, what the time is."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.alarms.alarm import Alarm
from agent.web.http.runs import Runs, run_command
from agent.web.http.token import Gate
from agent.web.http.worker_pool import WorkerPool
from config.settings.loading import SettingsInForce
from config.settings.schema import Settings
from devices.host.clock import Clock
from devices.host.throttle import Tell
from recorder.archive.archive import Archive, session_archives
from recorder.control.spawn import Spawned
from recorder.control.spec import Spec

if TYPE_CHECKING:
    from agent.devices.part import DevicesPart


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
    devices: "DevicesPart | None" = None
    """What watches the devices, if the daemon does."""
    loop: asyncio.AbstractEventLoop | None = None
    """The server's, once it runs."""
    recorders: list[Spawned] = field(default_factory=list)
    """Those that were started here: processes of ours to wait for."""
    runs: Runs = field(default_factory=lambda: Runs(partial(run_command, "check", "check")))
    rehearsals: Runs = field(default_factory=lambda: Runs(partial(run_command, "rehearse", "rehearsal")))
    light: WorkerPool = field(default_factory=lambda: WorkerPool("light", 8, 128))
    """For what takes milliseconds."""
    slow: WorkerPool = field(default_factory=lambda: WorkerPool("slow", 8))
    """For what waits for a device or a session: arming, starting, stopping."""
    disk: WorkerPool = field(default_factory=lambda: WorkerPool("disk", 6, 128))
    """For what waits for the archive's disk."""

    def archives(self) -> Sequence[Archive]:
        """Return the archive where sessions go, and those that they go on in. Raises SettingsError."""
        if self.folder is not None:
            return [Archive(self.folder, self.clock)]
        return session_archives(self.settings.read(), self.clock)

    def reap(self) -> None:
        """Let go of recorders that have ended."""
        for recorder in list(self.recorders):  # others may be added meanwhile, by another thread
            if recorder.wait(0.0):
                self.recorders.remove(recorder)
