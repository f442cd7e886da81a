"""The lines that the health log gets about plugging: what came and went, whether it is known, what is odd about it."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from config.quantities import format_duration
from devices.clock import Clock
from devices.health.faults import Fault
from devices.health.line import Kind, Level, Record
from devices.model import Device
from devices.monitor.changes import Sight, hubs_gone
from devices.monitor.flapping import Episode, Flapping
from devices.monitor.known import Known, KnownDevices, ago
from devices.udev import Hub

FLAPS = "comes and goes; check its cable and its port"
LOOK = "look at the picture: liput devices assign ROLE DEVICE puts it right, liput devices roles --confirm says it is"


class PlugLines:
    """Writes them; `known` says what was seen before."""

    def __init__(self, *, clock: Clock, record: Record, known: KnownDevices) -> None:
        self._clock = clock
        self._record = record
        self._known = known

    def plugged(self, device: Device, *, at_start: bool = False) -> None:
        """Say that a device came, or (`at_start`) was there when the monitor began."""
        last = self._known.get(device.id)
        renumbered = self._renumbered_from(device, last)
        detail = {"port": device.port, "known": bool(last or renumbered)} | _history_of(last)
        if renumbered:
            detail["renumbered_from"] = renumbered
        if at_start:
            detail["at_start"] = True
        what = "was plugged in before Liput looked" if at_start else "plugged in"
        where = f", port {device.port}" if device.port else ""
        self._tell(device, Kind.PLUGGED, f"{what}{where}; {self._history(device, last, renumbered)}", **detail)

    def moved(self, device: Device, last: Known) -> None:
        """Say that a device with a serial number of its own came back in another port."""
        seen = ago(self._clock.now() - last.last_seen)
        reason = f"moved from port {last.port} to port {device.port}; last seen {seen}"
        self._tell(device, Kind.MOVED, reason, port=device.port, **_history_of(last))

    def unplugged(self, device: Device, seconds: float | None, *, at_least: bool) -> None:
        """Say that a device went, after how many seconds, or more (`at_least`)."""
        where = f" from port {device.port}" if device.port else ""
        after = ""
        detail: dict[str, object] = {"port": device.port}
        if seconds is not None:
            more = "more than " if at_least else ""
            after = f" after {more}{format_duration(max(1, round(seconds)))}"
            detail["plugged_s"] = round(seconds, 3)
        self._tell(device, Kind.UNPLUGGED, f"unplugged{where}{after}", **detail)

    def flapping(self, episode: Episode) -> None:
        """Say that a device or a hub comes and goes."""
        within_s = round(episode.lasted_s, 3)
        reason = f"{FLAPS}: unplugged {episode.unplugs} times in {max(1, round(within_s))} s"
        self._record(
            episode.key, Kind.FLAPPING, reason, name=episode.name, level=Level.WARN, fault=Fault.FLAPPING,
            unplugs=episode.unplugs, within_s=within_s,
        )  # fmt: skip

    def calm(self, episode: Episode, *, is_there: bool) -> None:
        """Say that it does so no more, and what was not told meanwhile."""
        lasted_s = round(episode.lasted_s, 3)
        state = "plugged in" if is_there else "unplugged"
        was = f"was unplugged {episode.unplugs} times in {max(1, round(lasted_s))} s"
        self._record(
            episode.key, Kind.RECOVERED, f"comes and goes no more, is {state}; {was}", name=episode.name,
            fault=Fault.FLAPPING, lasted_s=lasted_s, unplugs=episode.unplugs, plugged=is_there,
        )  # fmt: skip

    def swapped(self, device: Device, reason: str, twins: list[str]) -> None:
        """Say that a device may be another than the one that was in its port."""
        detail = {"fault": Fault.SWAPPED, "port": device.port, "twins": twins}
        self._record(device.id, Kind.SWAPPED, reason, name=device.name, level=Level.WARN, **detail)

    def renamed(self, old: Device, new: Device) -> None:
        """Say that a device that stayed where it is has another id."""
        if new.serial is None and new.shared_serial:
            why = f"another device says the serial number {new.shared_serial} too, so its port tells it apart"
        else:
            why = "its serial number is its own again"
        self._tell(new, Kind.RENAMED, f"was {old.id}; {why}", before=old.id)

    def _renumbered_from(self, device: Device, last: Known | None) -> str | None:
        """Return the name that the kernel had for the port that the device is still in, if it was another."""
        if last is not None:
            return last.port if last.place and last.place == device.place and last.port != device.port else None
        found = self._known.at_place(device)
        return found.port if found else None

    def _history(self, device: Device, last: Known | None, renumbered: str | None) -> str:
        if renumbered:
            return f"it is where it was, in what the kernel called port {renumbered} before"
        if last is None:
            return "new: never seen on this PC before"
        where = f" in port {last.port}" if last.port != device.port else ""
        return f"known, last seen {ago(self._clock.now() - last.last_seen)}{where}"

    def _tell(self, device: Device, kind: Kind, reason: str, **detail: object) -> None:
        self._record(device.id, kind, reason, name=device.name, level=Level.INFO, **detail)


def _history_of(last: Known | None) -> dict[str, object]:
    return {"last_seen": last.last_seen.isoformat(), "last_port": last.port} if last else {}


class HubLines:
    """The same of hubs, whose line says what was on them."""

    def __init__(self, *, record: Record, flapping: Flapping, lines: PlugLines) -> None:
        self._record = record
        self._flapping = flapping
        self._lines = lines

    def tell(self, before: Sight, after: Sight, unplugs: Mapping[str, int]) -> None:
        """Write the lines of what happened to hubs between two looks: of hubs on hubs (a docking station), one."""
        for hub in _topmost(hubs_gone(before, after, unplugs)):
            self._gone(hub, before.devices, unplugs.get(hub.port, 1))
        for hub in _topmost(hubs_gone(after, before, unplugs)):
            self._came(hub)

    def _gone(self, hub: Hub, devices: Iterable[Device], times: int) -> None:
        if episode := self._flapping.unplugged(hub.port, hub.name, times):
            self._lines.flapping(episode)
        if self._flapping.episode(hub.port):
            return
        lost = [device for device in devices if hub.carries(device.port)]
        plugs: dict[str | None, str] = {}
        for device in lost:
            plugs.setdefault(device.port, device.name)  # the picture's, which comes before the sound's
        reason = f"unplugged from port {hub.port}, and with it: {'; '.join(plugs.values())}"
        self._record(
            hub.port, Kind.HUB_UNPLUGGED, reason if lost else f"unplugged from port {hub.port}; nothing was on it",
            name=hub.name, level=Level.WARN if lost else Level.INFO, devices=[device.id for device in lost],
        )  # fmt: skip

    def _came(self, hub: Hub) -> None:
        self._flapping.plugged(hub.port)
        if not self._flapping.episode(hub.port):
            reason = f"plugged into port {hub.port}, {hub.ports} ports"
            self._record(hub.port, Kind.HUB_PLUGGED, reason, name=hub.name, ports=hub.ports, link_bps=hub.link_bps)


def _topmost(hubs: Collection[Hub]) -> Iterator[Hub]:
    """Yield those of `hubs` that hang off none of the others."""
    return (hub for hub in hubs if not any(other.carries(hub.port) for other in hubs))
