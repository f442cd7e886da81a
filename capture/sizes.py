"""Pictures at the size they are needed: what decodes or converts them, kept for each size that is asked for."""

from collections.abc import Callable

from capture.pictures import fit

_MOST = 3
"""Sizes beside the whole one: a layout shows a source in one place, and a switch may show it in two for a moment."""


class BySize[T]:
    """Holds what `make(width, height)` gives, for the whole size at once, for smaller ones when they are asked for.

    Of the smaller ones the latest few are kept. `width` and `height` are the whole size.
    """

    def __init__(self, width: int, height: int, make: Callable[[int, int], T]) -> None:
        self.width = width
        self.height = height
        self._make = make
        self._whole = make(width, height)
        self._smaller: dict[tuple[int, int], T] = {}

    def get(self, within: tuple[int, int] | None = None) -> T:
        """Return what is for pictures that fit `within`, of the whole picture's shape and never larger than it."""
        if within is None:
            return self._whole
        size = fit(self.width, self.height, *within)
        if size == (self.width, self.height):
            return self._whole
        found = self._smaller.pop(size, None) or self._make(*size)
        self._smaller[size] = found  # the last one is the latest
        if len(self._smaller) > _MOST:
            del self._smaller[next(iter(self._smaller))]
        return found
