"""What is to be made of a recording when it is sealed, kept in `begun.json`: who seals need not have the settings."""

from collections.abc import Mapping

import msgspec

SLIDES_FOLDER = "data/slides"
"""Where the pictures of slides are in a package."""


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a picture: its left upper corner and its size, all of them from 0 to 1."""

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0


class SlidesView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a layout shows slides, and what lies over them."""

    area: Area = Area()
    covered: tuple[Area, ...] = ()


class SlideWishes(msgspec.Struct, frozen=True, kw_only=True):
    """Where slides are to be found, and what is to be made of them (config/settings/schema.py).

    `inputs` are called so in the session's log. `isolated` are the stems of files that hold slides and nothing else.
    `views` has each layout of the program that shows them, `layout` is the one that it begins with.
    """

    inputs: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    layout: str = ""
    views: Mapping[str, SlidesView] = {}
    least_s: float = 5.0
    languages: tuple[str, ...] = ()
    text_s: float = 0.0


class ReportWishes(msgspec.Struct, frozen=True, kw_only=True):
    """How the session's report looks (config/settings/schema.py), and its attachments; `logo` is a file of this PC."""

    pdf: bool = True
    address: tuple[str, ...] = ()
    logo: str = ""
    signers: tuple[str, ...] = ()


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What is made of a recording when it is sealed; nothing of what is None. `language` is `id` or `en`."""

    language: str = "id"
    slides: SlideWishes | None = None
    report: ReportWishes | None = None


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/derived.json`: how many slides were found and how many read, and what could not be made, and why.

    `language` and `report` are how the report looks, so that it can be made again.
    """

    slides: int = 0
    slides_read: int = 0
    language: str = "id"
    report: ReportWishes | None = None
    problems: tuple[str, ...] = ()
