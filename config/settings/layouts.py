"""What can be set of the program's picture: which layouts there are, and what lies over it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from config.settings import kinds
from config.settings.layout_kinds import KINDS, SINGLE

CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


class LayoutSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One layout: its kind, the inputs it shows (by role, name or number), where and how large the small one is."""

    kind: Annotated[str, kinds.choice(tuple(KINDS))]
    show: Annotated[tuple[str, ...], kinds.WORDS] = ()
    corner: Annotated[str, kinds.choice(CORNERS)] = "bottom-right"
    size: Annotated[float, kinds.part(0.1, 0.5)] = 0.25

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        most = KINDS[self.kind].most
        if len(self.show) > most:
            yield "show", f'must name at most {most} {"input" if most == 1 else "inputs"} in a "{self.kind}" layout'
        if len(set(self.show)) < len(self.show):
            yield "show", "must not name an input twice"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The layout a session begins with, and what lies over every picture: the session's title, a logo."""

    layout: Annotated[str, kinds.TEXT] = SINGLE
    title_line: Annotated[bool, kinds.SWITCH] = False
    logo: Annotated[Path | None, kinds.FILE_PATH] = None
    logo_corner: Annotated[str, kinds.choice(CORNERS)] = "top-right"
    logo_size: Annotated[float, kinds.part(0.02, 0.5)] = 0.1


BUILT_IN_LAYOUTS: Mapping[str, LayoutSettings] = {kind: LayoutSettings(kind=kind) for kind in KINDS}
