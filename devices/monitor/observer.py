"""What looks at the plugged-in devices amount to: changes for whoever listens, lines for the health log.

No thread, no netlink: devices/monitor/monitor.py calls it. What is told of a device that comes and goes all the time is
bounded (devices/monitor/flapping.py); what nothing can tell apart is said to be so (devices/monitor/swaps.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from devices.clock import NANOSECONDS, Clock
from devices.health.faults import Fault, with_health
from devices.health.line import Record
from devices.model import Device
from devices.monitor.changes import ChangeKind, DeviceChange, Difference, Key, Sight, difference, hubs_gone, steady
from devices.monitor.flapping import WINDOW_S, Flapping
from devices.monitor.known import KnownDevices, with_swaps
from devices.monitor.lines import FLAPS, LOOK, HubLines, PlugLines
from devices.monitor.sleep import Sleep, slept_ns
from devices.monitor.swaps import Swaps
from devices.udev import Hub

type _Told = tuple[ChangeKind, Key, Device, Device | None]


@dataclass(frozen=True, slots=True)
class _Since:
    """Since when a device is plugged in; `at_least`: it was so before anybody looked."""

    ns: int
    at_least: bool


class Observer:
    """Follows the devices from look to look; `known` is what was seen on other days. Not for several threads."""

    def __init__(
        self, *, clock: Clock, record: Record, known: KnownDevices, slept: Callable[[], int] = slept_ns
    ) -> None:
        self._clock = clock
        self._known = known
        self._flapping = Flapping(clock)
        self._swaps = Swaps(clock)
        self._sleep = Sleep(clock, slept)
        self._lines = PlugLines(clock=clock, record=record, known=known)
        self._hub_lines = HubLines(record=record, flapping=self._flapping, lines=self._lines)
        self._sight = Sight()
        self._since: dict[Key, _Since] = {}
        self._last: dict[str, Device] = {}
        self._last_at: dict[str, tuple[Device, ...]] = {}
        self._unseen: dict[str, list[int]] = {}
        self._shown: dict[Key, Device] = {}

    @property
    def devices(self) -> tuple[Device, ...]:
        """What is plugged in, with the faults that were found by watching it come and go."""
        return tuple(self._shown.values())

    @property
    def hubs(self) -> tuple[Hub, ...]:
        """The hubs, root hubs included."""
        return self._sight.hubs

    @property
    def awaits_confirmation(self) -> bool:
        """Whether a device that is there may be another, which a person can settle."""
        swapped = self._known.swapped()
        return any(device.id in swapped for device in self._sight.devices)

    def begin(self, sight: Sight) -> None:
        """Take the first look: what is there was there before."""
        for device in sight.devices:
            self._since[sight.key(device)] = _Since(self._clock.now_ns(), at_least=True)
            self._lines.plugged(device, at_start=True)
        for device in sight.plugs().values():
            self._swaps.plugged(device)
        self._known.saw(sight.devices, self._clock.now())
        self._show(sight)

    def observe(self, sight: Sight, unplugs: Mapping[str, int]) -> list[DeviceChange]:
        """Take the next look; `unplugs` is how often the kernel said since the last that a port's plug has gone."""
        before, after = self._sight, steady(self._sight, sight)
        found = difference(before, after)
        self._hub_lines.tell(before, after, unplugs)
        told = [*self._gone(found, before, unplugs)]
        self._count_unseen(found, after, unplugs)
        told += self._came(found, after)
        self._known.saw((*found.gone, *found.came), self._clock.now())
        self._follow_swaps(before, after, unplugs)
        for old, new in found.stayed:
            if old.id != new.id:
                self._lines.renamed(old, new)
                self._known.saw([new], self._clock.now())
        return self._show(after, told)

    def tick(self) -> list[DeviceChange]:
        """Do what time has made due: end flapping that is over, take over what people have confirmed."""
        there = {device.id for device in self._sight.devices} | {hub.port for hub in self._sight.hubs}
        for episode in self._flapping.calmed():
            self._lines.calm(episode, is_there=episode.key in there)
        unclear = self._known.swapped().keys()
        if self._known.refresh():
            cleared = unclear - self._known.swapped().keys()
            self._swaps.confirm(device for device in self._sight.devices if device.id in cleared)
        return self._show(self._sight)

    def due_ns(self) -> int | None:
        """Return when `tick` has something to do, on the session clock."""
        return self._flapping.due_ns()

    def save(self, *, at_end: bool = False) -> None:
        """Write down what was learned (`at_end`: also who is there now); may wait for a disk."""
        if at_end:
            self._known.saw(self._sight.devices, self._clock.now())
        self._known.save()

    # What went

    def _gone(self, found: Difference, before: Sight, unplugs: Mapping[str, int]) -> Iterator[_Told]:
        for device in found.gone:
            key = before.key(device)
            since = self._since.pop(key)
            self._count(device, max(1, unplugs.get(device.port or "", 1)))
            if not self._flapping.episode(device.id):
                seconds = (self._clock.now_ns() - since.ns) / NANOSECONDS
                self._lines.unplugged(device, seconds, at_least=since.at_least)
            yield ChangeKind.UNPLUGGED, key, self._shown.get(key, device), self._shown.get(key)

    def _count_unseen(self, found: Difference, after: Sight, unplugs: Mapping[str, int]) -> None:
        """Count what came and went between two looks.

        Of a device that did not stay it is who was there last; where nobody was yet, who comes next.
        """
        seen = {device.port for device in found.gone}
        for port, times in unplugs.items():
            if port in seen:
                continue
            stayed = [new for _, new in found.stayed if new.port == port]
            for device in stayed or self._last_at.get(port, ()):
                self._count(device, times)
            if not stayed and port not in self._last_at:
                self._unseen.setdefault(port, []).extend([self._clock.now_ns()] * times)
        since_ns = self._clock.now_ns() - WINDOW_S * NANOSECONDS
        unseen = {port: [ns for ns in moments if ns > since_ns] for port, moments in self._unseen.items()}
        self._unseen = {port: moments for port, moments in unseen.items() if moments}
        for device in after.devices:
            if times := len(self._unseen.get(device.port or "", ())):
                self._count(device, times)
        for device in after.devices:
            self._unseen.pop(device.port or "", None)

    def _count(self, device: Device, times: int) -> None:
        if episode := self._flapping.unplugged(device.id, device.name, times):
            self._lines.flapping(episode)

    # What came

    def _came(self, found: Difference, after: Sight) -> Iterator[_Told]:
        for device in found.came:
            key = after.key(device)
            self._since[key] = _Since(self._clock.now_ns(), at_least=False)
            self._flapping.plugged(device.id)
            last = self._known.get(device.id)
            moved = last if last and device.serial and last.port != device.port else None
            if moved and moved.place and moved.place == device.place:
                moved = None
            if not self._flapping.episode(device.id):
                if moved:
                    self._lines.moved(device, moved)
                else:
                    self._lines.plugged(device)
            yield ChangeKind.MOVED if moved else ChangeKind.PLUGGED, key, device, self._last.get(device.id)

    def _follow_swaps(self, before: Sight, after: Sight, unplugs: Mapping[str, int]) -> None:
        old, new, now = before.plugs(), after.plugs(), self._clock.now()
        hubs, is_waking = hubs_gone(before, after, unplugs), self._sleep.is_waking()
        for plug in old.keys() - new.keys():
            with_its_hub = any(hub.carries(plug[0]) for hub in hubs)
            self._swaps.unplugged(old[plug], shaken=with_its_hub or is_waking)
            for device in _on(before, plug[0]):
                self._known.mark(device.id, None, now)
        for plug in sorted(new.keys() - old.keys(), key=str):
            if not self._swaps.plugged(new[plug]):
                continue
            twins = self._swaps.twins(new[plug])
            reason = (
                f"may have changed places with the one of port {' or '.join(twins)}: nothing tells them apart; {LOOK}"
            )
            for device in _on(after, plug[0]):
                self._known.mark(device.id, reason, now)
                if not self._flapping.episode(device.id):
                    self._lines.swapped(device, reason, twins)

    # What is shown

    def _show(self, sight: Sight, told: Iterable[_Told] = ()) -> list[DeviceChange]:
        """Show what is there now, and return what listeners have to hear: `told`, and whatever else has changed."""
        before, self._sight = self._shown, sight
        devices = with_swaps(sight.devices, self._known.swapped())
        self._shown = {sight.key(device): self._with_flapping(device) for device in devices}
        self._last |= {device.id: device for device in self._shown.values()}
        self._last_at |= {device.port: tuple(_on(sight, device.port)) for device in sight.devices if device.port}
        told = list(told)
        fresh = {key for _, key, _, _ in told}
        found = [(kind, self._shown.get(key, device), old) for kind, key, device, old in told]
        found += [
            (ChangeKind.CHANGED, device, before[key])
            for key, device in self._shown.items()
            if key not in fresh and key in before and before[key] != device
        ]
        return [DeviceChange(kind, device, old, self.devices) for kind, device, old in found]

    def _with_flapping(self, device: Device) -> Device:
        episode = self._flapping.episode(device.id)
        return with_health(device, Fault.FLAPPING, FLAPS, episode.since) if episode else device


def _on(sight: Sight, port: str) -> list[Device]:
    return [device for device in sight.devices if device.port == port]
