"""Presets: the controls that people set. Cameras forget them without power, so Liput sets them after every plug.

`presets.json` keeps them by device id. The settings' power line frequency is set too: a wrong one makes lamps flicker
in the picture.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from config.errors import ControlRefused, DeviceNotFound, LiputError
from config.settings.quantities import NotAllowed
from config.state import StateFile, state_folder
from devices.controls.control import Control, Controls, ControlValue, is_manual
from devices.controls.panel import ControlPanel
from devices.controls.setting import (
    ControlChange,
    describe_change,
    find_control,
    in_order,
    parse_values,
    set_all,
    set_one,
)
from devices.health.log_line import HealthLogger, LogKind, LogLevel
from devices.host import threads
from devices.model.device import Device

POWER_LINE = "power_line_frequency"
_POWER_LINES: Mapping[str, int] = {"off": 0, "50 Hz": 1, "60 Hz": 2}  # V4L2's numbers for the names in the settings


class ControlPreset(msgspec.Struct, frozen=True):
    """The controls that people have set on one device, by name, with the device's name then."""

    name: str
    controls: dict[str, ControlValue]


type Presets = dict[str, ControlPreset]  # by device id


def preset_store() -> StateFile[Presets]:
    return StateFile(state_folder() / "presets.json", dict[str, ControlPreset], {})


def kept_values(store: StateFile[Presets], device_id: str) -> Mapping[str, ControlValue]:
    """Return the controls of a device's preset; none without one. Raises StateError."""
    preset = store.read().get(device_id)
    return preset.controls if preset else {}


def keep_values(
    store: StateFile[Presets], device: Device, controls: Controls, names: Iterable[str]
) -> dict[str, ControlValue]:
    """Add the present values of the controls `names` to the preset of `device`; return the whole preset.

    An automatic mode is kept with the controls it governs: it would be on after a plug. Raises StateError.
    """
    kept: dict[str, ControlValue] = {}
    for name in names:
        control = controls[name]
        for one in (controls.get(control.governor or ""), control):
            if one is not None and one.can_be_kept and one.value is not None:
                kept[one.name] = one.value

    def change(presets: Presets) -> Presets:
        before = presets[device.id].controls if device.id in presets else {}
        values = before | kept
        values = {n: v for n, v in values.items() if n not in controls or is_manual(controls[n], values)}
        return _with(presets, device.id, device.name, values)

    presets = store.change(change)
    return presets[device.id].controls if device.id in presets else {}


def forget_values(store: StateFile[Presets], device_id: str, names: Iterable[str] | None = None) -> None:
    """Remove the controls `names` (None: all) from a device's preset. Raises StateError."""

    def change(presets: Presets) -> Presets:
        if device_id not in presets:
            return presets
        preset = presets[device_id]
        gone = set(preset.controls if names is None else names)
        return _with(presets, device_id, preset.name, {n: v for n, v in preset.controls.items() if n not in gone})

    store.change(change)


def _with(presets: Presets, device_id: str, name: str, values: dict[str, ControlValue]) -> Presets:
    others = {other: preset for other, preset in presets.items() if other != device_id}
    return others | ({device_id: ControlPreset(name, values)} if values else {})


def values_to_set(controls: Controls, kept: Mapping[str, ControlValue], power_line: str) -> dict[str, ControlValue]:
    """Return the values to set on a device: the preset `kept`, and else the settings' `power_line`."""
    number = _POWER_LINES.get(power_line)
    from_settings = {} if number is None or POWER_LINE not in controls else {POWER_LINE: number}
    return from_settings | dict(kept)


def set_preset(device: Device, kept: Mapping[str, ControlValue], power_line: str) -> list[ControlChange]:
    """Open `device` and apply its preset, as `apply_preset`. Raises a DeviceError."""
    with ControlPanel(device.node or "", device.name, to_set=True) as panel:
        return apply_preset(panel, kept, power_line)


def apply_preset(panel: ControlPanel, kept: Mapping[str, ControlValue], power_line: str) -> list[ControlChange]:
    """Set all `wanted` values that differ; return the changes, failed ones with a `problem`. Raises a DeviceError."""
    controls = panel.controls()
    values = values_to_set(controls, kept, power_line)
    changes: list[ControlChange] = []
    for name in in_order(controls, values):
        changes += _apply_one(panel, controls, name, values[name])
        if any(control.governor == name for control in controls.values()):
            controls = panel.controls()  # the controls it governs may have become active or inactive
    return changes


def _apply_one(panel: ControlPanel, controls: Controls, name: str, value: ControlValue) -> list[ControlChange]:
    control = controls.get(name)
    if control is None:
        text = str(value)
        problem = "it has no such control any more"
        return [ControlChange(name=name, before=None, after=value, before_text="?", after_text=text, problem=problem)]
    try:
        control.check(value)
    except NotAllowed as error:
        return [describe_change(control, value, f"it {error}")]
    if control.inactive and control.value != value:
        return [describe_change(control, value, f"{control.governor or 'another control'} does not leave it to people")]
    try:
        return set_one(panel, control, value)
    except ControlRefused as error:
        return [describe_change(control, value, error.message)]


def restore_preset(device: Device, *, power_line: str, record: HealthLogger) -> list[ControlChange]:
    """Set the preset of `device`, or else the settings' `power_line`; return all changes, failed ones included.

    For each plug, before the device streams. Logs the changes; never raises.
    """
    if device.node is None:
        return []
    try:
        changes = set_preset(device, _kept(device, record), power_line)
    except DeviceNotFound:
        return []  # unplugged again, which has its own line
    except LiputError as error:
        _warn(record, device, f"its controls could not be set: {error.message}")
        return []
    _record_applied(record, device, changes)
    return changes


