"""What can be set of the report of a session: whether it is made, what stands at its head, and who signs it."""

from pathlib import Path
from typing import Annotated

import msgspec

from config.kinds import FilePath, Switch, Words


class ReportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The report of each session, and what goes with it: the thumbnails sheet, the levels.

    Its head has the office, the lines of `address` and a `logo` (PNG or JPEG). `signers` are the functions of those who
    sign it, at most three. `pdf`: whether it is also made a PDF.
    """

    made: Annotated[bool, Switch()] = True
    pdf: Annotated[bool, Switch()] = True
    address: Annotated[tuple[str, ...], Words()] = ()
    logo: Annotated[Path | None, FilePath()] = None
    signers: Annotated[tuple[str, ...], Words()] = ("Koordinator PKIH", "Staf Humas")
