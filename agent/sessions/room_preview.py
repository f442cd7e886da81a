"""The daemon's part `preview`: shows the room's devices while a page wants it and nothing else wants them."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from agent.daemon.parts import poll
from agent.sessions.control import make_spec
from config.errors import LiputError
from config.settings.schema import CurrentSettings
from devices.host.clock import NANOSECONDS, Clock
from devices.host.throttle import LogOnChange, Tell
from devices.model.device import Device
from devices.monitor.use_watcher import NodeWatcher
from recorder.control.launch import launch_child
from recorder.control.spawn import SpawnedRecorder
from recorder.model.status import SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder, preview_recorder
from recorder.session.request import SessionRequest

LOOK_S = 0.25
WANTED_S = 2.0  # a wish lasts so long; an open page repeats it
AGAIN_S = 5.0  # before the next preview, after one that gave way
FAILED_S = 60.0  # after one that failed to start, unless a device is plugged or unplugged
ENDS_S = 1.0

EVERYTHING = SessionRequest(title="preview", allow_missing=True, conference=False)


class Plugged(Protocol):
    """The devices, and a number that changes with them (agent/devices/watch_part.py)."""

    def number(self) -> int | None: ...

    def there(self) -> list[Device] | None: ...


class RoomPreview:
    """Starts a small recorder, which records nothing, and ends it. `want` is thread-safe."""

    name = "preview"

    def __init__(
        self, settings: CurrentSettings, clock: Clock, tell: Tell, devices: Plugged, asked: SessionRequest = EVERYTHING
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._say = LogOnChange(tell)
        self._devices = devices
        self._asked = asked
        self._wanted_until_ns = 0
        self._next_ns = 0
        self._number: int | None = None
        self._plugged = list[Device]()
        self._running: SpawnedRecorder | None = None
        self._openings: NodeWatcher | None = None

    def want(self) -> RunningRecorder | None:
        """Ask for the preview, for WANTED_S; return it once it runs."""
        self._wanted_until_ns = self._clock.now_ns() + int(WANTED_S * NANOSECONDS)
        return preview_recorder() if self._running else None

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Show and hide it until `stop` is set."""
        try:
            poll(self._look, LOOK_S, self._clock, stop, beat)
        finally:
            self._end()

    def _look(self) -> None:
        # Nothing else is looked at while nobody wants it.
        is_wanted = self._clock.now_ns() < self._wanted_until_ns and self._is_allowed()
        if self._running is not None and (self._running.wait(0.0) or self._is_opened_elsewhere()):
            self._end()  # it gave way to a session, or gives way to another program
            self._pause(AGAIN_S)
        elif not is_wanted:
            self._end()
        elif self._is_plugged_anew():
            self._end()
            self._pause(0.0)
        if is_wanted and self._running is None and self._clock.now_ns() >= self._next_ns:
            self._start()

    def _is_plugged_anew(self) -> bool:
        """Return whether a device came or went since the last call."""
        before, number = self._plugged, self._devices.number()
        if number != self._number:
            self._number, self._plugged = number, self._devices.there() or []
        return {device.id for device in self._plugged} != {device.id for device in before}

    def _is_allowed(self) -> bool:
        with suppress(LiputError):
            return self._settings.read().web.preview and not runtime_directory.is_session_running()
        return False

    def _start(self) -> None:
        try:
            # No archive is needed: a full or missing disk hides no picture.
            asked = replace(self._asked, archive=runtime_directory.runtime_folder(make=True), reserve=0)
            spec = make_spec(asked, self._settings.file, arm_only=True)
            spec = replace(spec, folder=Path("/"), preview=os.getpid())
            self._running = SpawnedRecorder(spec, (launch_child(spec.folder), ""))
            self._running.ready()
        except (LiputError, OSError) as error:
            self._say(f"the devices are not shown: {error}")
            self._running = None
            self._pause(FAILED_S)
        else:
            self._say("")

    def _is_opened_elsewhere(self) -> bool:
        """Return whether another program has opened a device since the preview opened them."""
        if self._openings is not None:
            return bool(self._openings.wait(0.0))
        found = preview_recorder()
        if found is not None and found.state is SessionState.ARMED and found.status is not None:
            self._openings = NodeWatcher()
            ids = {source.id for source in found.status.sources}
            self._openings.follow([device.node for device in self._plugged if device.id in ids and device.node])
        return False

    def _end(self) -> None:
        if self._openings is not None:
            self._openings.close()
            self._openings = None
        if self._running is not None:
            self._running.terminate()
            if not self._running.wait(ENDS_S):
                self._running.kill()
            self._running = None

    def _pause(self, seconds: float) -> None:
        self._next_ns = self._clock.now_ns() + int(seconds * NANOSECONDS)
