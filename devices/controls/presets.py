"""Presets: cameras forget their controls with the power, so what people have set is set again after every plug.

They are kept by the device's identity in `presets.json`. The power line frequency of the settings is set in the same
way: where it is wrong, lamps flicker in the picture.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

import msgspec

from config.errors import ControlRefused, DeviceNotFound, LiputError
from config.settings.quantities import NotAllowed
from config.state import Store, state_folder
from devices.controls.changes import ControlChange, carry_out, change_of, in_order, named, plan, set_one
from devices.controls.control import Control, Controls, Value, is_manual
from devices.controls.panel import ControlPanel
from devices.health.line import Kind, Level, Record
from devices.host import threads
from devices.model.device import Device

POWER_LINE = "power_line_frequency"
_POWER_LINES: Mapping[str, int] = {"off": 0, "50 Hz": 1, "60 Hz": 2}
"""V4L2's own numbers of what the settings call it."""


class Preset(msgspec.Struct, frozen=True):
    """What people have set on one device: its name when they did, and values by the names of controls."""

    name: str
    controls: dict[str, Value]


type Presets = dict[str, Preset]
"""By the devices' ids."""


def preset_store() -> Store[Presets]:
    """Return where presets are kept on this PC."""
    return Store(state_folder() / "presets.json", dict[str, Preset], {})


def keep(store: Store[Presets], device: Device, controls: Controls, names: Iterable[str]) -> dict[str, Value]:
    """Keep what the controls `names` are now, in `controls`, as the preset of `device`; return all it then holds.

    With what an automatic mode governs, that mode is kept too: after a plug it would be on. Raises StateError.
    """
    kept: dict[str, Value] = {}
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


def forget(store: Store[Presets], device_id: str, names: Iterable[str] | None = None) -> None:
    """Forget the controls `names` of a device's preset, or all of it. Raises StateError."""

    def change(presets: Presets) -> Presets:
        if device_id not in presets:
            return presets
        preset = presets[device_id]
        gone = set(preset.controls if names is None else names)
        return _with(presets, device_id, preset.name, {n: v for n, v in preset.controls.items() if n not in gone})

    store.change(change)


def _with(presets: Presets, device_id: str, name: str, values: dict[str, Value]) -> Presets:
    others = {other: preset for other, preset in presets.items() if other != device_id}
    return others | ({device_id: Preset(name, values)} if values else {})


def wanted(controls: Controls, kept: Mapping[str, Value], power_line: str) -> dict[str, Value]:
    """Return what is to be set on a device with `controls`: what is `kept`, and else the settings' `power_line`."""
    number = _POWER_LINES.get(power_line)
    from_settings = {} if number is None or POWER_LINE not in controls else {POWER_LINE: number}
    return from_settings | dict(kept)


def apply(panel: ControlPanel, kept: Mapping[str, Value], power_line: str) -> list[ControlChange]:
    """Set what is `wanted` and differs; return the changes, with a `problem` where one failed. Raises a DeviceError."""
    controls = panel.controls()
    values = wanted(controls, kept, power_line)
    changes: list[ControlChange] = []
    for name in in_order(controls, values):
        changes += _apply_one(panel, controls, name, values[name])
        if any(control.governor == name for control in controls.values()):
            controls = panel.controls()  # what it governs can be set from now on, or no longer
    return changes


def _apply_one(panel: ControlPanel, controls: Controls, name: str, value: Value) -> list[ControlChange]:
    control = controls.get(name)
    if control is None:
        text = str(value)
        problem = "it has no such control any more"
        return [ControlChange(name=name, before=None, after=value, before_text="?", after_text=text, problem=problem)]
    try:
        control.check(value)
    except NotAllowed as error:
        return [change_of(control, value, f"it {error}")]
    if control.inactive and control.value != value:
        return [change_of(control, value, f"{control.governor or 'another control'} does not leave it to people")]
    try:
        return set_one(panel, control, value)
    except ControlRefused as error:
        return [change_of(control, value, error.message)]


def apply_to(
    device: Device, *, power_line: str, record: Record, presets: Store[Presets] | None = None
) -> list[ControlChange]:
    """Set the preset of `device`, and the settings' `power_line` where its preset does not say otherwise.

    Called whenever the device is there anew, before it streams; never raises. Returns the changes, those with a
    `problem` not made, and logs them.
    """
    if device.node is None:
        return []
    try:
        kept = _kept(device, record, presets or preset_store())
        with ControlPanel(device.node, device.name, to_set=True) as panel:
            changes = apply(panel, kept, power_line)
    except DeviceNotFound:
        return []  # unplugged again, which is in the log by itself
    except LiputError as error:
        _warn(record, device, f"its controls could not be set: {error.message}")
        return []
    _tell(record, device, changes)
    return changes


def _kept(device: Device, record: Record, presets: Store[Presets]) -> Mapping[str, Value]:
    """Return the preset of `device`; where presets cannot be read, the power line is still worth setting."""
    try:
        preset = presets.read().get(device.id)
    except LiputError as error:
        _warn(record, device, f"its preset could not be read: {error.message}")
        return {}
    return preset.controls if preset else {}


