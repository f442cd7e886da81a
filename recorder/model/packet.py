"""What the encoder makes and every sink takes: one encoded packet, owned, immutable, cheap to share."""

from collections import deque
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


MOST_BYTES = 64_000_000
"""Of packets in memory: half a minute of 16 Mb/s, more than a minute of 1080p60."""


class KeptPackets:
    """Pictures and their sound, not thread-safe. `leading` is the track at whose keyframes a file can begin."""

    def __init__(self, leading: TrackId = Track.VIDEO) -> None:
        self.leaders: deque[EncodedPacket] = deque()
        self.others: deque[EncodedPacket] = deque()
        """Packets of all other tracks: each is in order, and they are within a second or so of each other."""
        self.bytes = 0
        self._leading = leading

    def add(self, packet: EncodedPacket) -> None:
        """Keep a packet."""
        (self.leaders if packet.track == self._leading else self.others).append(packet)
        self.bytes += len(packet.data)

    def keyframes(self) -> list[int]:
        """Return the places of keyframes among `leaders`."""
        return [index for index, packet in enumerate(self.leaders) if packet.is_keyframe]

    def second_keyframe(self) -> int | None:
        """Return the place of the first keyframe that is not the first of all packets, None where there is none."""
        return next((index for index, packet in enumerate(self.leaders) if index and packet.is_keyframe), None)

    def begin_at(self, index: int) -> None:
        """Forget all packets before a keyframe; of the other tracks RUN_IN before it stays."""
        for _ in range(index):
            self._drop(self.leaders)
        begin = self.leaders[0].begins - RUN_IN
        while self.others and self.others[0].ends <= begin:
            self._drop(self.others)

    def forget_leaders(self) -> None:
        """Forget the pictures: no file could begin with them and go on with what follows."""
        while self.leaders:
            self._drop(self.leaders)

    def drop_to(self, most_bytes: int) -> None:
        """Forget the oldest pictures, up to the next keyframe, as often as more than `most_bytes` are kept."""
        while self.bytes > most_bytes and (second := self.keyframes()[1:2]):
            self.begin_at(second[0])

    def confirm(self, safe_s: float) -> None:
        """Forget all before the last keyframe that is safe, every track of it, up to `safe_s` seconds."""
        if safe := [index for index in self.keyframes() if self.leaders[index].begins <= safe_s]:
            self.begin_at(safe[-1])

    @property
    def start(self) -> Fraction:
        """The time of the first keyframe, seconds; 0 while there is none."""
        return next((packet.begins for packet in self.leaders if packet.is_keyframe), Fraction(0))

    def from_the_start(self) -> list[EncodedPacket]:
        """Return everything from the first keyframe on, each track in its order."""
        return self.from_leader(next(iter(self.keyframes()), 0))

    def from_leader(self, first: int) -> list[EncodedPacket]:
        """Return pictures from number `first` on, and of the other tracks all that belongs to them."""
        begin = (self.leaders[first].begins if self.leaders else Fraction(0)) - RUN_IN
        return [*list(self.leaders)[first:], *(packet for packet in self.others if packet.ends > begin)]

    def clear(self) -> None:
        """Forget everything."""
        self.leaders.clear()
        self.others.clear()
        self.bytes = 0

    def _drop(self, packets: deque[EncodedPacket]) -> None:
        self.bytes -= len(packets.popleft().data)

    @property
    def seconds(self) -> Fraction:
        """How long the pictures are that are kept, up to the last one."""
        return self.leaders[-1].begins - self.leaders[0].begins if self.leaders else Fraction(0)
