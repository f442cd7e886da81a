"""Compares looks at the plugged-in devices: makes changes for listeners and lines for the health log.

Bounds the lines about flapping devices, and detects devices that may have changed places. Two sticks of one make
without serial numbers are known by their ports. When both are unplugged and come back, each may be the other. So a port
has two sets: the devices that may be in it, and those expected there. A hub that loses power for a moment, and a PC
that wakes up, take devices along that nobody touched. Plugs changed while the PC sleeps or is off go unseen.
"""

import itertools
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from config.settings.quantities import format_duration
from devices.health.faults import FLAPPING_WINDOW_S, Fault, with_health
from devices.health.log_line import HealthLogger, LogKind, LogLevel
from devices.host.clock import NANOSECONDS, Clock, SleepDetector, slept_ns
from devices.kernel.udev import UsbHub
from devices.model.device import Device
from devices.monitor.device_changes import (
    ChangeKind,
    DeviceChange,
    DeviceKey,
    DeviceSnapshot,
    hubs_gone,
    keep_health_times,
)
from devices.monitor.known_devices import KnownDevice, KnownDevices, format_ago, with_swaps

UNTOUCHED_S = 5  # untouched if back within this time: a device that left with its hub or while the PC woke

type ModelTraits = tuple[str | None, str | None, str | None, str | None]
"""The traits that two indistinguishable devices share: vendor, product, serial number, capabilities."""
type _Candidates = frozenset[int]


@dataclass(slots=True)
class _TwinGroup:
    """The devices of one model: those in each port, those expected there, and those that may be out.

    `shaken`: devices that went without a hand on them, by port, and the time.
    """

    there: dict[str, _Candidates] = field(default_factory=dict)
    expected: dict[str, _Candidates] = field(default_factory=dict)
    absent: list[_Candidates] = field(default_factory=list)
    shaken: dict[str, tuple[_Candidates, int]] = field(default_factory=dict)


