"""What every ControlPanel of a webcam does: run with the real one in the guest, with the fake one on the host."""

from collections.abc import Callable
from typing import Protocol

import pytest

from config.errors import ControlRefused
from devices.controls.control import ControlKind, is_manual
from devices.controls.panel import ControlPanel


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
