"""What can be set of the report of a session: whether it is made, what stands at its head, and who signs it."""

from pathlib import Path
from typing import Annotated

import msgspec

from config import kinds


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The report of each session, and what goes with it: the thumbnails sheet, the levels.

    Its head has the office, the lines of `address` and a `logo` (PNG or JPEG). `signers` are the functions of those who
    sign it, at most three. `pdf`: whether it is also made a PDF.
    """

    made: Annotated[bool, kinds.SWITCH] = True
    pdf: Annotated[bool, kinds.SWITCH] = True
    address: Annotated[tuple[str, ...], kinds.WORDS] = ()
    logo: Annotated[Path | None, kinds.FILE_PATH] = None
    signers: Annotated[tuple[str, ...], kinds.WORDS] = ("Koordinator PKIH", "Staf Humas")
