"""What records management says about every session of this room, in the words of the office's own schedule."""

from typing import Annotated

import msgspec

from config import kinds


class RecordsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in every package unless a session says otherwise; "" says nothing. Liput deletes nothing by it.

    `classification` is the code of the file plan (kode klasifikasi), `security` the security class,
    `retention_active` and `retention_inactive` how long it is kept, `disposition` what becomes of it then (nasib
    akhir).
    """

    classification: Annotated[str, kinds.TEXT] = ""
    security: Annotated[str, kinds.TEXT] = ""
    retention_active: Annotated[str, kinds.TEXT] = ""
    retention_inactive: Annotated[str, kinds.TEXT] = ""
    disposition: Annotated[str, kinds.TEXT] = ""
