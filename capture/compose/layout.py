"""Layouts as arithmetic: which input goes where in a picture of a given size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capture.compose.geometry import Rect, even, in_corner
from config.errors import UsageError
from config.kinds import did_you_mean
from config.program import MOST_PLACES, PIP, SPEAKER_SLIDES, LayoutSettings

type Shape = tuple[int, int]
"""Width and height in pixels, or in proportion."""

_MARGIN = 0.03
"""From an inset to the picture's edge, as a part of its height."""
_GAP = 0.01
"""Between pictures that stand side by side, as a part of the width."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an input is shown. Its picture is letterboxed into the rectangle where its shape is another."""

    source: str
    rect: Rect


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of the settings, by its name."""

    name: str
    settings: LayoutSettings

    def places(
        self, width: int, height: int, sources: Sequence[str], shapes: Mapping[str, Shape] | None = None
    ) -> list[Place]:
        """Return where which of `sources` (roles or names, in the order they were asked for) is, from bottom to top.

        With fewer inputs than places, those that are there fill the picture. An inset takes the shape that its
        input has in `shapes`, else that of the picture, which is `width` x `height` (even). Raises UsageError where
        the layout names an input that is not among them.
        """
        shown = self.shown(sources)
        whole = Rect(0, 0, width, height)
        if len(shown) < 2:
            return [Place(source, whole) for source in shown]
        if self.settings.kind == PIP:
            inset = self._inset(whole, (shapes or {}).get(shown[1], whole.size))
            return [Place(shown[0], whole), Place(shown[1], inset)]
        return [Place(source, rect) for source, rect in zip(shown, self._columns(whole, len(shown)), strict=True)]

    def shown(self, sources: Sequence[str]) -> list[str]:
        """Return which of `sources` are shown, the large one first; raises UsageError for names that are not there."""
        named = self.named(sources)
        others = [source for source in sources if source not in named]
        wanted = MOST_PLACES[self.settings.kind]
        if self.settings.show and self.settings.kind not in (PIP, SPEAKER_SLIDES):
            wanted = len(named)  # those that are named, and no others
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

    def _inset(self, whole: Rect, shape: Shape) -> Rect:
        """Return the place of an inset: as high as one of the picture's own shape would be, and no wider."""
        most, high = self.settings.size * whole.width, self.settings.size * whole.height
        wide = min(most, high * shape[0] / shape[1])
        size = max(2, even(wide)), max(2, even(wide * shape[1] / shape[0]))
        return Rect(*in_corner(self.settings.corner, size, whole.size, even(_MARGIN * whole.height)), *size)

    def _columns(self, whole: Rect, count: int) -> list[Rect]:
        """Return `count` columns of equal width, or for speaker and slides a wide and a narrow one."""
        gap = even(_GAP * whole.width)
        if self.settings.kind != SPEAKER_SLIDES:
            width = (whole.width - (count - 1) * gap) // count & ~1
            return [Rect(number * (width + gap), 0, width, whole.height) for number in range(count)]
        narrow = even(self.settings.size * whole.width)
        wide = whole.width - narrow - gap
        if self.settings.corner.endswith("left"):
            return [Rect(narrow + gap, 0, wide, whole.height), Rect(0, 0, narrow, whole.height)]
        return [Rect(0, 0, wide, whole.height), Rect(wide + gap, 0, narrow, whole.height)]


def _listed(sources: Iterable[str]) -> str:
    return ", ".join(f"{number} {source}" for number, source in enumerate(sources, 1)) or "none"
