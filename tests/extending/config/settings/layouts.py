"""Inputs below each other, an entry of LAYOUT_KINDS."""

from config.settings.layouts import _GAP, Box, LayoutInputs, LayoutKind, nearest_even


def _stacked(asked: LayoutInputs) -> list[Box]:
    """Rows of equal height."""
    gap, count = nearest_even(_GAP * asked.height), len(asked.shapes)
    height = (asked.height - (count - 1) * gap) // count & ~1
    return [(0, number * (height + gap), asked.width, height) for number in range(count)]


LAYOUT_KINDS = {
    "stacked": LayoutKind(3, ("Bersusun", "Stacked"), _stacked),
}
