"""One device in full, for `liput devices show --json` and `controls --json`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from config.errors import DeviceNotFound, LiputError
from config.settings.schema import Profile, Settings
from devices.controls.control import Control, Controls, ControlValue
from devices.controls.presets import kept_values, preset_store, values_to_set
from devices.controls.setting import ControlChange
from devices.model.device import Device, DeviceKind, Mode
from devices.model.mode_choice import PictureRequirements, needed_bps
from devices.model.quirks import QuirkNote, is_own_serial, quirk_of
from devices.monitor.identity import find_video
from devices.monitor.snapshot import list_devices
from devices.roles.assignment import read_roles
from devices.roles.choice import find_named
from devices.usb.budget import UsbStream, bus_neighbours, find_conflicts, rank_modes_of, usable_bps
from devices.usb.slow_ports import SLOW_PORT_HINT, port_warning
from devices.usb.topology import UsbTopology


class UsbHop(msgspec.Struct, frozen=True):
    """A hub, or last the device, on the way from the controller; `link_bps` is its link speed."""

    port: str
    name: str
    link_bps: int
    is_hub: bool


class UsbPlace(msgspec.Struct, frozen=True):
    """Place of a device on USB; `usable_bps` is for its video, `shared_with` names others on its bus."""

    path: tuple[UsbHop, ...]
    usable_bps: int | None
    shared_with: tuple[str, ...]


class DeviceWarning(msgspec.Struct, frozen=True):
    """A problem (`kind` is slow-port, cannot-fit or may-not-fit) and its remedy."""

    kind: str
    message: str
    hint: str


class KnownMake(msgspec.Struct, frozen=True):
    """Facts about a make from the table of quirks, with sources."""

    name: str
    source: str
    remarks: tuple[QuirkNote, ...]


class ModeRow(msgspec.Struct, frozen=True):
    """A mode with its rate, its bit rate (null: depends on the picture), and the reason against it."""

    format: str
    width: int
    height: int
    fps: float | None
    needs_bps: int | None
    reason: str | None = None


class DevicePage(msgspec.Struct, frozen=True):
    """The page. `no_serial`: why `device.serial` is null. `mode`: the mode of a session with this profile."""

    device: Device
    no_serial: str | None
    usb: UsbPlace | None
    warnings: tuple[DeviceWarning, ...]
    make: KnownMake | None
    profile: str
    wanted: PictureRequirements
    mode: ModeRow | None
    runners_up: tuple[ModeRow, ...]
    partner: Device | None


def device_page(
    device: Device, devices: Sequence[Device], topology: UsbTopology, profile_name: str, profile: Profile
) -> DevicePage:
    wanted = PictureRequirements(profile.width, profile.height, float(profile.fps))
    chosen, runners_up = rank_modes_of(device, topology, wanted)
    message = port_warning(topology, device)
    slow = [DeviceWarning("slow-port", message, SLOW_PORT_HINT)] if message else []
    return DevicePage(
        device=device,
        no_serial=_no_serial(device, topology),
        usb=_place(device, topology),
        warnings=(*slow, *_conflicts(device, devices, topology, wanted)),
        make=_make(device),
        profile=profile_name,
        wanted=wanted,
        mode=None if chosen is None else _row(chosen.mode, chosen.rate),
        runners_up=tuple(_row(*loser) for loser in runners_up),
        partner=next((other for other in devices if other.id == device.paired_with), None),
    )


def _row(mode: Mode, rate: float | None, reason: str | None = None) -> ModeRow:
    return ModeRow(mode.format, mode.width, mode.height, rate, needed_bps(mode, rate), reason)


def _no_serial(device: Device, topology: UsbTopology) -> str | None:
    """Return why a device has no serial number of its own; None if it has one or is not on USB."""
    if device.serial is not None or device.vid is None:
        return None
    node = topology.node(device.port)
    said = device.shared_serial or (node.serial if node is not None else None)
    if said is None:
        return "it says none; its port tells it from others"
    if not is_own_serial(said):
        return f"it says {said}, as every one of its model does; its port tells it from others"
    return f"it says {said}, as another that is plugged in does; their ports tell them apart"


def _place(device: Device, topology: UsbTopology) -> UsbPlace | None:
    path = topology.path(device.port)
    if not path:
        return None
    hops = tuple(
        UsbHop(node.port, device.name if node.port == device.port else node.name, node.link_bps, node.is_hub)
        for node in path
    )
    others = tuple(f"{node.name} (port {node.port})" for node in bus_neighbours(topology, device.port))
    return UsbPlace(hops, usable_bps(path[-1]) if device.node else None, others)


def _conflicts(
    device: Device, devices: Sequence[Device], topology: UsbTopology, wanted: PictureRequirements
) -> list[DeviceWarning]:
    """Return problems if all devices on its bus streamed at once in the profile's mode."""
    streams = [UsbStream(other, rank_modes_of(other, topology, wanted)[0]) for other in devices if other.node]
    streams += [UsbStream(other) for other in devices if other.kind is DeviceKind.MICROPHONE and other.port]
    ours = {device.id, device.paired_with}
    found = [entry for entry in find_conflicts(topology, streams) if ours & set(entry.devices)]
    return [DeviceWarning(entry.verdict, entry.message, entry.hint) for entry in found]


