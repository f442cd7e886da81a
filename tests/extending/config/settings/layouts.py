"""Inputs below each other, for a screen that hangs upright, an entry of KINDS."""

from config.settings.layouts import _GAP, Asked, Box, LayoutKind, even


def _stacked(asked: Asked) -> list[Box]:
    """Rows of equal height."""
    gap, count = even(_GAP * asked.height), len(asked.shapes)
    height = (asked.height - (count - 1) * gap) // count & ~1
    return [(0, number * (height + gap), asked.width, height) for number in range(count)]


KINDS = {
    "stacked": LayoutKind(3, ("Bersusun", "Stacked"), _stacked),
}