class SwapDetector:
    """Follows every USB plug. Report unplugs first, then plugs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[ModelTraits, _TwinGroup] = {}
        self._bodies = itertools.count()

    def unplugged(self, device: Device, *, shaken: bool = False) -> None:
        """Report an unplug; `shaken`: nobody has pulled the plug."""
        group, port = self._group(device), device.port or ""
        if bodies := group.there.pop(port, None):
            if shaken:
                group.shaken[port] = bodies, self._clock.now_ns()
            else:
                group.absent.append(bodies)

    def plugged(self, device: Device) -> bool:
        """Report a plug; return whether another device than before may be in the port."""
        group, port = self._group(device), device.port or ""
        if shaken := self._back_untouched(group, port):
            group.there[port] = shaken
            return group.expected[port] != shaken
        if not group.absent:
            group.there[port] = group.expected[port] = self._new()
            return False
        together = frozenset(itertools.chain.from_iterable(group.absent))
        # Any absent device may be the one that came, so from now on each of them may be any.
        group.absent = [together] * (len(group.absent) - 1)
        group.there[port] = together
        return group.expected.setdefault(port, together) != together

    def _back_untouched(self, group: _TwinGroup, port: str) -> _Candidates | None:
        """Return the devices of `port` if they are back so soon that nobody touched them; those away longer are out."""
        since_ns = self._clock.now_ns() - UNTOUCHED_S * NANOSECONDS
        is_soon = port in group.shaken and group.shaken[port][1] >= since_ns
        found = group.shaken.pop(port)[0] if is_soon else None
        for other, (bodies, went_ns) in list(group.shaken.items()):
            if went_ns < since_ns or found is None:  # one that comes elsewhere may be any of them
                group.absent.append(bodies)
                del group.shaken[other]
        return found

    def confirm(self, devices: Iterable[Device]) -> None:
        """Take `devices` as confirmed: each is the one expected in its port."""
        for device in devices:
            group, port = self._group(device), device.port or ""
            if port in group.there:
                group.there[port] = group.expected[port] = self._new()

    def twins(self, device: Device) -> list[str]:
        """Return the other ports where devices of this model are or were expected."""
        group = self._group(device)
        return sorted((group.there.keys() | group.expected.keys()) - {device.port or ""})

    def _group(self, device: Device) -> _TwinGroup:
        serial = device.serial or device.shared_serial
        return self._groups.setdefault((device.vid, device.pid, serial, device.capabilities), _TwinGroup())

    def _new(self) -> _Candidates:
        return frozenset({next(self._bodies)})


FLAPS = "comes and goes; check its cable and its port"
LOOK = "look at the picture: liput devices assign ROLE DEVICE puts it right, liput devices roles --confirm says it is"

FLAPPING_UNPLUGS = 3  # a device flaps from this many unplugs within a minute on, until a quiet minute has passed
_WINDOW_NS = FLAPPING_WINDOW_S * NANOSECONDS


@dataclass(slots=True)
class FlappingEpisode:
    """A time of flapping of one device or hub."""

    key: str
    name: str
    since: datetime
    began_ns: int
    last_ns: int
    told_ns: int
    unplugs: int

    @property
    def lasted_s(self) -> float:
        """Seconds from the first to the last plug or unplug."""
        return (self.last_ns - self.began_ns) / NANOSECONDS


class FlappingDetector:
    """Counts unplugs by a device's id or a hub's port."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: dict[str, deque[int]] = {}
        self._episodes: dict[str, FlappingEpisode] = {}

    def unplugged(self, key: str, name: str, times: int = 1) -> FlappingEpisode | None:
        """Count unplugs; return the episode if it begins, or is due for another line a minute later."""
        now_ns = self._clock.now_ns()
        episode = self._episodes.get(key)
        if episode:
            episode.unplugs += times
            episode.last_ns = now_ns
            if now_ns - episode.told_ns < _WINDOW_NS:
                return None
            episode.told_ns = now_ns
            return episode
        recent = self._recent.setdefault(key, deque())
        recent.extend([now_ns] * min(times, 1000))
        while recent[0] <= now_ns - _WINDOW_NS:
            recent.popleft()
        if len(recent) < FLAPPING_UNPLUGS:
            return None
        del self._recent[key]
        began = FlappingEpisode(key, name, self._clock.now(), recent[0], now_ns, now_ns, len(recent))
        self._episodes[key] = began
        return began

    def plugged(self, key: str) -> None:
        """Report a plug: the episode goes on."""
        if key in self._episodes:
            self._episodes[key].last_ns = self._clock.now_ns()

    def episode(self, key: str) -> FlappingEpisode | None:
        """Return the present episode, None if it does not flap."""
        return self._episodes.get(key)

    def take_ended(self) -> list[FlappingEpisode]:
        """Return the episodes that have ended, once each, and forget old unplugs."""
        before_ns = self._clock.now_ns() - _WINDOW_NS
        over = [episode for episode in self._episodes.values() if episode.last_ns <= before_ns]
        for episode in over:
            del self._episodes[episode.key]
        self._recent = {key: recent for key, recent in self._recent.items() if recent[-1] > before_ns}
        return over

    def due_ns(self) -> int | None:
        return min((episode.last_ns + _WINDOW_NS for episode in self._episodes.values()), default=None)


