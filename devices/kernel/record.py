"""Ties the kernel's messages to the devices they are about, and writes them into the health log, in bounded number."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from devices.health.line import PC, Kind, Level, Record
from devices.host.clock import NANOSECONDS, Clock
from devices.kernel.meaning import Meaning, Subject, meaning
from devices.kernel.message import KernelMessage, buses_of
from devices.model import Device

PER_MINUTE = 20
"""Messages about one device that are written within a minute; the others are counted."""
MINUTE_NS = 60 * NANOSECONDS
REMEMBERED_NS = 60 * NANOSECONDS
"""How long a port is still that of the device which was unplugged from it: what the kernel says then is of its end."""


@dataclass(slots=True)
class _Minute:
    """What was written about one subject within the minute that began at `began_ns`, and what was not."""

    began_ns: int
    written: int = 0
    left_out: int = 0
    level: Level = Level.DEBUG
    last: str = ""


@dataclass(slots=True)
class _Seen:
    device: Device
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _About:
    """The `device` of a line and its name."""

    device: str
    name: str = field(compare=False)


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
        self._seen: dict[str, _Seen] = {}
        self._minutes: dict[_About, _Minute] = {}

    def observe(self, devices: Sequence[Device]) -> None:
        """Take `devices` as what is plugged in from now on."""
        now_ns = self._clock.now_ns()
        with self._lock:
            there = {device.id: device for device in devices if device.port}
            for identifier, seen in list(self._seen.items()):
                if identifier in there:
                    continue
                if seen.until_ns is None:
                    seen.until_ns = now_ns + REMEMBERED_NS
                elif seen.until_ns < now_ns:
                    del self._seen[identifier]
            self._seen |= {identifier: _Seen(device) for identifier, device in there.items()}

    def take(self, message: KernelMessage) -> None:
        """Write what a message says about each device that it concerns."""
        meant = meaning(message)
        if meant is None:
            return
        for about in self._subjects(message, meant):
            self._write(about, message, meant)

    def flush(self) -> float | None:
        """Write how many messages were left out in each minute that is over; return seconds until the next one is."""
        now_ns, due_ns = self._clock.now_ns(), None
        for about, minute in list(self._minutes.items()):
            if now_ns - minute.began_ns >= MINUTE_NS:
                del self._minutes[about]
                self._count(about, minute)
            elif minute.left_out:
                ends_ns = minute.began_ns + MINUTE_NS
                due_ns = ends_ns if due_ns is None else min(due_ns, ends_ns)
        return None if due_ns is None else (due_ns - now_ns) / NANOSECONDS

    def finish(self) -> None:
        """Write what has been counted so far; nothing is taken any more."""
        for about, minute in self._minutes.items():
            self._count(about, minute)
        self._minutes.clear()

    def _subjects(self, message: KernelMessage, meant: Meaning) -> Iterator[_About]:
        if meant.subject is Subject.PC:
            yield _About(PC, "")
            return
        if meant.subject is Subject.CONTROLLER:
            numbers = self._buses(message.controller) if message.controller else ()
            plugs = self._plugs(lambda port: port.partition("-")[0] in numbers, meant)
        else:
            port = message.port or ""
            plugs = self._plugs(lambda other: is_at(other, port), meant)
        for device in plugs:
            yield _About(device.id, device.name)
        if not plugs and meant.at_stake and message.port:
            yield _About(message.port, "")

    def _plugs(self, concerns: Callable[[str], bool], meant: Meaning) -> list[Device]:
        """Return a device of each plug whose port `concerns`: of those there now, else of those that just left."""
        now_ns = self._clock.now_ns()
        with self._lock:
            seen = [entry for entry in self._seen.values() if concerns(entry.device.port or "")]
        there = [entry.device for entry in seen if entry.until_ns is None]
        left = [entry.device for entry in seen if entry.until_ns is not None and entry.until_ns >= now_ns]
        wants_sound = meant.topic == "sound"
        chosen: dict[str, Device] = {}
        for device in sorted(there or left, key=lambda device: (device.alsa is None) is wants_sound):
            chosen.setdefault(device.port or "", device)
        return list(chosen.values())

    def _write(self, about: _About, message: KernelMessage, meant: Meaning) -> None:
        now_ns = self._clock.now_ns()
        minute = self._minutes.get(about)
        if minute is None or now_ns - minute.began_ns >= MINUTE_NS:
            if minute is not None:
                self._count(about, minute)
            minute = self._minutes[about] = _Minute(now_ns)
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
        self._record(about.device, Kind.KERNEL, message.text, name=about.name, level=meant.level, **detail)

    def _count(self, about: _About, minute: _Minute) -> None:
        if minute.left_out:
            reason = f"{minute.left_out} more messages of the kernel within a minute, the last: {minute.last}"
            self._record(
                about.device, Kind.KERNEL, reason, name=about.name, level=minute.level, left_out=minute.left_out
            )


def is_at(port: str, place: str) -> bool:
    """Return whether `port` is `place` or somewhere below it: `1-2.3` is below `1-2`, and below the root hub `1-0`."""
    return port == place or port.startswith(f"{place}.") or (place.endswith("-0") and port.startswith(place[:-1]))
