"""What was found of an encoder in hardware."""

import msgspec

from recorder.hardware.failure import Reason
from recorder.hardware.kinds import Kind


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of an encoder; `reason` is None where it may be used.

    `psnr_db`: how alike what it made is, of the plane that is least so. `held`: how many pictures went in before the
    first came out. `speed`: seconds of pictures it makes in a second.
    """

    kind: Kind
    reason: Reason | None = None
    detail: str = ""
    psnr_db: float | None = None
    held: int | None = None
    speed: float | None = None
    bit_rate: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether a session may use it."""
        return self.reason is None
