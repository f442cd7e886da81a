"""What was made of a recording at sealing, as its package says it."""

import msgspec

from recorder.archive.wishes import ReportWishes


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/derived.json`: how many slides were found and how many read, and what could not be made, and why.

    `language` and `report` are how the report looks, so that it can be made again.
    """

    slides: int = 0
    slides_read: int = 0
    language: str = "id"
    report: ReportWishes | None = None
    problems: tuple[str, ...] = ()
