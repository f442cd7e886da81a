"""What the encoder makes and every sink takes: one encoded packet, owned, immutable, cheap to share."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Track(StrEnum):
    """The program's tracks."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One H.264 access unit or AAC frame; times count `time_base` seconds from the start of the session.

    `dts` never goes back within a track and may be a little below 0 at the start (B-frames, AAC priming).
    """

    track: Track
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    is_keyframe: bool

    @property
    def dts_s(self) -> float:
        """The decoding time in seconds."""
        return float(self.dts * self.time_base)
