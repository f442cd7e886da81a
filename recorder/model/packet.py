"""Encoded packets: immutable, shared by all sinks. `PacketBacklog` keeps them until they are in a file on disk."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction


class Track(StrEnum):
    VIDEO = "video"
    AUDIO = "audio"


PROGRAM_TRACKS = frozenset(Track)
AUDIO_RUN_IN = Fraction(1, 20)  # seconds of sound before a start: an AAC decoder needs a frame or two to settle

type TrackId = str  # a Track, or the name of another sound track for the recording only (`sound_track`)


def sound_track(name: str) -> TrackId:
    """Return the track of the sound input `name`, recorded beside the program's mix."""
    return f"sound:{name}"


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One H.264 access unit or AAC frame; times count `time_base` seconds from the start of the session.

    `dts` never falls within a track. It may start a little below 0 (B-frames, AAC priming). `duration` reaches to the
    next packet of the track in decoding order. A new `form` begins with a keyframe and other parameter sets.
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
        """Presentation time in seconds."""
        return self.pts * self.time_base

    @property
    def ends(self) -> Fraction:
        """Presentation time plus `duration`, in seconds."""
        return (self.pts + self.duration) * self.time_base

    @property
    def ends_s(self) -> float:
        """`ends` as a float, without a fraction: the recorder reads it for each packet."""
        return (self.pts + self.duration) * self.time_base.numerator / self.time_base.denominator

    @property
    def dts_s(self) -> float:
        """Decoding time in seconds."""
        return self.dts * self.time_base.numerator / self.time_base.denominator


@dataclass(frozen=True, slots=True)
class DiskProgress:
    """The file after the last fdatasync: bytes and media seconds of its whole fragments."""

    bytes: int = 0
    media_time_s: float = 0.0


MOST_PACKET_BYTES = 64_000_000  # half a minute of 16 Mb/s, or more than a minute of 1080p60


class PacketBacklog:
    """Packets in memory, dropped in groups that begin at keyframes of the `leading` track. Not thread-safe."""

    def __init__(self, leading: TrackId = Track.VIDEO) -> None:
        self.leaders: deque[EncodedPacket] = deque()
        self.others: deque[EncodedPacket] = deque()
        """Packets of the other tracks, within a second or so of each other."""
        self.bytes = 0
        self._leading = leading

    def add(self, packet: EncodedPacket) -> None:
        (self.leaders if packet.track == self._leading else self.others).append(packet)
        self.bytes += len(packet.data)

    def keyframes(self) -> list[int]:
        """Return the indexes of keyframes in `leaders`."""
        return [index for index, packet in enumerate(self.leaders) if packet.is_keyframe]

    def second_keyframe(self) -> int | None:
        """Return the index of the first keyframe after the first packet; None if there is none."""
        return next((index for index, packet in enumerate(self.leaders) if index and packet.is_keyframe), None)

    def begin_at(self, index: int) -> None:
        """Drop all packets before the keyframe at `index`. AUDIO_RUN_IN of the other tracks before it stays."""
        for _ in range(index):
            self._drop(self.leaders)
        begin = self.leaders[0].begins - AUDIO_RUN_IN
        while self.others and self.others[0].ends <= begin:
            self._drop(self.others)

    def forget_leaders(self) -> None:
        """Drop the leading track: no file could begin with it and continue with the next packets."""
        while self.leaders:
            self._drop(self.leaders)

    def drop_to(self, most_bytes: int) -> None:
        """Drop the oldest groups until `most_bytes` remain."""
        while self.bytes > most_bytes and (second := self.keyframes()[1:2]):
            self.begin_at(second[0])

    def confirm(self, safe_s: float) -> None:
        """Drop all packets before the last keyframe up to `safe_s` seconds."""
        if safe := [index for index in self.keyframes() if self.leaders[index].begins <= safe_s]:
            self.begin_at(safe[-1])

    @property
    def start(self) -> Fraction:
        """The time of the first keyframe in seconds; 0 without one."""
        return next((packet.begins for packet in self.leaders if packet.is_keyframe), Fraction(0))

    def from_the_start(self) -> list[EncodedPacket]:
        """Return all packets from the first keyframe on, each track in order."""
        return self.from_leader(next(iter(self.keyframes()), 0))

    def from_leader(self, first: int) -> list[EncodedPacket]:
        """Return leading packets from index `first` on, and the packets of the other tracks from there."""
        begin = (self.leaders[first].begins if self.leaders else Fraction(0)) - AUDIO_RUN_IN
        return [*list(self.leaders)[first:], *(packet for packet in self.others if packet.ends > begin)]

    def clear(self) -> None:
        self.leaders.clear()
        self.others.clear()
        self.bytes = 0

    def _drop(self, packets: deque[EncodedPacket]) -> None:
        self.bytes -= len(packets.popleft().data)

    @property
    def seconds(self) -> Fraction:
        """Seconds from the first to the last leading packet."""
        return self.leaders[-1].begins - self.leaders[0].begins if self.leaders else Fraction(0)