def _make(device: Device) -> KnownMake | None:
    known = quirk_of(device.vid, device.pid)
    if known is None:
        return None
    fakes = tuple(
        QuirkNote(
            f"from {fake.width}x{fake.height} on, it gives {fake.rate:g} frames per second, not the listed rate",
            fake.source,
        )
        for fake in known.fakes
    )
    rate = () if known.takes_rate else (QuirkNote("it is not asked for a rate, for that makes it fail", known.source),)
    return KnownMake(known.name, known.source, (*fakes, *rate, *known.notes))


class ControlRow(msgspec.Struct, frozen=True):
    control: Control
    kept: ControlValue | None
    note: str


def find_camera(name: str) -> Device:
    """Return the camera of this name. The error for an absent one names its kept controls."""
    roles = read_roles()
    try:
        return find_named(find_video, list_devices(), name, roles)
    except DeviceNotFound as error:
        word = name.strip().casefold()
        meant = {word, roles[word].id.casefold()} if word in roles else {word}
        for device_id, preset in preset_store().read().items():
            if meant & {device_id.casefold(), preset.name.casefold()}:
                kept = ", ".join(f"{control}={value}" for control, value in preset.controls.items())
                message = error.message if word in roles else f"{preset.name} ({device_id}) is not plugged in"
                raise DeviceNotFound(message, hint=f"Kept, and set when it is plugged in: {kept}") from error
        raise


def control_rows(
    controls: Controls, device: Device, settings: Settings, say: Callable[[str], None]
) -> Iterator[ControlRow]:
    """Yield the controls of a device; `say` gets the error if the presets cannot be read."""
    try:
        kept = kept_values(preset_store(), device.id)
    except LiputError as error:
        say(error.message)
        kept = {}
    from_settings = values_to_set(controls, kept, settings.devices.power_line_frequency)
    for control in controls.values():
        value = kept.get(control.name)
        notes = list(_notes(control, value))
        if value is None and control.value is not None and from_settings.get(control.name) == control.value:
            notes.append("from the settings")
        yield ControlRow(control, value, ", ".join(notes))


def _notes(control: Control, kept: ControlValue | None) -> Iterator[str]:
    if control.read_only:
        yield "read only"
    if control.inactive:
        yield f"set by {control.governor or 'the camera itself'}"
    if kept is not None:
        yield "kept" if kept == control.value else f"kept: {control.show(kept)}"


class ControlsDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `liput devices controls --json`."""

    device: str
    name: str
    node: str | None
    changes: list[ControlChange]
    controls: list[dict[str, Any]]


def controls_document(device: Device, changes: list[ControlChange], rows: Sequence[ControlRow]) -> ControlsDocument:
    listed = [msgspec.to_builtins(row.control, str_keys=True) | {"kept": row.kept, "note": row.note} for row in rows]
    return ControlsDocument(device=device.id, name=device.name, node=device.node, changes=changes, controls=listed)
