"""Rectangles of a picture, in pixels, with even sides so that chroma of half the size follows them exactly."""

from collections.abc import Iterable
from dataclasses import dataclass

from config.settings.layout_kinds import even


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a picture: its left upper corner and its size. All four are even; ValueError if they are not."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if (self.x | self.y | self.width | self.height) & 1 or min(self.x, self.y, self.width, self.height) < 0:
            raise ValueError(f"a rectangle of even sides was expected, not {self}")

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row beyond it."""
        return self.y + self.height

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    def __bool__(self) -> bool:
        return self.width > 0 and self.height > 0

    def covers(self, other: "Rect") -> bool:
        """Whether all of `other` is within it."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

    def common(self, other: "Rect") -> "Rect":
        """Return the part that both cover; one without pixels where there is none."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rect(x, y, max(0, right - x), max(0, bottom - y))

    def around(self, other: "Rect") -> "Rect":
        """Return the smallest rectangle that covers both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Rect(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def of_plane(self, number: int) -> tuple[slice, slice]:
        """Return its rows and columns in plane `number` (0 is luma) of a 4:2:0 picture."""
        shift = 1 if number else 0
        return slice(self.y >> shift, self.bottom >> shift), slice(self.x >> shift, self.right >> shift)

    def moved(self, x: int, y: int) -> "Rect":
        """Return it as seen from a corner at (x, y)."""
        return Rect(self.x - x, self.y - y, self.width, self.height)


def letterboxed(width: int, height: int, place: Rect) -> Rect:
    """Return the largest centred part of `place` of the shape `width` x `height`; all of it if they hardly differ."""
    across = min(place.width, max(2, even(place.height * width / height)))
    down = min(place.height, max(2, even(place.width * height / width)))
    if place.width - across <= _NEARLY * place.width and place.height - down <= _NEARLY * place.height:
        return place
    return Rect(place.x + _half(place.width - across), place.y + _half(place.height - down), across, down)


_NEARLY = 0.01
"""A hundredth of stretching is not seen; a black line is."""


def _half(length: int) -> int:
    return length // 2 & ~1


def disjoint(rects: Iterable[Rect]) -> list[Rect]:
    """Return rectangles that cover all of `rects` and do not overlap: what overlaps is put into one around both."""
    found: list[Rect] = []
    for rect in rects:
        added = rect
        while touching := next((one for one in found if one.common(added)), None):
            found.remove(touching)
            added = added.around(touching)
        if added:
            found.append(added)
    return found
