"""What a camera can be set to, as the command line and the page show it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from agent.devices.board import roles_given
from config.errors import DeviceNotFound, LiputError
from config.settings.schema import Settings
from devices.controls import presets
from devices.controls.changes import ControlChange
from devices.controls.control import Control, Controls, Value
from devices.model.device import Device
from devices.monitor.identity import find_video
from devices.monitor.snapshot import list_devices
from devices.roles.choice import named


class Row(msgspec.Struct, frozen=True):
    """A control as the table and the JSON document show it: with what is kept of it, and what else is to be said."""

    control: Control
    kept: Value | None
    note: str


def find_camera(name: str) -> Device:
    """Return the device that is meant; of one that is not there, say what is kept for it."""
    roles = roles_given()
    try:
        return named(find_video, list_devices(), name, roles)
    except DeviceNotFound as error:
        word = name.strip().casefold()
        meant = {word, roles[word].id.casefold()} if word in roles else {word}
        for device_id, preset in presets.preset_store().read().items():
            if meant & {device_id.casefold(), preset.name.casefold()}:
                kept = ", ".join(f"{control}={value}" for control, value in preset.controls.items())
                message = error.message if word in roles else f"{preset.name} ({device_id}) is not plugged in"
                raise DeviceNotFound(message, hint=f"Kept, and set when it is plugged in: {kept}") from error
        raise


def rows_of(controls: Controls, device: Device, settings: Settings, say: Callable[[str], None]) -> Iterator[Row]:
    """Yield the controls of a device, with what is kept of each; `say` is told why that is not known."""
    try:
        preset = presets.preset_store().read().get(device.id)
    except LiputError as error:
        say(error.message)
        preset = None
    kept: Mapping[str, Value] = preset.controls if preset else {}
    from_settings = presets.wanted(controls, kept, settings.devices.power_line_frequency)
    for control in controls.values():
        value = kept.get(control.name)
        notes = list(_notes(control, value))
        if value is None and control.value is not None and from_settings.get(control.name) == control.value:
            notes.append("from the settings")
        yield Row(control, value, ", ".join(notes))


def _notes(control: Control, kept: Value | None) -> Iterator[str]:
    if control.read_only:
        yield "read only"
    if control.inactive:
        yield f"set by {control.governor or 'the camera itself'}"
    if kept is not None:
        yield "kept" if kept == control.value else f"kept: {control.show(kept)}"


def document(device: Device, changes: Sequence[ControlChange], rows: Sequence[Row]) -> dict[str, object]:
    """Return what `liput devices controls --json` prints."""
    listed = [msgspec.to_builtins(row.control, str_keys=True) | {"kept": row.kept, "note": row.note} for row in rows]
    return {"device": device.id, "name": device.name, "node": device.node, "changes": changes, "controls": listed}
