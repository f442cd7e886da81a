"""The form of a recording's picture, which changes where its encoder has to be replaced: no file can hold two of them.

From the keyframe on at which it changes, packets belong into other files than before. Sound is cut there too, by its
own times: it may come earlier than the pictures, or later.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from av.stream import Stream

from recorder.packet import RUN_IN, EncodedPacket, Track, TrackId

type Templates = Mapping[TrackId, Stream]


class Forms:
    """Follows the packets of a session; not safe from several threads at once."""

    def __init__(self, form: int, tracks: Iterable[TrackId], templates_of: Callable[[int], Templates] | None) -> None:
        """`templates_of` says the templates of another form, where there may be any."""
        self.now = form
        """The form that the picture has."""
        self.templates_of = templates_of
        self._others = frozenset(tracks) - {Track.VIDEO}
        self._start = Fraction(0)
        self._behind: set[TrackId] = set()

    def changes_with(self, packet: EncodedPacket) -> bool:
        """Whether the picture has another form from a packet on; take note of it."""
        if packet.track != Track.VIDEO or packet.form == self.now or self.templates_of is None:
            return False
        self.now = packet.form
        self._start = packet.begins
        self._behind = set(self._others)
        return True

    def belongs(self, packet: EncodedPacket, form: int) -> bool:
        """Whether a packet belongs into a file of that form."""
        if packet.track == Track.VIDEO:
            return packet.form == form
        return packet.ends > self._start - RUN_IN if form == self.now else packet.begins < self._start

    def caught_up_with(self, packet: EncodedPacket) -> bool:
        """Whether a packet is the one with which nothing is to come any more that belongs into files of before."""
        if packet.track not in self._behind or packet.begins < self._start:
            return False
        self._behind.discard(packet.track)
        return not self._behind

    @property
    def has_caught_up(self) -> bool:
        """Whether nothing is to come any more that belongs into files of before."""
        return not self._behind
