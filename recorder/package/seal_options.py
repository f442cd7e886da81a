"""The derived files to make when a session is sealed. `begun.json` has them, so sealing needs no settings."""

from collections.abc import Mapping

import msgspec

SLIDES_FOLDER = "data/slides"  # the folder of slide images in a package


class FrameArea(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a frame: left upper corner and size, from 0 to 1."""

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0


class SlidesView(msgspec.Struct, frozen=True, kw_only=True):
    """The area of slides in a layout, and the areas that cover it."""

    area: FrameArea = FrameArea()
    covered: tuple[FrameArea, ...] = ()


class SlideOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Slides to find, and their texts to read (config/settings/schema.py).

    `inputs` are subjects in the session's log. `isolated` are stems of iso files with slides only. `views` are the
    program's layouts with slides, `layout` is the first one shown.
    """

    inputs: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    layout: str = ""
    views: Mapping[str, SlidesView] = {}
    least_s: float = 5.0
    languages: tuple[str, ...] = ()
    text_s: float = 0.0


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The look of the session's report (config/settings/schema.py); `logo` is a file on this PC."""

    pdf: bool = True
    address: tuple[str, ...] = ()
    logo: str = ""
    signers: tuple[str, ...] = ()


class SealOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The derived files to make; None for none of a kind. `language` is `id` or `en`."""

    language: str = "id"
    slides: SlideOptions | None = None
    report: ReportOptions | None = None


class DerivedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/derived.json`: slides, slides with text, failures, and options to make the report again."""

    slides: int = 0
    slides_read: int = 0
    language: str = "id"
    report: ReportOptions | None = None
    problems: tuple[str, ...] = ()
