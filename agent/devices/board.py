"""The devices of `liput devices --watch`, from udev, sound servers, health log and roles."""

import math
import queue
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

import msgspec

from capture.sound.child_process import ServerSource, SoundInputs
from capture.sound.inputs import ServerSourceWatcher, devices_of, list_sound_inputs
from config.errors import LiputError, StateError
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_reader import POLL_S, LogFilter, follow
from devices.health.summary import active_health, with_logged_health
from devices.host.background import BackgroundTask
from devices.host.clock import Clock
from devices.host.threads import start_thread
from devices.model.device import Device, Health
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.roles.assignment import Roles, read_roles, with_roles
from devices.roles.matching import MissingDevice, resolve_all

HEALTH = "health"  # a change of health alone; the other words are those of devices.monitor.device_changes.ChangeKind

type Change = tuple[str, Device]  # a word for the change, and the device after it (unplugged: before it)


def missing_roles(roles: Roles, devices: Sequence[Device]) -> list[str]:
    """Return a sentence for each role without its device."""
    resolved = resolve_all(roles, devices)
    return [
        f"{role} is missing: {roles[role].name} ({roles[role].id}): {found.reason}"
        for role, found in resolved.items()
        if isinstance(found, MissingDevice)
    ]


class DeviceBoard:
    """Combines devices, inputs of sound servers, open faults and roles. Methods return changes."""

    def __init__(self, roles: Callable[[], Roles] = read_roles) -> None:
        self._roles = roles
        self._hardware: tuple[Device, ...] = ()
        self._inputs: tuple[Device, ...] = ()
        self._faults: Mapping[str, Health] = {}
        self.devices: tuple[Device, ...] = ()
        self.missing: list[str] = []  # a sentence for each role without its device

    def begin(self, hardware: Sequence[Device]) -> None:
        """Take the devices that are plugged in at first."""
        self._hardware = tuple(hardware)
        self._update({})

    def hardware(self, change: DeviceChange) -> list[Change]:
        self._hardware = change.devices
        before = change.before if change.kind is ChangeKind.CHANGED else None
        renamed = before.id if before and before.id != change.device.id else None
        # A device that stayed may have changed its health, or more.
        changes = self._update({} if before and not renamed else {change.device.id: str(change.kind)})
        return [(word, device) for word, device in changes if device.id != renamed]

    def inputs(self, inputs: Sequence[Device]) -> list[Change]:
        self._inputs = tuple(inputs)
        return self._update({})

    def faults(self, faults: Mapping[str, Health]) -> list[Change]:
        self._faults = faults
        return self._update({})

    def roles(self) -> list[Change]:
        return self._update({})

    def _update(self, words: Mapping[str, str]) -> list[Change]:
        before = {device.id: device for device in self.devices}
        roles = self._roles()
        devices = with_roles([*self._hardware, *self._inputs], roles)
        self.missing = missing_roles(roles, devices)
        self.devices = tuple(with_logged_health(device, self._faults.get(device.id)) for device in devices)
        after = {device.id: device for device in self.devices}
        gone = [(words.get(key, ChangeKind.UNPLUGGED), before[key]) for key in before.keys() - after.keys()]
        there = [
            (words.get(key) or _word(before.get(key), device), device)
            for key, device in after.items()
            if device != before.get(key)
        ]
        return gone + there


def _word(before: Device | None, after: Device) -> str:
    if before is None:
        return ChangeKind.PLUGGED
    return HEALTH if msgspec.structs.replace(before, health=after.health) == after else ChangeKind.CHANGED


_CHANGE_FAULTS = {LogKind.DEGRADED, LogKind.RECOVERED, LogKind.OPENED, LogKind.CLOSED}
_SHOWN_OTHERWISE = {
    LogKind.PLUGGED,
    LogKind.UNPLUGGED,
    LogKind.MOVED,
    LogKind.DEGRADED,
    LogKind.RECOVERED,
    LogKind.WATCH_STARTED,
}
"""Lines that the monitor or a device's health shows already, and the start of a watch."""
MOST_WAITING = 1000  # messages that may wait for a blocked terminal; further log lines stay in their files
_LOOK_AGAIN_S = 2.0  # interval for reading open faults again: their finder may have died silently

type WatchMessage = DeviceChange | HealthLine | list[Device] | dict[str, Health] | Literal["end", "redraw"]
"""From the monitor and the health log; the sound inputs; the open faults by device; signals and keys."""
type WatchInbox = queue.SimpleQueue[WatchMessage]  # a signal handler may put into it


class SoundInputWatcher:
    """Lists sound inputs at the start, on `look`, and when a server's sources change."""

    def __init__(self, inbox: WatchInbox) -> None:
        self._inbox = inbox
        self._asked: Sequence[ServerSource] | None = None
        self._told: Sequence[ServerSource] | None = None
        self._sources = ServerSourceWatcher(self._on_sources)
        self._task = BackgroundTask("sound-servers", self._list_inputs, pause=math.inf)

    def __enter__(self) -> Self:
        self._task.start()
        self._sources.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._sources.__exit__(*exc)
        self._task.stop()

    def look(self) -> None:
        """List the inputs again; returns at once."""
        self._task.wake()

    def _on_sources(self, sources: Sequence[ServerSource]) -> None:
        self._told = sources
        if self._asked is not None and self._asked != sources:
            self.look()

    def _list_inputs(self) -> None:
        try:
            listing = list_sound_inputs()
        except LiputError:
            listing = SoundInputs()
        is_first, self._asked = self._asked is None, listing.sources
        if is_first and self._told is not None and self._told != self._asked:
            self.look()  # they changed during the listing
        self._inbox.put(list(devices_of(listing)))


class HealthLogFollower:
    """Follows the health log in `folder`: its lines and the open faults. An unreadable log is ignored."""

    def __init__(self, folder: Path, clock: Clock, inbox: WatchInbox) -> None:
        self._folder = folder
        self._clock = clock
        self._inbox = inbox
        self._faults: Mapping[str, Health] = {}
        self._judging = BackgroundTask(
            "log-faults", self._judge, pause=lambda _: _LOOK_AGAIN_S if self._faults else math.inf, clock=clock
        )
        self._stop = self._judging.stopped

    def __enter__(self) -> Self:
        start_thread(self._read, name="log-reader")
        self._judging.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._judging.stop()

    def _read(self) -> None:
        try:
            for line in follow(self._folder, LogFilter(level=LogLevel.INFO), clock=self._clock, stop=self._stop):
                if line.kind not in _SHOWN_OTHERWISE:
                    self._wait_for_room()
                    self._inbox.put(line)
                if line.kind in _CHANGE_FAULTS:
                    self._judging.wake()
        except StateError:
            return

    def _wait_for_room(self) -> None:
        while self._inbox.qsize() >= MOST_WAITING and not self._stop.is_set():
            self._clock.wait(self._stop, POLL_S)

    def _judge(self) -> bool:
        """Send the open faults if they changed; return whether the log is unreadable."""
        try:
            faults = active_health(self._folder, now=self._clock.now())
        except StateError:
            return True
        self._wait_for_room()
        if faults != self._faults:
            self._inbox.put(dict(faults))
        self._faults = faults
        return False
