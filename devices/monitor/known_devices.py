"""The devices that this PC has seen, in `devices.json` of the state folder. An unreadable file counts as empty."""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from config.errors import StateError
from config.files import file_stamp
from config.state import StateFile, state_folder
from devices.health.faults import Fault, with_health
from devices.model.device import Device

MAX_KNOWN_DEVICES = 200


class KnownDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that was seen. `swapped` says why it may be another one, until a person confirms it."""

    name: str
    first_seen: datetime
    last_seen: datetime
    port: str | None = None
    place: str | None = None
    swapped: str | None = None
    swapped_at: datetime | None = None


type KnownById = Mapping[str, KnownDevice]


def known_store(path: Path | None = None) -> StateFile[dict[str, KnownDevice]]:
    """Return the store in `path` (None: this PC's)."""
    return StateFile(path or state_folder() / "devices.json", dict[str, KnownDevice], {})


class KnownDevices:
    """One monitor's memory. It works without the file, and takes over other processes' changes."""

    def __init__(self, store: StateFile[dict[str, KnownDevice]]) -> None:
        self._store = store
        self._known: dict[str, KnownDevice] = {}
        self._changed: set[str] = set()
        self._marked: set[str] = set()
        self._version: object = None
        self.refresh()

    def get(self, device_id: str) -> KnownDevice | None:
        return self._known.get(device_id)

    def find_at_place(self, device: Device) -> KnownDevice | None:
        """Return the entry last seen in the place of `device` under another port name: it is the same device."""
        model = f"{device.vid}:{device.pid}@"
        found = [
            known
            for device_id, known in self._known.items()
            if device_id.startswith(model) and known.place == device.place and known.port != device.port
        ]
        return max(found, key=lambda known: known.last_seen, default=None) if device.place else None

    def remember(self, devices: Iterable[Device], now: datetime) -> None:
        """Update the entries of `devices`, which are plugged in."""
        for device in devices:
            known = self._known.get(device.id) or KnownDevice(name=device.name, first_seen=now, last_seen=now)
            facts = {"name": device.name, "last_seen": now, "port": device.port, "place": device.place}
            self._set(device.id, msgspec.structs.replace(known, **facts))

    def mark_swapped(self, device_id: str, swapped: str | None, now: datetime) -> None:
        """Mark a known device as possibly swapped, with the reason; None clears the mark."""
        known = self._known.get(device_id)
        if known and known.swapped != swapped:
            self._set(device_id, msgspec.structs.replace(known, swapped=swapped, swapped_at=now if swapped else None))
            self._marked.add(device_id)

    def swapped(self) -> dict[str, KnownDevice]:
        return {device_id: known for device_id, known in self._known.items() if known.swapped}

    def _set(self, device_id: str, known: KnownDevice) -> None:
        self._known[device_id] = known
        self._changed.add(device_id)

    def refresh(self) -> bool:
        """Read the file if it has changed; return whether it had."""
        version = file_stamp(self._store.path)
        if version == self._version:
            return False
        self._version = version
        with contextlib.suppress(StateError):
            self._known = self._merged(self._store.read())
        return True

    def save(self) -> None:
        """Write the entries that changed here. Other processes' changes are left to `refresh`, which reports them."""
        if not self._changed:
            return
        with contextlib.suppress(StateError):
            self._store.change(lambda known: most_recent(self._merged(known)))
            self._changed.clear()
            self._marked.clear()

    def _merged(self, kept: KnownById) -> dict[str, KnownDevice]:
        """Return the file's entries with changes from here. Marks that were cleared in the file stay cleared."""
        merged = dict(kept)
        for device_id in self._changed:
            own, theirs = self._known[device_id], kept.get(device_id)
            if theirs and device_id not in self._marked:
                own = msgspec.structs.replace(own, swapped=theirs.swapped, swapped_at=theirs.swapped_at)
            merged[device_id] = own
        return merged


def most_recent(known: KnownById) -> dict[str, KnownDevice]:
    """Return the MAX_KNOWN_DEVICES entries seen last."""
    return dict(sorted(known.items(), key=lambda item: item[1].last_seen, reverse=True)[:MAX_KNOWN_DEVICES])


def confirm(store: StateFile[dict[str, KnownDevice]], device_ids: Collection[str]) -> list[str]:
    """Clear the marks of `device_ids`; return the ids that had one. Raises StateError."""
    unclear: list[str] = []

    def clear(known: dict[str, KnownDevice]) -> dict[str, KnownDevice]:
        unclear.extend(device_id for device_id in known if known[device_id].swapped and device_id in device_ids)
        cleared = {name: msgspec.structs.replace(known[name], swapped=None, swapped_at=None) for name in unclear}
        return {**known, **cleared}

    if any(known.swapped for known in store.read().values()):
        store.change(clear)
    return unclear


def with_swaps(devices: Iterable[Device], known: KnownById) -> list[Device]:
    """Return `devices`, with the fault `swapped` where marked and no fault is worse."""
    return [
        with_health(device, Fault.SWAPPED, mark.swapped, mark.swapped_at)
        if (mark := known.get(device.id)) and mark.swapped is not None
        else device
        for device in devices
    ]


def format_ago(span: timedelta) -> str:
    """Return a span as people say it: "5 min ago", "3 days ago"."""
    seconds = max(0.0, span.total_seconds())
    for unit, factor in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= factor * (2 if unit == "days" else 1):
            return f"{int(seconds // factor)} {unit} ago"
    return "less than a minute ago"
