"""Devices that nothing tells apart, and that may have changed places.

Two sticks of one make without serial numbers of their own are known by their ports. When both were out and come back,
each may be the other. So a port has two sets: the devices that may be in it, and those expected in it. A hub that loses
its power for a moment, and a PC that wakes up, take devices along that nobody has touched. Plugs that are changed while
the PC sleeps or is off are not seen.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from devices.host.clock import NANOSECONDS, Clock
from devices.model.device import Device

TOO_SHORT_S = 5
"""What went with its hub, or as the PC woke, and is back in the same port within this time has not been touched."""

type Model = tuple[str | None, str | None, str | None, str | None]
type _Bodies = frozenset[int]


def model(device: Device) -> Model:
    """Return what two devices that nothing tells apart have in common."""
    return device.vid, device.pid, device.serial or device.shared_serial, device.capabilities


@dataclass(slots=True)
class _Group:
    """The devices of one model: who may be in each port, who is expected in each, and who may be out.

    `shaken` are those that nobody has pulled out, by port, and when they went.
    """

    there: dict[str, _Bodies] = field(default_factory=dict)
    expected: dict[str, _Bodies] = field(default_factory=dict)
    absent: list[_Bodies] = field(default_factory=list)
    shaken: dict[str, tuple[_Bodies, int]] = field(default_factory=dict)


class Swaps:
    """Follows every USB plug: tell it of each that goes and comes, in that order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[Model, _Group] = {}
        self._bodies = itertools.count()

    def unplugged(self, device: Device, *, shaken: bool = False) -> None:
        """Say that the plug of `device` went; `shaken`: not because somebody has pulled it out."""
        group, port = self._group(device), device.port or ""
        if bodies := group.there.pop(port, None):
            if shaken:
                group.shaken[port] = bodies, self._clock.now_ns()
            else:
                group.absent.append(bodies)

    def plugged(self, device: Device) -> bool:
        """Say that the plug of `device` came; return whether it may be another than the one that was in that port."""
        group, port = self._group(device), device.port or ""
        if shaken := self._untouched(group, port):
            group.there[port] = shaken
            return group.expected[port] != shaken
        if not group.absent:
            group.there[port] = group.expected[port] = self._new()
            return False
        together = frozenset(itertools.chain.from_iterable(group.absent))
        # Which of those that are out it is cannot be known: from now on each of them may be any.
        group.absent = [together] * (len(group.absent) - 1)
        group.there[port] = together
        return group.expected.setdefault(port, together) != together

    def _untouched(self, group: _Group, port: str) -> _Bodies | None:
        """Return who is back in `port` so soon that it is the same; who has been away for longer is out."""
        since_ns = self._clock.now_ns() - TOO_SHORT_S * NANOSECONDS
        is_soon = port in group.shaken and group.shaken[port][1] >= since_ns
        found = group.shaken.pop(port)[0] if is_soon else None
        for other, (bodies, went_ns) in list(group.shaken.items()):
            if went_ns < since_ns or found is None:  # one that comes elsewhere may be any of them
                group.absent.append(bodies)
                del group.shaken[other]
        return found

    def confirm(self, devices: Iterable[Device]) -> None:
        """Say that `devices` are where they should be: from now on each is the one expected in its port."""
        for device in devices:
            group, port = self._group(device), device.port or ""
            if port in group.there:
                group.there[port] = group.expected[port] = self._new()

    def twins(self, device: Device) -> list[str]:
        """Return the other ports where devices of this model are, or were expected."""
        group = self._group(device)
        return sorted((group.there.keys() | group.expected.keys()) - {device.port or ""})

    def _group(self, device: Device) -> _Group:
        return self._groups.setdefault(model(device), _Group())

    def _new(self) -> _Bodies:
        return frozenset({next(self._bodies)})
