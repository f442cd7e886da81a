"""What is wrong with devices now, according to the health log: for whoever does not hold them himself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from devices.health.faults import FAULTS, OF_ITS_PLACE, Fault, rank, with_worse
from devices.health.line import HealthLine, Kind
from devices.health.query import Wanted, read
from devices.model.device import Device, Health, HealthState

LOOKED_BACK = timedelta(days=2)
"""How old the beginning of a fault may be."""

_TOLD_S = 60.0  # how much later than its own lines a process may seem to have started: clocks are set
WHETHER_OPEN_OR_NOT = OF_ITS_PLACE | {Fault.LOST, Fault.BUSY, Fault.DENIED, Fault.BUS_FULL}
"""The faults that a device can have without being open; the others end when it is closed."""

type IsAlive = Callable[[int, datetime], bool]


type _Found = dict[str, tuple[int | None, HealthLine]]
"""The faults of one device so far, each with the process that found it."""


def open_faults(folder: Path, *, now: datetime, is_alive: IsAlive | None = None) -> dict[str, Health]:
    """Return the health, by its id, of each device that has a fault which a process that still runs has found.

    A fault counts from its `degraded` line to its `recovered` one or to the end of the process (`detail.pid`); what
    can only be seen on an open device, to the `closed` of it; one that was lost, until it is plugged in. Looks back
    two days. Raises StateError where the log cannot be read.
    """
    alive = _is_alive if is_alive is None else is_alive
    pids: dict[str, int | None] = {}
    devices: dict[str, _Found] = {}
    kinds = (Kind.PLUGGED, Kind.MOVED, Kind.OPENED, Kind.CLOSED, Kind.DEGRADED, Kind.FLAPPING, Kind.RECOVERED)
    for line in read(folder, Wanted(since=now - LOOKED_BACK, until=now + LOOKED_BACK, kinds=kinds)):
        _take(line, pids, devices.setdefault(line.device, {}))
    healths = {}
    for device, faults in devices.items():
        there = [line for pid, line in faults.values() if pid is not None and alive(pid, line.at)]
        if there:
            healths[device] = _health(min(there, key=lambda line: rank(_fault(line))))
    return healths


def with_found(device: Device, found: Health | None) -> Device:
    """Return `device` with what those who use it have found, unless something worse is seen of it from outside.

    That it is in use is not: whoever has it open knows how it is, and nobody else can ask it.
    """
    if found is None:
        return device
    if device.health.fault == Fault.BUSY and found.fault not in WHETHER_OPEN_OR_NOT:
        return msgspec.structs.replace(device, health=found)
    return with_worse(device, found)


def _take(line: HealthLine, pids: dict[str, int | None], faults: _Found) -> None:
    """Take note of a line; `pids` are the processes that have each device open."""
    pid = line.detail.get("pid")
    match line.kind:
        case Kind.PLUGGED | Kind.MOVED:
            faults.pop(Fault.LOST, None)
        case Kind.OPENED if isinstance(pid, int):
            pids[line.device] = pid
            _forget(faults, but_of=pid)
        case Kind.DEGRADED | Kind.FLAPPING:
            faults[_fault(line)] = (pid if isinstance(pid, int) else pids.get(line.device), line)
        case Kind.RECOVERED:
            faults.pop(_fault(line), None)
            if line.detail.get("plugged") is True:  # it comes and goes no more, which was not told each time
                faults.pop(Fault.LOST, None)
        case Kind.CLOSED:
            pids[line.device] = None
            _forget(faults)


def _forget(faults: _Found, but_of: int | None = None) -> None:
    """Drop the faults that are seen on an open device, but those that the process `but_of` has found."""
    for name, (pid, _) in list(faults.items()):
        if name not in WHETHER_OPEN_OR_NOT and (but_of is None or pid != but_of):
            del faults[name]


def _fault(line: HealthLine) -> str:
    return str(line.detail.get("fault", ""))


def _health(line: HealthLine) -> Health:
    name = _fault(line)
    state = FAULTS[Fault(name)] if name in set(Fault) else HealthState.DEGRADED
    after_s = line.detail.get("after_s")
    began = line.at - timedelta(seconds=after_s) if isinstance(after_s, int | float) else line.at
    return Health(state, line.reason or None, began, name or None)


def _is_alive(pid: int, at: datetime) -> bool:
    """Return whether the process that was called `pid` at that time still runs, and not another one in its place."""
    import psutil

    if at.timestamp() < psutil.boot_time():
        return False
    try:
        return psutil.Process(pid).create_time() < at.timestamp() + _TOLD_S
    except psutil.Error:
        return False
