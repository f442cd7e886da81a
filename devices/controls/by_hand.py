"""Controls that a person sets: all that are named or none, kept for every later plug, and told in the health log."""

from collections.abc import Mapping

from config.errors import ControlRefused
from config.settings.quantities import NotAllowed
from config.state import Store
from devices.controls import presets
from devices.controls.changes import ControlChange, carry_out, change_of, named, plan, set_one
from devices.controls.control import Control, Controls, Value
from devices.controls.panel import ControlPanel
from devices.health.line import Kind, Level, Record
from devices.model.device import Device


def change(
    panel: ControlPanel,
    device: Device,
    texts: Mapping[str, str],
    *,
    record: Record,
    store: Store[presets.Presets] | None,
) -> list[ControlChange]:
    """Set the controls of `device` to `texts` (values by name, as people write them); return what changed.

    They are kept in `store`, unless it is None. Raises UsageError where they cannot be set together, ControlRefused
    where the camera does not take one of them (nothing is changed then), StateError where they cannot be kept.
    """
    before = None if store is None else store.read().get(device.id)  # what cannot be kept should not be set either
    controls = panel.controls()
    wanted = plan(controls, texts)
    changes = carry_out(panel, controls, wanted)
    for one in changes:
        _tell(record, device, one, is_kept=store is not None)
    if store is not None:
        kept = presets.keep(store, device, panel.controls(), wanted)
        new = {name for name in wanted if name in kept and (before is None or before.controls.get(name) != kept[name])}
        for name in new - {one.name for one in changes}:  # the camera had it already: it had been tried out before
            value = kept[name]
            reason = f"{name}={controls[name].show(value)} is kept"
            detail: dict[str, object] = {"control": name, "before": value, "after": value, "kept": True}
            record(device.id, Kind.CONTROL_CHANGED, reason, name=device.name, level=Level.INFO, **detail)
    return changes


def reset(
    panel: ControlPanel,
    device: Device,
    name: str | None,
    *,
    power_line: str,
    record: Record,
    store: Store[presets.Presets],
) -> list[ControlChange]:
    """Set one control of `device`, or every one (`name` None), to what it is without a preset; forget the preset.

    That is the camera's default, and of the power line frequency what the settings say (`power_line`). What the
    camera refuses is in the answer, with a `problem`. Raises UsageError for a name that is none, and StateError.
    """
    controls = panel.controls()
    chosen = [named(controls, name)] if name is not None else list(controls.values())
    presets.forget(store, device.id, None if name is None else [chosen[0].name])
    governors = {control.governor for control in controls.values()}
    changes: list[ControlChange] = []
    # What an automatic mode governs comes before it: afterwards the mode may be on again.
    for control in sorted(chosen, key=lambda control: control.name in governors):
        value = _without_preset(controls, control, power_line)
        if value is not None and control.can_be_kept and not control.inactive:
            changes += _set_back(panel, control, value)
    for one in changes:
        _tell(record, device, one, is_kept=False)
    return changes


def _without_preset(controls: Controls, control: Control, power_line: str) -> Value | None:
    if control.name == presets.POWER_LINE:
        value = presets.wanted(controls, {}, power_line).get(control.name)
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


def _tell(record: Record, device: Device, one: ControlChange, *, is_kept: bool) -> None:
    reason = f"{one} (was {one.before_text})" if one.problem is None else f"{one}: {one.problem}"
    level = Level.INFO if one.problem is None else Level.WARN
    detail = {"control": one.name, "before": one.before, "after": one.after, "kept": is_kept}
    record(device.id, Kind.CONTROL_CHANGED, reason, name=device.name, level=level, **detail)
