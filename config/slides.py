"""What can be set of slides: whose changes become chapters when a recording is sealed, and whether they are read."""

from typing import Annotated

import msgspec

from config import kinds


class SlideSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which `inputs` show slides, by role or name; no chapter is shorter than `least_s` seconds.

    With `text` what stands on them is read by tesseract, in `languages` by its own codes, for at most `text_s` seconds
    of a sealing.
    """

    chapters: Annotated[bool, kinds.SWITCH] = True
    inputs: Annotated[tuple[str, ...], kinds.WORDS] = ("slides",)
    least_s: Annotated[float, kinds.seconds(4, 3600)] = 5.0
    text: Annotated[bool, kinds.SWITCH] = True
    languages: Annotated[tuple[str, ...], kinds.WORDS] = ("ind", "eng")
    text_s: Annotated[float, kinds.seconds(0, 3600)] = 120.0
