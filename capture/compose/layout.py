"""Layouts as arithmetic: which input goes where in a picture of a given size."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from capture.compose.geometry import Rect
from config.errors import UsageError
from config.settings.kinds import did_you_mean
from config.settings.layout_kinds import KINDS, Asked, Shape
from config.settings.layouts import LayoutSettings


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
