"""The controls of a UVC camera: brightness, focus and the like, with their ranges, as GET_MIN to SET_CUR see them.

Like those of real cameras they forget what was set when the power goes, and what an automatic mode governs is
refused while that mode is on.
"""

import dataclasses
import struct
from collections.abc import Sequence

from tests.rig.usbip_device import Setup, Stall

INPUT_ID, PROCESSING_ID = 1, 2
SET_CUR, GET_CUR, GET_MIN, GET_MAX, GET_RES, GET_LEN, GET_INFO, GET_DEF = 0x01, *range(0x81, 0x88)
REQUEST_ERROR = 2  # selector of the interface itself: why the last request was refused
WRONG_STATE, OUT_OF_RANGE, INVALID_CONTROL, INVALID_REQUEST = 2, 4, 6, 7
CAN_BE_READ, CAN_BE_SET, DISABLED_BY_AUTO, UPDATES_ITSELF = 1, 2, 4, 8


@dataclasses.dataclass(frozen=True)
class UvcControl:
    """One control: where it is (entity, selector, bit of bmControls), and its values as `layout` (struct) packs them.

    `governor` names the control that has to hold one of `manual` before this one can be set.
    """

    name: str
    entity: int
    selector: int
    bit: int
    layout: str
    least: tuple[int, ...]
    most: tuple[int, ...]
    step: tuple[int, ...]
    default: tuple[int, ...]
    governor: str = ""
    manual: tuple[int, ...] = (0,)

    def pack(self, values: tuple[int, ...]) -> bytes:
        """Return values as they go over the wire."""
        return struct.pack(f"<{self.layout}", *values)


def _unit(name: str, selector: int, bit: int, layout: str, values: Sequence[int], governor: str = "") -> UvcControl:
    least, most, step, default = ((value,) for value in values)
    return UvcControl(name, PROCESSING_ID, selector, bit, layout, least, most, step, default, governor)


CARD_CONTROLS = (
    _unit("brightness", 2, 0, "h", (0, 255, 1, 128)),
    _unit("contrast", 3, 1, "H", (0, 255, 1, 32)),
    _unit("saturation", 7, 3, "H", (0, 255, 1, 64)),
)
"""What a capture stick offers."""

CAMERA_CONTROLS = (
    *CARD_CONTROLS,
    _unit("gain", 4, 9, "H", (0, 255, 1, 0)),
    _unit("power_line_frequency", 5, 10, "B", (0, 2, 1, 2)),  # off, 50 Hz, 60 Hz
    _unit("white_balance_temperature_auto", 0x0B, 12, "B", (0, 1, 1, 1)),
    _unit("white_balance_temperature", 0x0A, 6, "H", (2800, 6500, 10, 4000), "white_balance_temperature_auto"),
    _unit("backlight_compensation", 1, 8, "H", (0, 1, 1, 0)),
    # Bits: 1 manual, 8 aperture priority (which people call automatic); GET_RES says which of them there are.
    UvcControl("auto_exposure", INPUT_ID, 2, 1, "B", (1,), (8,), (1 | 8,), (8,)),
    UvcControl("exposure_time", INPUT_ID, 4, 3, "I", (3,), (2047,), (1,), (250,), "auto_exposure", (1, 4)),
    UvcControl("focus_auto", INPUT_ID, 8, 17, "B", (0,), (1,), (1,), (1,)),
    UvcControl("focus", INPUT_ID, 6, 5, "H", (0,), (250,), (5,), (0,), "focus_auto"),
    UvcControl("zoom", INPUT_ID, 0x0B, 9, "H", (100,), (500,), (1,), (100,)),
    UvcControl("pan_tilt", INPUT_ID, 0x0D, 11, "ii", (-36000, -36000), (36000, 36000), (3600, 3600), (0, 0)),
)
"""What a webcam with focus, zoom and pan offers."""


class ControlBank:
    """The values of one device's controls; its attributes inject faults, each by a control's name.

    stalls      refuses every SET_CUR of it
    unreadable  refuses GET_DEF of it, as some cameras do of controls that they announce and do not have
    """

    def __init__(self, controls: Sequence[UvcControl]) -> None:
        self.controls = {control.name: control for control in controls}
        self.stalls = ""
        self.unreadable = ""
        self.times_set = 0  # SET_CUR that were obeyed
        self._error = 0
        self.power_on()

    def power_on(self) -> None:
        """Forget what was set."""
        self._values = {name: control.default for name, control in self.controls.items()}

    def __getattr__(self, name: str) -> str:
        """Return the value of the control `name` as text: `get controls.brightness`."""
        if name.startswith("_") or name not in self._values:
            raise AttributeError(name)
        return ",".join(map(str, self._values[name]))

    def bits(self, entity: int) -> int:
        """Return bmControls of an entity."""
        return sum(1 << control.bit for control in self.controls.values() if control.entity == entity)

    def request(self, setup: Setup, data: bytes) -> bytes:
        """Answer a request to an entity of the control interface, or raise Stall."""
        selector, entity = setup.value >> 8, setup.index >> 8
        if (entity, selector) == (0, REQUEST_ERROR):
            return bytes([self._error])
        found = [c for c in self.controls.values() if (c.entity, c.selector) == (entity, selector)]
        if not found:
            raise self._refused(INVALID_CONTROL)
        self._error = 0
        return self._set(found[0], data) if setup.request == SET_CUR else self._get(found[0], setup.request)

    def _refused(self, reason: int) -> Stall:
        self._error = reason
        return Stall()

    def _is_governed(self, control: UvcControl) -> bool:
        return bool(control.governor) and self._values[control.governor][0] not in control.manual

    def _set(self, control: UvcControl, data: bytes) -> bytes:
        values = struct.unpack(f"<{control.layout}", data)
        if control.name == self.stalls:
            raise Stall
        if self._is_governed(control):
            raise self._refused(WRONG_STATE)
        ranges = zip(control.least, values, control.most, strict=True)
        if not all(least <= value <= most for least, value, most in ranges):
            raise self._refused(OUT_OF_RANGE)
        self._values[control.name] = values
        self.times_set += 1
        return b""

    def _get(self, control: UvcControl, request: int) -> bytes:
        if request == GET_INFO:
            governed = UPDATES_ITSELF | (DISABLED_BY_AUTO if self._is_governed(control) else 0)
            return bytes([CAN_BE_READ | CAN_BE_SET | (governed if control.governor else 0)])
        if request == GET_LEN:
            return struct.calcsize(f"<{control.layout}").to_bytes(2, "little")
        if request == GET_DEF and control.name == self.unreadable:
            raise Stall
        answers = {
            GET_CUR: self._values[control.name], GET_MIN: control.least, GET_MAX: control.most, GET_RES: control.step,
            GET_DEF: control.default,
        }  # fmt: skip
        if request not in answers:
            raise self._refused(INVALID_REQUEST)
        return control.pack(answers[request])
