"""Rectangles of a picture and layouts of several inputs in it, in pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from config.errors import UsageError
from config.settings.kinds import did_you_mean
from config.settings.layouts import KINDS, Asked, LayoutSettings, Shape, even


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


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of the settings, by its name."""

    name: str
    settings: LayoutSettings

    def places(
        self, width: int, height: int, sources: Sequence[str], shapes: Mapping[str, Shape] | None = None
    ) -> dict[str, Rect]:
        """Return the places of those of `sources` (roles or names, in the order asked for) shown, lowest first.

        Fewer inputs than places fill the picture. An inset has the shape of its input in `shapes`, else that of the
        picture. Raises UsageError where the layout names an input that is not among them.
        """
        shown = self.shown(sources)
        whole = Rect(0, 0, width, height)
        if len(shown) < 2:
            return dict.fromkeys(shown, whole)
        known = shapes or {}
        its_shapes = [known.get(source, whole.size) for source in shown]
        asked = Asked(width, height, its_shapes, self.settings.corner, self.settings.size)
        boxes = KINDS[self.settings.kind].arrange(asked)
        return {source: Rect(*box) for source, box in zip(shown, boxes, strict=True)}

    def shown(self, sources: Sequence[str]) -> list[str]:
        """Return which of `sources` are shown, the large one first; raises UsageError for names that are not there."""
        named = self.named(sources)
        others = [source for source in sources if source not in named]
        kind = KINDS[self.settings.kind]
        # Without filling up, those that are named, and no others.
        wanted = len(named) if self.settings.show and not kind.fills_up else kind.most
        return [*named, *others][:wanted]

    def named(self, sources: Sequence[str]) -> list[str]:
        """Return which of `sources` its `show` names; raises UsageError for names that are not there."""
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
        raise UsageError(
            f'the layout "{self.name}" shows "{word}", which is no input of this session{did_you_mean(word, sources)}',
            hint=f"its inputs are {_listed(sources)}",
        )


def _listed(sources: Iterable[str]) -> str:
    return ", ".join(f"{number} {source}" for number, source in enumerate(sources, 1)) or "none"
