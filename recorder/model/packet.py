"""What the encoder makes and every sink takes: one encoded packet, owned, immutable, cheap to share."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Track(StrEnum):
    """The program's own tracks, which every sink takes."""

    VIDEO = "video"
    AUDIO = "audio"


PROGRAM = frozenset(Track)
RUN_IN = Fraction(1, 20)
"""Seconds of sound before the beginning that go along: an AAC decoder needs a frame or two to come into swing."""

type TrackId = str
"""A Track, or the name of a further track of sound that the recording alone takes (`sound_track`)."""


def sound_track(name: str) -> TrackId:
    """Return the track of the sound input called `name`, kept apart beside the program's mix."""
    return f"sound:{name}"


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One H.264 access unit or AAC frame; times count `time_base` seconds from the start of the session.

    `dts` never goes back within a track and may be a little below 0 at the start (B-frames, AAC priming). `duration` is
    up to the next packet of the track in decoding order; of the last one, as long as it is shown. Packets of another
    `form` than those before them begin with a keyframe, and have other parameter sets.
    """

    track: TrackId
    data: bytes
    pts: int
    dts: int
    duration: int
    time_base: Fraction
    is_keyframe: bool
    form: int = 0

    @property
    def begins(self) -> Fraction:
        """When it is shown or heard, in seconds."""
        return self.pts * self.time_base

    @property
    def ends(self) -> Fraction:
        """When the next packet of its track is to be shown or heard, in seconds, as far as `duration` tells."""
        return (self.pts + self.duration) * self.time_base

    @property
    def ends_s(self) -> float:
        """The same as a number; asked of each packet, so no fraction is made."""
        return (self.pts + self.duration) * self.time_base.numerator / self.time_base.denominator

    @property
    def dts_s(self) -> float:
        """The decoding time in seconds."""
        return self.dts * self.time_base.numerator / self.time_base.denominator
