"""The packets that are not known to be safe yet, from a keyframe on: what a further file has to begin with.

Bounded: when a disk takes nothing for so long that the bound is reached, the oldest pictures go, up to the next
keyframe, and what is missing then is told when the further file begins.
"""

from collections.abc import Sequence
from fractions import Fraction

from recorder.kept_packets import MOST_BYTES, KeptPackets
from recorder.packet import RUN_IN, EncodedPacket, Track, TrackId


class Backlog:
    """Takes packets in media time; not safe from several threads at once."""

    def __init__(self, tracks: Sequence[TrackId], most_bytes: int = MOST_BYTES) -> None:
        self._kept = KeptPackets(Track.VIDEO if Track.VIDEO in tracks else tracks[0])
        self._most_bytes = most_bytes

    def add(self, packet: EncodedPacket) -> None:
        """Take a packet."""
        self._kept.add(packet)
        while self._kept.bytes > self._most_bytes and (second := self._kept.keyframes()[1:2]):
            self._kept.begin_at(second[0])

    def begin_anew(self) -> None:
        """Forget the pictures: those that follow are of another form."""
        self._kept.forget_leaders()

    def confirm(self, safe_s: float) -> None:
        """Forget what is before the last keyframe that is safe, every track of it, up to `safe_s` seconds."""
        leaders = self._kept.leaders
        if safe := [index for index in self._kept.keyframes() if leaders[index].begins <= safe_s]:
            self._kept.begin_at(safe[-1])

    @property
    def start(self) -> Fraction:
        """The media time of its first keyframe, seconds; 0 while there is none."""
        return next((packet.begins for packet in self._kept.leaders if packet.is_keyframe), Fraction(0))

    @property
    def packets(self) -> list[EncodedPacket]:
        """Everything from the first keyframe on, each track in its order."""
        first = next((index for index, packet in enumerate(self._kept.leaders) if packet.is_keyframe), 0)
        start = self.start - RUN_IN
        others = [packet for packet in self._kept.others if packet.begins >= start]
        return [*list(self._kept.leaders)[first:], *others]
