"""A camera's controls (brightness, focus, zoom) and their values."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from config.settings.quantities import NotAllowed
from config.settings.value_kinds import did_you_mean

type ControlValue = bool | int | str  # bool of switches, int of numbers and menus (the entry's number), str of texts

_SWITCH = dict.fromkeys(("1", "true", "on", "yes"), True) | dict.fromkeys(("0", "false", "off", "no"), False)


class ControlKind(StrEnum):
    INTEGER = "integer"
    BOOLEAN = "boolean"
    MENU = "menu"
    INTEGER_MENU = "integer-menu"
    BITMASK = "bitmask"
    STRING = "string"
    BUTTON = "button"


class Control(msgspec.Struct, frozen=True, kw_only=True, rename={"minimum": "min", "maximum": "max"}):
    """One control of a node as it is now.

    `name` is V4L2's title in v4l2-ctl's spelling (`power_line_frequency`). `minimum`, `maximum` and `step` bound a
    number or a text's length; a bitmask has all its bits in `maximum`. `entries` are a menu's, by number. `value` is
    None if it cannot be read. An `inactive` control ignores values while the control called `governor` has none of the
    values `manual`; both are empty without such a rule in V4L2.
    """

    id: int
    name: str
    title: str
    kind: ControlKind
    minimum: int = 0
    maximum: int = 0
    step: int = 1
    default: ControlValue | None = None
    value: ControlValue | None = None
    entries: dict[int, str] = {}
    read_only: bool = False
    inactive: bool = False
    volatile: bool = False
    governor: str | None = None
    manual: tuple[int, ...] = ()

    def show(self, value: ControlValue | None) -> str:
        """Return `value` as text that `read` understands: an entry's name, "on" or "off"."""
        if value is None:
            return "?"
        if self.kind is ControlKind.BOOLEAN:
            return "on" if value else "off"
        if self.kind is ControlKind.BITMASK and isinstance(value, int):
            return f"{value:#x}"
        return self.entries.get(value, str(value)) if isinstance(value, int) else value

    @property
    def allowed(self) -> str:
        """The allowed values, to follow "must be"."""
        if self.kind is ControlKind.BOOLEAN:
            return "on or off"
        if self.entries:
            return "one of " + ", ".join(self.entries.values())
        if self.kind is ControlKind.BITMASK:
            return f"a sum of bits of {self.maximum:#x}"
        steps = f" in steps of {self.step}" if self.step > 1 else ""
        if self.kind is ControlKind.STRING:
            return f"a text of {self.minimum} to {self.maximum} characters{steps}"
        return "pressed with 1" if self.kind is ControlKind.BUTTON else f"from {self.minimum} to {self.maximum}{steps}"

    def read(self, text: str) -> ControlValue:
        """Parse `text`. Raises NotAllowed with the allowed values."""
        if self.kind is ControlKind.STRING:
            return self.check(text)
        if self.kind is ControlKind.BOOLEAN:
            return self.check(_SWITCH.get(text.strip().lower(), text))
        if self.entries:
            return self._entry(text)
        try:
            number = int(text, 0)
        except ValueError:
            raise NotAllowed(f"must be {self.allowed}") from None
        return self.check(number)

    def _entry(self, text: str) -> int:
        """Return the number of a menu entry, given by its name, in v4l2-ctl's spelling, or by number."""
        for number, name in self.entries.items():
            if slug(text) == slug(name):
                return number
        if text.strip().isdecimal() and int(text) in self.entries:
            return int(text)
        raise NotAllowed(f"must be {self.allowed}{did_you_mean(text, self.entries.values())}")

    def check(self, value: ControlValue) -> ControlValue:
        """Return `value`. Raises NotAllowed with the allowed values."""
        if self._takes(value):
            return value
        nearest = ", ".join(map(str, self._nearest(value)))
        raise NotAllowed(f"must be {self.allowed}" + (f"; near {value} are {nearest}" if nearest else ""))

    def _takes(self, value: ControlValue) -> bool:
        if self.kind is ControlKind.BOOLEAN:
            return isinstance(value, bool)
        if self.kind is ControlKind.STRING:
            return isinstance(value, str) and self._is_in_range(len(value.encode()))
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        if self.kind is ControlKind.BUTTON:
            return value == 1
        if self.kind is ControlKind.BITMASK:
            return value >= 0 and value & ~self.maximum == 0
        return value in self.entries if self.entries else self._is_in_range(value)

    def _is_in_range(self, number: int) -> bool:
        return self.minimum <= number <= self.maximum and (number - self.minimum) % self.step == 0

    def _nearest(self, value: ControlValue) -> Iterator[int]:
        if self.kind is not ControlKind.INTEGER or isinstance(value, str | bool):
            return
        if self.minimum <= value <= self.maximum:
            below = value - (value - self.minimum) % self.step
            yield from (near for near in (below, below + self.step) if near <= self.maximum)

    @property
    def can_be_kept(self) -> bool:
        """Whether its value can be restored later."""
        return not self.read_only and self.kind is not ControlKind.BUTTON


type Controls = Mapping[str, Control]  # the controls of one node by name, in V4L2's order


def slug(title: str) -> str:
    """Return a title in v4l2-ctl's spelling: "White Balance, Automatic" is white_balance_automatic."""
    return re.sub(r"[^0-9a-z]+", "_", title.lower()).strip("_")


def is_manual(control: Control, governing: Mapping[str, ControlValue | None]) -> bool:
    """Return whether people set `control` under the values `governing` (by name), not an automatic mode."""
    if control.governor is None or control.governor not in governing:
        return True
    return governing[control.governor] in control.manual
