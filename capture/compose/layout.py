"""Rectangles of a frame, in pixels, and layouts of several inputs in it.

All sides are even, so that chroma of half the size follows them exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.errors import UsageError
from config.settings.layouts import LAYOUT_KINDS, LayoutInputs, LayoutSettings, Shape, nearest_even
from config.settings.value_kinds import did_you_mean


@dataclass(frozen=True, slots=True)
class Rect:
    """A part of a frame: its upper left corner and its size. Raises ValueError unless all four are even."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if (self.x | self.y | self.width | self.height) & 1 or min(self.x, self.y, self.width, self.height) < 0:
            raise ValueError(f"a rectangle of even sides was expected, not {self}")

    @property
    def right(self) -> int:
        """The first column to the right of it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.y + self.height

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def __bool__(self) -> bool:
        return self.width > 0 and self.height > 0

    def covers(self, other: "Rect") -> bool:
        """Return whether `other` lies within it."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom

    def common(self, other: "Rect") -> "Rect":
        """Return the intersection, which may be empty (False)."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rect(x, y, max(0, right - x), max(0, bottom - y))

    def around(self, other: "Rect") -> "Rect":
        """Return the smallest rectangle that covers both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Rect(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)

    def plane_slices(self, number: int) -> tuple[slice, slice]:
        """Return its rows and columns in plane `number` (0 is luma) of a 4:2:0 frame."""
        shift = 1 if number else 0
        return slice(self.y >> shift, self.bottom >> shift), slice(self.x >> shift, self.right >> shift)

    def moved(self, x: int, y: int) -> "Rect":
        """Return it relative to a corner at (x, y)."""
        return Rect(self.x - x, self.y - y, self.width, self.height)


def letterbox(width: int, height: int, place: Rect) -> Rect:
    """Return the largest centred part of `place` in the shape `width` x `height`; all of it below 1 % difference."""
    across = min(place.width, max(2, nearest_even(place.height * width / height)))
    down = min(place.height, max(2, nearest_even(place.width * height / width)))
    if place.width - across <= _NEARLY * place.width and place.height - down <= _NEARLY * place.height:
        return place
    return Rect(place.x + _half(place.width - across), place.y + _half(place.height - down), across, down)


_NEARLY = 0.01  # stretching by 1 % is invisible; a black line is not


def _half(length: int) -> int:
    return length // 2 & ~1


def merge_overlapping(rects: Iterable[Rect]) -> list[Rect]:
    """Return rectangles that cover `rects` and do not overlap; overlapping ones become their common bounding box."""
    found: list[Rect] = []
    for rect in rects:
        added = rect
        while touching := next((one for one in found if one.common(added)), None):
            found.remove(touching)
            added = added.around(touching)
        if added:
            found.append(added)
    return found


@dataclass(frozen=True, slots=True)
class Layout:
    name: str
    settings: LayoutSettings

    def places(
        self, width: int, height: int, sources: Sequence[str], shapes: Mapping[str, Shape] | None = None
    ) -> dict[str, Rect]:
        """Return the place of each shown source (role or name), lowest first; `sources` are in the requested order.

        Fewer inputs than places fill the frame. An inset takes its input's shape from `shapes`, else the frame's.
        Raises UsageError if the layout names an unknown input.
        """
        shown = self.shown(sources)
        whole = Rect(0, 0, width, height)
        if len(shown) < 2:
            return dict.fromkeys(shown, whole)
        known = shapes or {}
        its_shapes = [known.get(source, whole.size) for source in shown]
        asked = LayoutInputs(width, height, its_shapes, self.settings.corner, self.settings.size)
        boxes = LAYOUT_KINDS[self.settings.kind].arrange(asked)
        return {source: Rect(*box) for source, box in zip(shown, boxes, strict=True)}

    def shown(self, sources: Sequence[str]) -> list[str]:
        """Return the shown `sources`, the large one first; raises UsageError for an unknown name."""
        named = self.named(sources)
        others = [source for source in sources if source not in named]
        kind = LAYOUT_KINDS[self.settings.kind]
        # A kind that does not fill up shows the named inputs only.
        wanted = len(named) if self.settings.show and not kind.fills_up else kind.most
        return [*named, *others][:wanted]

    def named(self, sources: Sequence[str]) -> list[str]:
        """Return the `sources` that `show` names; raises UsageError for an unknown name."""
        named = [self._source(word, sources) for word in self.settings.show]
        if len(set(named)) < len(named):
            raise UsageError(
                f'the layout "{self.name}" shows an input twice', hint=f"check `show` in [layouts.{self.name}]"
            )
        return named

    def _source(self, word: str, sources: Sequence[str]) -> str:
        by_name = {source.lower(): source for source in sources}
        if (found := by_name.get(word.lower())) is not None:
            return found
        if word.isdecimal() and 1 <= int(word) <= len(sources):
            return sources[int(word) - 1]
        listed = ", ".join(f"{number} {source}" for number, source in enumerate(sources, 1)) or "none"
        raise UsageError(
            f'the layout "{self.name}" shows "{word}", which is no input of this session{did_you_mean(word, sources)}',
            hint=f"its inputs are {listed}",
        )