class PlugLogger:
    """Writes lines about plugs; `known` has earlier sightings."""

    def __init__(self, *, clock: Clock, record: HealthLogger, known: KnownDevices) -> None:
        self._clock = clock
        self._record = record
        self._known = known

    def plugged(self, device: Device, *, at_start: bool = False) -> None:
        """Log a plug, or (`at_start`) a device present at the start."""
        last = self._known.get(device.id)
        renumbered = self._renumbered_from(device, last)
        detail = {"port": device.port, "known": bool(last or renumbered)} | _history_of(last)
        if renumbered:
            detail["renumbered_from"] = renumbered
        if at_start:
            detail["at_start"] = True
        what = "was plugged in before Liput looked" if at_start else "plugged in"
        where = f", port {device.port}" if device.port else ""
        self._log(device, LogKind.PLUGGED, f"{what}{where}; {self._history(device, last, renumbered)}", **detail)

    def moved(self, device: Device, last: KnownDevice) -> None:
        """Log a device with its own serial number that is in another port now."""
        seen = format_ago(self._clock.now() - last.last_seen)
        reason = f"moved from port {last.port} to port {device.port}; last seen {seen}"
        self._log(device, LogKind.MOVED, reason, port=device.port, **_history_of(last))

    def unplugged(self, device: Device, seconds: float, *, at_least: bool) -> None:
        """Log an unplug after `seconds`, or more (`at_least`)."""
        where = f" from port {device.port}" if device.port else ""
        after = f"{'more than ' if at_least else ''}{format_duration(max(1, round(seconds)))}"
        detail = {"port": device.port, "plugged_s": round(seconds, 3)}
        self._log(device, LogKind.UNPLUGGED, f"unplugged{where} after {after}", **detail)

    def flapping(self, episode: FlappingEpisode) -> None:
        within_s = round(episode.lasted_s, 3)
        reason = f"{FLAPS}: unplugged {episode.unplugs} times in {max(1, round(within_s))} s"
        self._record(
            episode.key, LogKind.FLAPPING, reason, name=episode.name, level=LogLevel.WARN, fault=Fault.FLAPPING,
            unplugs=episode.unplugs, within_s=within_s,
        )  # fmt: skip

    def flapping_ended(self, episode: FlappingEpisode, *, is_there: bool) -> None:
        """Log the end of flapping, with the unplugs that had no lines."""
        lasted_s = round(episode.lasted_s, 3)
        state = "plugged in" if is_there else "unplugged"
        was = f"was unplugged {episode.unplugs} times in {max(1, round(lasted_s))} s"
        self._record(
            episode.key, LogKind.RECOVERED, f"comes and goes no more, is {state}; {was}", name=episode.name,
            fault=Fault.FLAPPING, lasted_s=lasted_s, unplugs=episode.unplugs, plugged=is_there,
        )  # fmt: skip

    def swapped(self, device: Device, reason: str, twins: list[str]) -> None:
        """Log that another device may be in the port."""
        detail = {"fault": Fault.SWAPPED, "port": device.port, "twins": twins}
        self._record(device.id, LogKind.SWAPPED, reason, name=device.name, level=LogLevel.WARN, **detail)

    def renamed(self, old: Device, new: Device) -> None:
        """Log the new id of a device that stayed in its port."""
        if new.serial is None and new.shared_serial:
            why = f"another device says the serial number {new.shared_serial} too, so its port tells it apart"
        else:
            why = "its serial number is its own again"
        self._log(new, LogKind.RENAMED, f"was {old.id}; {why}", before=old.id)

    def hub_unplugged(self, hub: UsbHub, lost: Collection[Device]) -> None:
        """Log that a hub went, with its devices `lost`."""
        plugs: dict[str | None, str] = {}
        for device in lost:
            plugs.setdefault(device.port, device.name)  # the video device's name, which comes before the sound's
        reason = f"unplugged from port {hub.port}, and with it: {'; '.join(plugs.values())}"
        self._record(
            hub.port, LogKind.HUB_UNPLUGGED, reason if lost else f"unplugged from port {hub.port}; nothing was on it",
            name=hub.name, level=LogLevel.WARN if lost else LogLevel.INFO, devices=[device.id for device in lost],
        )  # fmt: skip

    def hub_plugged(self, hub: UsbHub) -> None:
        reason = f"plugged into port {hub.port}, {hub.ports} ports"
        self._record(hub.port, LogKind.HUB_PLUGGED, reason, name=hub.name, ports=hub.ports, link_bps=hub.link_bps)

    def _renumbered_from(self, device: Device, last: KnownDevice | None) -> str | None:
        """Return the kernel's former name of the port, if it renumbered the port of this device."""
        if last is not None:
            return last.port if last.place and last.place == device.place and last.port != device.port else None
        found = self._known.find_at_place(device)
        return found.port if found else None

    def _history(self, device: Device, last: KnownDevice | None, renumbered: str | None) -> str:
        if renumbered:
            return f"it is in the same port, formerly named {renumbered} by the kernel"
        if last is None:
            return "new: never seen on this PC before"
        where = f" in port {last.port}" if last.port != device.port else ""
        return f"known, last seen {format_ago(self._clock.now() - last.last_seen)}{where}"

    def _log(self, device: Device, kind: LogKind, reason: str, **detail: object) -> None:
        self._record(device.id, kind, reason, name=device.name, level=LogLevel.INFO, **detail)


