"""A camera's controls without a kernel, and the contract that they and the rig's webcam pass."""

from collections.abc import Callable
from typing import Protocol

import msgspec
import pytest

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


class Bench(Protocol):
    """A webcam to be tested: its panel, and ways to make it refuse a control and to read what it has really got."""

    @property
    def panel(self) -> ControlPanel: ...

    def refuse(self, name: str) -> None: ...

    def held(self, name: str) -> str: ...


def every_control_says_what_it_takes_and_what_it_is(bench: Bench) -> None:
    controls = bench.panel.controls()
    brightness = controls["brightness"]
    assert (brightness.kind, brightness.minimum, brightness.maximum) == (ControlKind.INTEGER, 0, 255)
    assert (brightness.step, brightness.default, brightness.value, brightness.inactive) == (1, 128, 128, False)
    line = controls["power_line_frequency"]
    assert (line.kind, line.value, line.entries) == (ControlKind.MENU, 2, {0: "Disabled", 1: "50 Hz", 2: "60 Hz"})
    exposure = controls["auto_exposure"]
    assert exposure.entries == {1: "Manual Mode", 3: "Aperture Priority Mode"}
    balance = controls["white_balance_automatic"]
    assert (balance.kind, balance.value) == (ControlKind.BOOLEAN, True)
    pan = controls["pan_absolute"]
    assert (pan.minimum, pan.maximum, pan.step, pan.value) == (-36000, 36000, 3600, 0)


def what_is_set_is_what_the_camera_has(bench: Bench) -> None:
    panel = bench.panel
    for name, value, held in (
        ("brightness", 77, "77"),
        ("power_line_frequency", 1, "1"),
        ("pan_absolute", -7200, "-7200"),
        ("zoom_absolute", 500, "500"),
        ("white_balance_automatic", False, "0"),
    ):
        assert panel.set(panel.controls()[name], value) == value
        assert panel.controls()[name].value == value
        assert bench.held(name) == held


def an_automatic_mode_governs_until_it_is_off(bench: Bench) -> None:
    panel = bench.panel
    for name, governor, manual, value in (
        ("focus_absolute", "focus_automatic_continuous", False, 30),
        ("exposure_time_absolute", "auto_exposure", 1, 200),
        ("white_balance_temperature", "white_balance_automatic", False, 5000),
    ):
        control = panel.controls()[name]
        assert (control.inactive, control.governor) == (True, governor)
        with pytest.raises(ControlRefused, match=f"refuses {name}="):
            panel.set(control, value)
        panel.set(panel.controls()[governor], manual)
        assert is_manual(control, {governor: manual})
        assert not panel.controls()[name].inactive
        assert panel.set(panel.controls()[name], value) == value


def what_the_camera_refuses_stays_as_it_was(bench: Bench) -> None:
    panel = bench.panel
    bench.refuse("brightness")
    with pytest.raises(ControlRefused, match="refuses brightness=99"):
        panel.set(panel.controls()["brightness"], 99)
    assert panel.controls()["brightness"].value == 128
    assert panel.set(panel.controls()["zoom_absolute"], 200) == 200


CONTRACT: list[Callable[[Bench], None]] = [
    every_control_says_what_it_takes_and_what_it_is,
    what_is_set_is_what_the_camera_has,
    an_automatic_mode_governs_until_it_is_off,
    what_the_camera_refuses_stays_as_it_was,
]