def _kept(device: Device, record: HealthLogger) -> Mapping[str, ControlValue]:
    """Return the preset of `device`; if presets cannot be read, the power line is still set."""
    try:
        return kept_values(preset_store(), device.id)
    except LiputError as error:
        _warn(record, device, f"its preset could not be read: {error.message}")
        return {}


def _record_applied(record: HealthLogger, device: Device, changes: list[ControlChange]) -> None:
    done = [change for change in changes if change.problem is None]
    if done:
        values = {change.name: change.after for change in done}
        record(device.id, LogKind.CONTROLS_APPLIED, ", ".join(map(str, done)), name=device.name, controls=values)
    for change in changes:
        if change.problem is not None:
            _warn(record, device, f"{change} could not be set: {change.problem}", control=change.name)


def _warn(record: HealthLogger, device: Device, reason: str, **detail: object) -> None:
    record(device.id, LogKind.CONTROLS_APPLIED, reason, name=device.name, level=LogLevel.WARN, **detail)


class PresetRestorer:
    """Calls `apply` for each plugged device, on one thread per device: a camera that hangs blocks its own only."""

    def __init__(self, apply: Callable[[Device], object]) -> None:
        self._apply = apply
        self._lock = threading.Lock()
        self._waiting: dict[str, Device] = {}
        self._busy: set[str] = set()
        self._is_over = False

    def apply_soon(self, device: Device) -> None:
        """Apply the preset of `device`; returns at once."""
        if device.node is None:
            return
        with self._lock:
            if self._is_over:
                return
            self._waiting[device.id] = device
            if device.id in self._busy:
                return
            self._busy.add(device.id)
        undo = partial(self._busy.discard, device.id)
        with suppress(RuntimeError):  # the next plug tries again
            threads.start_thread(self._run, device.id, name=f"presets-{device.node}", otherwise=undo)

    def stop(self) -> None:
        """Start no more; a running thread is abandoned."""
        with self._lock:
            self._is_over = True
            self._waiting.clear()

    def _run(self, identifier: str) -> None:
        while True:
            with self._lock:
                device = self._waiting.pop(identifier, None)
                if device is None:
                    self._busy.discard(identifier)
                    return
            try:
                self._apply(device)
            except Exception:  # the thread must survive for the next plug
                threads.report_error()


def set_controls(
    panel: ControlPanel,
    device: Device,
    texts: Mapping[str, str],
    *,
    record: HealthLogger,
    store: StateFile[Presets] | None,
) -> list[ControlChange]:
    """Set the controls of `device` to `texts` (values by name, as people write them); return the changes.

    `store` keeps the values, unless it is None. All are set or none. Raises UsageError if they cannot be set together,
    ControlRefused if the camera refuses one, StateError if they cannot be kept.
    """
    before = None if store is None else store.read().get(device.id)  # raises before anything is set
    controls = panel.controls()
    values = parse_values(controls, texts)
    changes = set_all(panel, controls, values)
    for one in changes:
        _record_change(record, device, one, is_kept=store is not None)
    if store is not None:
        kept = keep_values(store, device, panel.controls(), values)
        new = {name for name in values if name in kept and (before is None or before.controls.get(name) != kept[name])}
        for name in new - {one.name for one in changes}:  # the camera had the value already, from a trial
            value = kept[name]
            reason = f"{name}={controls[name].show(value)} is kept"
            detail: dict[str, object] = {"control": name, "before": value, "after": value, "kept": True}
            record(device.id, LogKind.CONTROL_CHANGED, reason, name=device.name, level=LogLevel.INFO, **detail)
    return changes


def reset_controls(
    panel: ControlPanel,
    device: Device,
    name: str | None,
    *,
    power_line: str,
    record: HealthLogger,
    store: StateFile[Presets],
) -> list[ControlChange]:
    """Reset the control `name` of `device` (None: all) and remove it from the preset; return the changes.

    A control gets the camera's default; the power line frequency gets the settings' `power_line`. Refused changes have
    a `problem`. Raises UsageError for an unknown name, and StateError.
    """
    controls = panel.controls()
    chosen = [find_control(controls, name)] if name is not None else list(controls.values())
    forget_values(store, device.id, None if name is None else [chosen[0].name])
    governors = {control.governor for control in controls.values()}
    changes: list[ControlChange] = []
    # Governed controls before their automatic mode: afterwards the mode may be on again.
    for control in sorted(chosen, key=lambda control: control.name in governors):
        value = _without_preset(controls, control, power_line)
        if value is not None and control.can_be_kept and not control.inactive:
            changes += _reset_one(panel, control, value)
    for one in changes:
        _record_change(record, device, one, is_kept=False)
    return changes


def _without_preset(controls: Controls, control: Control, power_line: str) -> ControlValue | None:
    if control.name == POWER_LINE:
        value = values_to_set(controls, {}, power_line).get(control.name)
        if value is not None and value in control.entries:
            return value
    return control.default


def _reset_one(panel: ControlPanel, control: Control, value: ControlValue) -> list[ControlChange]:
    try:
        return set_one(panel, control, control.check(value))
    except NotAllowed:
        return []  # the control does not take its own default
    except ControlRefused as error:
        return [describe_change(control, value, error.message)]


def _record_change(record: HealthLogger, device: Device, one: ControlChange, *, is_kept: bool) -> None:
    reason = f"{one} (was {one.before_text})" if one.problem is None else f"{one}: {one.problem}"
    level = LogLevel.INFO if one.problem is None else LogLevel.WARN
    detail = {"control": one.name, "before": one.before, "after": one.after, "kept": is_kept}
    record(device.id, LogKind.CONTROL_CHANGED, reason, name=device.name, level=level, **detail)
