"""A camera's controls without a kernel: what the rig's webcam has, obeying tests/support/control_contract.py."""

import msgspec

from config.errors import ControlRefused, DeviceNotFound
from devices.controls.control import Control, ControlKind, Controls, ControlValue, is_manual
from devices.controls.panel import ControlPanel

LINES = {0: "Disabled", 1: "50 Hz", 2: "60 Hz"}
EXPOSURES = {1: "Manual Mode", 3: "Aperture Priority Mode"}


def number(name: str, span: tuple[int, int, int], default: int, governor: str | None = None, *manual: int) -> Control:
    title = name.replace("_", " ").title()
    return Control(
        id=hash(name), name=name, title=title, kind=ControlKind.INTEGER, minimum=span[0], maximum=span[1],
        step=span[2], default=default, governor=governor, manual=manual,
    )  # fmt: skip


def menu(name: str, entries: dict[int, str], default: int) -> Control:
    span = (min(entries), max(entries), 1)
    return msgspec.structs.replace(number(name, span, default), kind=ControlKind.MENU, entries=entries)


def switch(name: str, default: bool) -> Control:
    return msgspec.structs.replace(number(name, (0, 1, 1), 0), kind=ControlKind.BOOLEAN, default=default)


WEBCAM = (
    number("brightness", (0, 255, 1), 128),
    switch("white_balance_automatic", True),
    menu("power_line_frequency", LINES, 2),
    number("white_balance_temperature", (2800, 6500, 10), 4000, "white_balance_automatic", 0),
    menu("auto_exposure", EXPOSURES, 3),
    number("exposure_time_absolute", (3, 2047, 1), 250, "auto_exposure", 1, 2),
    number("pan_absolute", (-36000, 36000, 3600), 0),
    number("focus_absolute", (0, 250, 5), 0, "focus_automatic_continuous", 0),
    switch("focus_automatic_continuous", True),
    number("zoom_absolute", (100, 500, 1), 100),
)


class FakeCamera(ControlPanel):
    """One in memory. `refused` names controls that it refuses to set; `gone` is that it was unplugged."""

    def __init__(self, *controls: Control) -> None:
        self.parts = {control.name: control for control in controls or WEBCAM}
        self.refused = ""
        self.gone = False
        self.set_so_far: list[str] = []
        self.power_on()

    def power_on(self) -> None:
        """Forget what was set, as cameras do."""
        self.values = {name: control.default for name, control in self.parts.items()}

    def controls(self) -> Controls:
        self._check_there()
        return {
            name: msgspec.structs.replace(
                control, value=self.values[name], inactive=control.inactive or not is_manual(control, self.values)
            )
            for name, control in self.parts.items()
        }

    def set(self, control: Control, value: ControlValue) -> ControlValue:
        self._check_there()
        if control.name == self.refused or not is_manual(control, self.values):
            raise ControlRefused(f"the camera refuses {control.name}={control.show(value)}: it says no")
        self.set_so_far.append(control.name)
        self.values[control.name] = value
        return value

    def _check_there(self) -> None:
        if self.gone:
            raise DeviceNotFound("the camera is not there any more")
