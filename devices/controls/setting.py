"""Changes several controls in a working order: all of them or none."""

from collections.abc import Iterator, Mapping

import msgspec

from config.errors import ControlRefused, UsageError
from config.settings.quantities import NotAllowed
from config.settings.value_kinds import did_you_mean
from devices.controls.control import Control, Controls, ControlValue, is_manual
from devices.controls.panel import ControlPanel


class ControlChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a control from `before` to `after`; with a `problem`, it failed."""

    name: str
    before: ControlValue | None
    after: ControlValue
    before_text: str
    after_text: str
    problem: str | None = None

    def __str__(self) -> str:
        return f"{self.name}={self.after_text}"


def parse_values(controls: Controls, texts: Mapping[str, str]) -> dict[str, ControlValue]:
    """Parse `texts` (by control name) and check that all can be set together.

    Raises UsageError with the remedy: for an unknown name, a value out of range, a read-only control, or a control that
    an automatic mode sets.
    """
    wanted: dict[str, ControlValue] = {}
    for name, text in texts.items():
        control = find_control(controls, name)
        if control.read_only:
            raise UsageError(f"{control.name} can only be read: it is {control.show(control.value)}")
        try:
            wanted[control.name] = control.read(text)
        except NotAllowed as error:
            raise UsageError(f"{control.name} {error}") from None
    for name in wanted:
        _check_governor(controls, controls[name], wanted)
    return wanted


def find_control(controls: Controls, name: str) -> Control:
    """Return the control called `name`. Raises UsageError with the nearest name."""
    word = name.strip().lower().replace("-", "_")
    if word in controls:
        return controls[word]
    containing = [f'"{known}"' for known in controls if word and word in known]
    nearest = f"; did you mean {' or '.join(containing)}?" if containing else did_you_mean(word, controls)
    raise UsageError(f'there is no control "{name}"{nearest}', hint=f"it has {', '.join(controls) or 'no controls'}")


def _check_governor(controls: Controls, control: Control, wanted: Mapping[str, ControlValue]) -> None:
    """Raise UsageError if an automatic mode would still set `control` after `wanted`."""
    governor = controls.get(control.governor or "")
    if governor is None:
        if control.inactive:
            raise UsageError(f"{control.name} cannot be set now: another of the camera's settings has switched it off")
        return
    is_inactive = control.inactive or governor.name in wanted
    governing = wanted.get(governor.name, governor.value)
    if is_inactive and not is_manual(control, {governor.name: governing}):
        raise UsageError(
            f"{control.name} is set by the camera itself while {governor.name} is {governor.show(governing)}",
            hint=f'set both: "{governor.name}={manual_text(control, governor)}" "{control.name}=..."',
        )


def manual_text(control: Control, governor: Control) -> str:
    """Return the value of `governor` that leaves `control` to people."""
    offered = [value for value in control.manual if not governor.entries or value in governor.entries]
    value = offered[0] if offered else 0
    return governor.show(bool(value) if isinstance(governor.value, bool) else value)


def in_order(controls: Controls, wanted: Mapping[str, ControlValue]) -> list[str]:
    """Return the names in `wanted` in a working order: automatic modes before the controls they govern."""
    governors = {controls[name].governor for name in wanted if name in controls}
    return sorted(wanted, key=lambda name: name not in governors)


def set_all(panel: ControlPanel, controls: Controls, wanted: Mapping[str, ControlValue]) -> list[ControlChange]:
    """Set `wanted` of `plan`; return the changes. A refusal undoes the earlier ones and raises ControlRefused."""
    done: list[ControlChange] = []
    for name in in_order(controls, wanted):
        try:
            done += set_one(panel, controls[name], wanted[name])
        except ControlRefused as error:
            put_back = list(_put_back(panel, controls, done))
            left = ", ".join(str(change) for change in done if change.name not in put_back)
            hint = f"These controls could not be restored: {left}" if left else "Nothing was changed."
            raise ControlRefused(error.message, hint=hint) from error
    return done


def set_one(panel: ControlPanel, control: Control, value: ControlValue) -> list[ControlChange]:
    """Set one control unless it has that value; return the change, if any. Raises DeviceError."""
    if control.value is not None and control.value == value:
        return []
    return [describe_change(control, panel.set(control, value))]


def describe_change(control: Control, value: ControlValue, problem: str | None = None) -> ControlChange:
    """Describe a change of `control` to `value`, or its failure."""
    return ControlChange(
        name=control.name,
        before=control.value,
        after=value,
        before_text=control.show(control.value),
        after_text=control.show(value),
        problem=problem,
    )


def _put_back(panel: ControlPanel, controls: Controls, done: list[ControlChange]) -> Iterator[str]:
    for change in reversed(done):
        if change.before is None:
            continue
        try:
            panel.set(controls[change.name], change.before)
        except ControlRefused:
            continue
        yield change.name