def _history_of(last: KnownDevice | None) -> dict[str, object]:
    return {"last_seen": last.last_seen.isoformat(), "last_port": last.port} if last else {}


def _topmost(hubs: Collection[UsbHub]) -> Iterator[UsbHub]:
    return (hub for hub in hubs if not any(other.carries(hub.port) for other in hubs))


type _Report = tuple[ChangeKind, DeviceKey, Device, Device | None]


class ChangeDetector:
    """Follows the devices from look to look; `known` has earlier sightings. Not thread-safe."""

    def __init__(
        self, *, clock: Clock, record: HealthLogger, known: KnownDevices, slept: Callable[[], int] = slept_ns
    ) -> None:
        self._clock = clock
        self._known = known
        self._flapping = FlappingDetector(clock)
        self._swaps = SwapDetector(clock)
        self._sleep = SleepDetector(slept)
        self._lines = PlugLogger(clock=clock, record=record, known=known)
        self._sight = DeviceSnapshot()
        self._since: dict[DeviceKey, tuple[int, bool]] = {}  # the plug time, and whether that was before the first look
        self._last: dict[str, Device] = {}
        self._last_at: dict[str, tuple[Device, ...]] = {}
        self._unseen: dict[str, list[int]] = {}
        self._shown: dict[DeviceKey, Device] = {}

    @property
    def devices(self) -> tuple[Device, ...]:
        """The plugged-in devices, with faults from their plugs and unplugs."""
        return tuple(self._shown.values())

    @property
    def awaits_confirmation(self) -> bool:
        """Whether a plugged-in device may be swapped, which a person can confirm."""
        swapped = self._known.swapped()
        return any(device.id in swapped for device in self._sight.devices)

    def begin(self, sight: DeviceSnapshot) -> None:
        """Take the first look: its devices were plugged in earlier."""
        for device in sight.devices:
            self._since[sight.key(device)] = self._clock.now_ns(), True
            self._lines.plugged(device, at_start=True)
        for device in sight.plugs().values():
            self._swaps.plugged(device)
        self._known.remember(sight.devices, self._clock.now())
        self._publish(sight)

    def observe(self, sight: DeviceSnapshot, unplugs: Mapping[str, int]) -> list[DeviceChange]:
        """Take the next look; `unplugs` counts the kernel's unplug messages since the last look, by port."""
        before, after = self._sight, keep_health_times(self._sight, sight)
        old_by_key, new_by_key = before.by_key(), after.by_key()
        gone = {key: device for key, device in old_by_key.items() if key not in new_by_key}
        came = {key: device for key, device in new_by_key.items() if key not in old_by_key}
        self._log_hubs(before, after, unplugs)
        told = list(self._report_gone(gone, unplugs))
        self._count_unseen({device.port for device in gone.values()}, new_by_key.keys() - came.keys(), after, unplugs)
        told += self._report_came(came)
        self._known.remember((*gone.values(), *came.values()), self._clock.now())
        self._follow_swaps(before, after, unplugs)
        for key, new in new_by_key.items():
            old = old_by_key.get(key, new)
            if old.id != new.id:
                self._lines.renamed(old, new)
                self._known.remember([new], self._clock.now())
        return self._publish(after, told)

    def tick(self) -> list[DeviceChange]:
        """End flapping episodes that are over, and take over people's confirmations."""
        there = {device.id for device in self._sight.devices} | {hub.port for hub in self._sight.hubs}
        for episode in self._flapping.take_ended():
            self._lines.flapping_ended(episode, is_there=episode.key in there)
        unclear = self._known.swapped().keys()
        if self._known.refresh():
            cleared = unclear - self._known.swapped().keys()
            self._swaps.confirm(device for device in self._sight.devices if device.id in cleared)
        return self._publish(self._sight)

    def due_ns(self) -> int | None:
        """Return the time of the next `tick` on the session clock; None without one."""
        return self._flapping.due_ns()

    def save(self, *, at_end: bool = False) -> None:
        """Save the known devices (`at_end`: with those present); may wait for a disk."""
        if at_end:
            self._known.remember(self._sight.devices, self._clock.now())
        self._known.save()

    def _log_hubs(self, before: DeviceSnapshot, after: DeviceSnapshot, unplugs: Mapping[str, int]) -> None:
        """Log changes of hubs: one line for hubs on hubs (a docking station)."""
        for hub in _topmost(hubs_gone(before, after, unplugs)):
            if episode := self._flapping.unplugged(hub.port, hub.name, unplugs.get(hub.port, 1)):
                self._lines.flapping(episode)
            if not self._flapping.episode(hub.port):
                self._lines.hub_unplugged(hub, [device for device in before.devices if hub.carries(device.port)])
        for hub in _topmost(hubs_gone(after, before, unplugs)):
            self._flapping.plugged(hub.port)
            if not self._flapping.episode(hub.port):
                self._lines.hub_plugged(hub)

    # Unplugs

    def _report_gone(self, gone: Mapping[DeviceKey, Device], unplugs: Mapping[str, int]) -> Iterator[_Report]:
        for key, device in gone.items():
            since_ns, at_least = self._since.pop(key)
            self._count(device, max(1, unplugs.get(device.port or "", 1)))
            if not self._flapping.episode(device.id):
                self._lines.unplugged(device, (self._clock.now_ns() - since_ns) / NANOSECONDS, at_least=at_least)
            yield ChangeKind.UNPLUGGED, key, self._shown.get(key, device), self._shown.get(key)

    def _count_unseen(
        self,
        gone: Collection[str | None],
        stayed: Collection[DeviceKey],
        after: DeviceSnapshot,
        unplugs: Mapping[str, int],
    ) -> None:
        """Count unplugs between two looks, by port.

        `gone` are the ports of unplugged devices, counted already. If no device stayed in a port, the count is for its
        last device, or else for its next one.
        """
        for port, times in unplugs.items():
            if port in gone:
                continue
            there = [device for device in _on(after, port) if after.key(device) in stayed]
            for device in there or self._last_at.get(port, ()):
                self._count(device, times)
            if not there and port not in self._last_at:
                self._unseen.setdefault(port, []).extend([self._clock.now_ns()] * times)
        since_ns = self._clock.now_ns() - FLAPPING_WINDOW_S * NANOSECONDS
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

    # Plugs

    def _report_came(self, came: Mapping[DeviceKey, Device]) -> Iterator[_Report]:
        for key, device in came.items():
            self._since[key] = self._clock.now_ns(), False
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

    def _follow_swaps(self, before: DeviceSnapshot, after: DeviceSnapshot, unplugs: Mapping[str, int]) -> None:
        old, new, now = before.plugs(), after.plugs(), self._clock.now()
        hubs, is_waking = hubs_gone(before, after, unplugs), self._sleep.is_waking(self._clock.now_ns())
        for plug in old.keys() - new.keys():
            with_its_hub = any(hub.carries(plug[0]) for hub in hubs)
            self._swaps.unplugged(old[plug], shaken=with_its_hub or is_waking)
            for device in _on(before, plug[0]):
                self._known.mark_swapped(device.id, None, now)
        for plug in sorted(new.keys() - old.keys(), key=str):
            if not self._swaps.plugged(new[plug]):
                continue
            twins = self._swaps.twins(new[plug])
            ports = " or ".join(twins)
            reason = f"may have changed places with the one of port {ports}: nothing tells them apart; {LOOK}"
            for device in _on(after, plug[0]):
                self._known.mark_swapped(device.id, reason, now)
                if not self._flapping.episode(device.id):
                    self._lines.swapped(device, reason, twins)

    # Listeners

    def _publish(self, sight: DeviceSnapshot, told: Iterable[_Report] = ()) -> list[DeviceChange]:
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


def _on(sight: DeviceSnapshot, port: str) -> list[Device]:
    return [device for device in sight.devices if device.port == port]
