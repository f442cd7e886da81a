"""The packets that are not known to be safe yet, from a keyframe on: what a further file has to begin with.

Bounded: when a disk takes nothing for so long that the bound is reached, the oldest pictures go, up to the next
keyframe, and what is missing then is told when the further file begins.
"""

from collections import deque
from collections.abc import Sequence
from fractions import Fraction

from recorder.packet import RUN_IN, EncodedPacket, Track, TrackId

MOST_BYTES = 64_000_000
"""More than a minute of 1080p60."""


class Backlog:
    """Takes packets in media time; not safe from several threads at once."""

    def __init__(self, tracks: Sequence[TrackId], most_bytes: int = MOST_BYTES) -> None:
        self._leading = Track.VIDEO if Track.VIDEO in tracks else tracks[0]
        self._most_bytes = most_bytes
        self._leaders: deque[EncodedPacket] = deque()
        self._others: deque[EncodedPacket] = deque()
        self._bytes = 0

    def add(self, packet: EncodedPacket) -> None:
        """Take a packet."""
        (self._leaders if packet.track == self._leading else self._others).append(packet)
        self._bytes += len(packet.data)
        while self._bytes > self._most_bytes and (second := self._keyframes()[1:2]):
            self._begin_at(second[0])

    def begin_anew(self) -> None:
        """Forget the pictures: those that follow are of another form."""
        while self._leaders:
            self._bytes -= len(self._leaders.popleft().data)

    def confirm(self, safe_s: float) -> None:
        """Forget what is before the last keyframe that is safe, every track of it, up to `safe_s` seconds."""
        safe = [index for index in self._keyframes() if _time(self._leaders[index]) <= safe_s]
        if safe:
            self._begin_at(safe[-1])

    def _keyframes(self) -> list[int]:
        return [index for index, packet in enumerate(self._leaders) if packet.is_keyframe]

    def _begin_at(self, index: int) -> None:
        for _ in range(index):
            self._bytes -= len(self._leaders.popleft().data)
        begin = self.start - RUN_IN
        # Of several tracks of sound, each is in order, and they are within a second or so of each other.
        while self._others and _time(self._others[0]) + self._others[0].duration * self._others[0].time_base <= begin:
            self._bytes -= len(self._others.popleft().data)

    @property
    def start(self) -> Fraction:
        """The media time of its first keyframe, seconds; 0 while there is none."""
        return next((_time(packet) for packet in self._leaders if packet.is_keyframe), Fraction(0))

    @property
    def packets(self) -> list[EncodedPacket]:
        """Everything from the first keyframe on, each track in its order."""
        first = next((index for index, packet in enumerate(self._leaders) if packet.is_keyframe), 0)
        start = self.start - RUN_IN
        others = [packet for packet in self._others if _time(packet) >= start]
        return [*list(self._leaders)[first:], *others]


def _time(packet: EncodedPacket) -> Fraction:
    return packet.pts * packet.time_base
