"""Ties the kernel's messages to the devices they are about, and writes them into the health log, in bounded number."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from devices.health.line import PC, Kind, Level, Record
from devices.host.clock import NANOSECONDS, Clock
from devices.kernel.meaning import Meaning, meaning
from devices.kernel.message import KernelMessage, buses_of
from devices.model.device import Device

PER_MINUTE = 20
"""Messages about one device that are written within a minute; the others are counted."""
MINUTE_NS = 60 * NANOSECONDS
REMEMBERED_NS = 60 * NANOSECONDS
"""How long a port is still that of the device which was unplugged from it: what the kernel says then is of its end."""


@dataclass(slots=True)
class _Minute:
    """What was written about the device called `name` within the minute that began at `began_ns`, and what was not."""

    name: str
    began_ns: int
    written: int = 0
    left_out: int = 0
    level: Level = Level.DEBUG
    last: str = ""


class KernelRecorder:
    """Takes messages on one thread, and is told what is plugged in on any."""

    def __init__(
        self,
        record: Record,
        clock: Clock,
        *,
        buses: Callable[[str], Collection[str]] = buses_of,
        per_minute: int = PER_MINUTE,
    ) -> None:
        """`buses` returns the numbers of the buses that a controller drives."""
        self._record = record
        self._clock = clock
        self._buses = buses
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Device, int | None]] = {}
        """By its id: a device, and until when it is known; None while it is plugged in."""
        self._minutes: dict[str, _Minute] = {}

    def observe(self, devices: Sequence[Device]) -> None:
        """Take `devices` as what is plugged in from now on."""
        now_ns = self._clock.now_ns()
        with self._lock:
            there = {device.id: device for device in devices if device.port}
            left = {
                identifier: (device, now_ns + REMEMBERED_NS if until_ns is None else until_ns)
                for identifier, (device, until_ns) in self._seen.items()
                if until_ns is None or until_ns >= now_ns
            }
            self._seen = left | {identifier: (device, None) for identifier, device in there.items()}

    def take(self, message: KernelMessage) -> None:
        """Write what a message says about each device that it concerns."""
        meant = meaning(message)
        if meant is None:
            return
        for device, name in self._subjects(message, meant):
            self._write(device, name, message, meant)

    def flush(self) -> float | None:
        """Write how many messages were left out in each minute that is over; return seconds until the next one is."""
        now_ns, due_ns = self._clock.now_ns(), None
        for device, minute in list(self._minutes.items()):
            if now_ns - minute.began_ns >= MINUTE_NS:
                del self._minutes[device]
                self._count(device, minute)
            elif minute.left_out:
                ends_ns = minute.began_ns + MINUTE_NS
                due_ns = ends_ns if due_ns is None else min(due_ns, ends_ns)
        return None if due_ns is None else (due_ns - now_ns) / NANOSECONDS

    def finish(self) -> None:
        """Write what has been counted so far; nothing is taken any more."""
        for device, minute in self._minutes.items():
            self._count(device, minute)
        self._minutes.clear()

    def _subjects(self, message: KernelMessage, meant: Meaning) -> Iterator[tuple[str, str]]:
        """Yield the id and the name of each device that a message concerns; the name is empty where it is none."""
        if meant.subject == "pc":
            yield PC, ""
            return
        if meant.subject == "controller":
            numbers = self._buses(message.controller) if message.controller else ()
            plugs = self._plugs(lambda port: port.partition("-")[0] in numbers, meant)
        else:
            port = message.port or ""
            plugs = self._plugs(lambda other: is_at(other, port), meant)
        for device in plugs:
            yield device.id, device.name
        if not plugs and meant.at_stake and message.port:
            yield message.port, ""

    def _plugs(self, concerns: Callable[[str], bool], meant: Meaning) -> list[Device]:
        """Return a device of each plug whose port `concerns`: of those there now, else of those that just left."""
        now_ns = self._clock.now_ns()
        with self._lock:
            seen = [(device, until_ns) for device, until_ns in self._seen.values() if concerns(device.port or "")]
        there = [device for device, until_ns in seen if until_ns is None]
        left = [device for device, until_ns in seen if until_ns is not None and until_ns >= now_ns]
        wants_sound = meant.topic == "sound"
        chosen: dict[str, Device] = {}
        for device in sorted(there or left, key=lambda device: (device.alsa is None) is wants_sound):
            chosen.setdefault(device.port or "", device)
        return list(chosen.values())

    def _write(self, device: str, name: str, message: KernelMessage, meant: Meaning) -> None:
        now_ns = self._clock.now_ns()
        minute = self._minutes.get(device)
        if minute is None or now_ns - minute.began_ns >= MINUTE_NS:
            if minute is not None:
                self._count(device, minute)
            minute = self._minutes[device] = _Minute(name, now_ns)
        if minute.written >= self._per_minute:
            minute.left_out += 1
            minute.level = max(minute.level, meant.level, key=lambda level: level.rank)
            minute.last = message.text
            return
        minute.written += 1
        detail: dict[str, object] = {"topic": meant.topic, "kernel_s": round(message.time_s, 6)}
        if meant.advice:
            detail["advice"] = meant.advice
        if message.port:
            detail["port"] = message.port
        self._record(device, Kind.KERNEL, message.text, name=name, level=meant.level, **detail)

    def _count(self, device: str, minute: _Minute) -> None:
        if minute.left_out:
            reason = f"{minute.left_out} more messages of the kernel within a minute, the last: {minute.last}"
            left_out = minute.left_out
            self._record(device, Kind.KERNEL, reason, name=minute.name, level=minute.level, left_out=left_out)


def is_at(port: str, place: str) -> bool:
    """Return whether `port` is `place` or somewhere below it: `1-2.3` is below `1-2`, and below the root hub `1-0`."""
    return port == place or port.startswith(f"{place}.") or (place.endswith("-0") and port.startswith(place[:-1]))
