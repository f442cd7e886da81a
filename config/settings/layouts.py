"""The layouts of the program's picture: kinds, their geometry, settings, title line and logo."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from config.settings import value_kinds

type Shape = tuple[int, int]  # width and height in pixels, or in proportion
type Box = tuple[int, int, int, int]
"""A part of a picture: x and y of its upper left corner, width and height, in pixels, all even."""

_MARGIN = 0.03  # between an inset and the picture's edge, as a fraction of its height
_GAP = 0.01  # between pictures side by side, as a fraction of the width; one above the other, of the height


class LayoutInputs(NamedTuple):
    """At least two inputs of `shapes`, the large one first, for a picture of `width` x `height` (even).

    The small one is in `corner` ("top-left"), and at most `size` wide, as a fraction of the width.
    """

    width: int
    height: int
    shapes: Sequence[Shape]
    corner: str
    size: float


@dataclass(frozen=True, slots=True)
class LayoutKind:
    """One kind of layout.

    `most` is the number of inputs it can show. `arrange` returns a box for each, from bottom to top; one input alone
    fills the picture without it. With `fills_up`, unnamed inputs take free places. `title` is the page's name for it,
    in each language of config.locale.lookup.WRITTEN.
    """

    most: int
    title: tuple[str, str]
    arrange: Callable[[LayoutInputs], list[Box]]
    fills_up: bool = False


def nearest_even(length: float) -> int:
    return 2 * round(length / 2)


def corner_position(corner: str, size: Shape, picture: Shape, margin: int) -> tuple[int, int]:
    """Return the upper left corner of a box of `size`, `margin` pixels from the edges in `corner`."""
    vertical, horizontal = corner.split("-")
    x = margin if horizontal == "left" else picture[0] - size[0] - margin
    y = margin if vertical == "top" else picture[1] - size[1] - margin
    # A small picture has a smaller margin.
    return max(0, min(x, picture[0] - size[0]) & ~1), max(0, min(y, picture[1] - size[1]) & ~1)


def _pip(asked: LayoutInputs) -> list[Box]:
    """Return the full picture, and an inset of at most `size` of its width and of its height."""
    across, down = asked.shapes[1]
    wide = min(asked.size * asked.width, asked.size * asked.height * across / down)
    size = max(2, nearest_even(wide)), max(2, nearest_even(wide * down / across))
    x, y = corner_position(asked.corner, size, (asked.width, asked.height), nearest_even(_MARGIN * asked.height))
    return [(0, 0, asked.width, asked.height), (x, y, *size)]


def _side_by_side(asked: LayoutInputs) -> list[Box]:
    gap, count = nearest_even(_GAP * asked.width), len(asked.shapes)
    width = (asked.width - (count - 1) * gap) // count & ~1
    return [(number * (width + gap), 0, width, asked.height) for number in range(count)]


def _speaker_slides(asked: LayoutInputs) -> list[Box]:
    gap, narrow = nearest_even(_GAP * asked.width), nearest_even(asked.size * asked.width)
    wide = asked.width - narrow - gap
    if asked.corner.endswith("left"):
        return [(narrow + gap, 0, wide, asked.height), (0, 0, narrow, asked.height)]
    return [(0, 0, wide, asked.height), (wide + gap, 0, narrow, asked.height)]


SINGLE = "single"
LAYOUT_KINDS: Mapping[str, LayoutKind] = {
    SINGLE: LayoutKind(1, ("Satu gambar", "One picture"), lambda asked: [(0, 0, asked.width, asked.height)]),
    "pip": LayoutKind(2, ("Gambar dalam gambar", "Picture in picture"), _pip, fills_up=True),
    "side-by-side": LayoutKind(4, ("Berdampingan", "Side by side"), _side_by_side),
    "speaker-slides": LayoutKind(2, ("Pembicara dan slide", "Speaker and slides"), _speaker_slides, fills_up=True),
}
"""By name in the settings. Each is also a built-in layout of that name."""


CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


class LayoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One layout: its kind, its inputs (by role, name or number), corner and size of the small one."""

    kind: Annotated[str, value_kinds.choice(tuple(LAYOUT_KINDS))]
    show: Annotated[tuple[str, ...], value_kinds.WORDS] = ()
    corner: Annotated[str, value_kinds.choice(CORNERS)] = "bottom-right"
    size: Annotated[float, value_kinds.fraction(0.1, 0.5)] = 0.25

    def problems(self) -> Iterator[tuple[str, str]]:
        most = LAYOUT_KINDS[self.kind].most
        if len(self.show) > most:
            yield "show", f'must name at most {most} {"input" if most == 1 else "inputs"} in a "{self.kind}" layout'
        if len(set(self.show)) < len(self.show):
            yield "show", "must not name an input twice"


class ProgramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The layout at the start of a session, whether a card mutes the sound, and the overlays: title and logo."""

    layout: Annotated[str, value_kinds.TEXT] = SINGLE
    card_mutes: Annotated[bool, value_kinds.SWITCH] = True
    title_line: Annotated[bool, value_kinds.SWITCH] = False
    logo: Annotated[Path | None, value_kinds.FILE_PATH] = None
    logo_corner: Annotated[str, value_kinds.choice(CORNERS)] = "top-right"
    logo_size: Annotated[float, value_kinds.fraction(0.02, 0.5)] = 0.1


BUILT_IN_LAYOUTS: Mapping[str, LayoutSettings] = {kind: LayoutSettings(kind=kind) for kind in LAYOUT_KINDS}