def _tell(record: Record, device: Device, changes: list[ControlChange]) -> None:
    done = [change for change in changes if change.problem is None]
    if done:
        values = {change.name: change.after for change in done}
        record(device.id, Kind.CONTROLS_APPLIED, ", ".join(map(str, done)), name=device.name, controls=values)
    for change in changes:
        if change.problem is not None:
            _warn(record, device, f"{change} could not be set: {change.problem}", control=change.name)


def _warn(record: Record, device: Device, reason: str, **detail: object) -> None:
    record(device.id, Kind.CONTROLS_APPLIED, reason, name=device.name, level=Level.WARN, **detail)


class PresetKeeper:
    """Calls `apply` with each device that is there anew, one thread each: a camera that hangs keeps its own only."""

    def __init__(self, apply: Callable[[Device], object]) -> None:
        self._apply = apply
        self._lock = threading.Lock()
        self._waiting: dict[str, Device] = {}
        self._busy: set[str] = set()
        self._is_over = False

    def enumerated(self, device: Device) -> None:
        """Set what `device` is to have; returns at once."""
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
        with suppress(RuntimeError):  # whoever plugs it in anew tries again
            threads.start(self._run, device.id, name=f"presets-{device.node}", otherwise=undo)

    def stop(self) -> None:
        """Set nothing more; what is under way is left to itself."""
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
            except Exception:  # its next plug must find a thread that sets it
                threads.report()


def set_controls(
    panel: ControlPanel,
    device: Device,
    texts: Mapping[str, str],
    *,
    record: Record,
    store: Store[Presets] | None,
) -> list[ControlChange]:
    """Set the controls of `device` to `texts` (values by name, as people write them); return what changed.

    They are kept in `store`, unless it is None. Raises UsageError where they cannot be set together, ControlRefused
    where the camera does not take one of them (nothing is changed then), StateError where they cannot be kept.
    """
    before = None if store is None else store.read().get(device.id)  # what cannot be kept should not be set either
    controls = panel.controls()
    values = plan(controls, texts)
    changes = carry_out(panel, controls, values)
    for one in changes:
        _record_change(record, device, one, is_kept=store is not None)
    if store is not None:
        kept = keep(store, device, panel.controls(), values)
        new = {name for name in values if name in kept and (before is None or before.controls.get(name) != kept[name])}
        for name in new - {one.name for one in changes}:  # the camera had it already: it had been tried out before
            value = kept[name]
            reason = f"{name}={controls[name].show(value)} is kept"
            detail: dict[str, object] = {"control": name, "before": value, "after": value, "kept": True}
            record(device.id, Kind.CONTROL_CHANGED, reason, name=device.name, level=Level.INFO, **detail)
    return changes


def reset_controls(
    panel: ControlPanel,
    device: Device,
    name: str | None,
    *,
    power_line: str,
    record: Record,
    store: Store[Presets],
) -> list[ControlChange]:
    """Set one control of `device`, or every one (`name` None), to what it is without a preset; forget the preset.

    That is the camera's default, and of the power line frequency what the settings say (`power_line`). What the
    camera refuses is in the answer, with a `problem`. Raises UsageError for a name that is none, and StateError.
    """
    controls = panel.controls()
    chosen = [named(controls, name)] if name is not None else list(controls.values())
    forget(store, device.id, None if name is None else [chosen[0].name])
    governors = {control.governor for control in controls.values()}
    changes: list[ControlChange] = []
    # What an automatic mode governs comes before it: afterwards the mode may be on again.
    for control in sorted(chosen, key=lambda control: control.name in governors):
        value = _without_preset(controls, control, power_line)
        if value is not None and control.can_be_kept and not control.inactive:
            changes += _set_back(panel, control, value)
    for one in changes:
        _record_change(record, device, one, is_kept=False)
    return changes


def _without_preset(controls: Controls, control: Control, power_line: str) -> Value | None:
    if control.name == POWER_LINE:
        value = wanted(controls, {}, power_line).get(control.name)
        if value is not None and value in control.entries:
            return value
    return control.default


def _set_back(panel: ControlPanel, control: Control, value: Value) -> list[ControlChange]:
    try:
        return set_one(panel, control, control.check(value))
    except NotAllowed:
        return []  # a default that the control itself would not take
    except ControlRefused as error:
        return [change_of(control, value, error.message)]


def _record_change(record: Record, device: Device, one: ControlChange, *, is_kept: bool) -> None:
    reason = f"{one} (was {one.before_text})" if one.problem is None else f"{one}: {one.problem}"
    level = Level.INFO if one.problem is None else Level.WARN
    detail = {"control": one.name, "before": one.before, "after": one.after, "kept": is_kept}
    record(device.id, Kind.CONTROL_CHANGED, reason, name=device.name, level=level, **detail)
