"""What can be set of the program's picture: which layouts there are, and what lies over it.

A layout has places, the large one first; `show` names what goes into them, in that order: an input by its role or
name, or by its number (1 is the first that was asked for). Places that nothing is named for take the other inputs in
their order.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from config.kinds import Choice, FilePath, Part, Switch, Text, Words

SINGLE, PIP, SIDE_BY_SIDE, SPEAKER_SLIDES = "single", "pip", "side-by-side", "speaker-slides"
MOST_PLACES: Mapping[str, int] = {SINGLE: 1, PIP: 2, SIDE_BY_SIDE: 4, SPEAKER_SLIDES: 2}
"""The kinds of layout, each with how many inputs it can show."""
CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


class LayoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One layout: its kind, which inputs it shows, and where and how large the small one is (a part of the width)."""

    kind: Annotated[str, Choice(tuple(MOST_PLACES))]
    show: Annotated[tuple[str, ...], Words()] = ()
    corner: Annotated[str, Choice(CORNERS)] = "bottom-right"
    size: Annotated[float, Part(0.1, 0.5)] = 0.25

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        most = MOST_PLACES[self.kind]
        if len(self.show) > most:
            yield "show", f'must name at most {most} {"input" if most == 1 else "inputs"} in a "{self.kind}" layout'
        if len(set(self.show)) < len(self.show):
            yield "show", "must not name an input twice"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The layout a session begins with, and what lies over every picture: the session's title, a logo."""

    layout: Annotated[str, Text()] = SINGLE
    title_line: Annotated[bool, Switch()] = False
    logo: Annotated[Path | None, FilePath()] = None
    logo_corner: Annotated[str, Choice(CORNERS)] = "top-right"
    logo_size: Annotated[float, Part(0.02, 0.5)] = 0.1


BUILT_IN_LAYOUTS: Mapping[str, LayoutSettings] = {
    "single": LayoutSettings(kind=SINGLE),
    "pip": LayoutSettings(kind=PIP),
    "side-by-side": LayoutSettings(kind=SIDE_BY_SIDE),
    "speaker-slides": LayoutSettings(kind=SPEAKER_SLIDES),
}
