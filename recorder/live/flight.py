"""Packets that were taken for the network and are not reported as sent: how long they play, and how slowly they go."""

from collections import deque

from recorder.packet import EncodedPacket, Track

MEASURE_S = 2.0
UNKNOWN_SLOWNESS, MOST_SLOWNESS = 1.0, 3.0
"""How much longer sending is taken to last than playing: where nothing moves, and at most."""
MOVED_WITHIN_S = 1.0
"""A way on which nothing has moved for longer is taken for dead, which is seen elsewhere, and not for slow."""


class Flight:
    """What is in flight on one connection, in the order it was taken. Between two packets may be what was dropped."""

    def __init__(self) -> None:
        self.packets: deque[EncodedPacket] = deque()
        self._gaps: deque[tuple[float, float]] = deque()
        """Of what was dropped: the time of what was taken next, and how long it is."""
        self._last_video_s: float | None = None
        self._skipped_s = self._sent_s = self._moved_s = 0.0
        self._measured: tuple[float, float] | None = None
        self._slowness = self._slowness_before = 0.0

    def add(self, packet: EncodedPacket, *, has_gap: bool) -> None:
        """Take note of a packet that was taken; `has_gap` where something was dropped between it and the one before."""
        self.packets.append(packet)
        if has_gap and self._last_video_s is not None:
            self._gaps.append((packet.dts_s, packet.dts_s - self._last_video_s))
        if packet.track == Track.VIDEO:
            self._last_video_s = packet.dts_s

    def sent(self, up_to_s: float, newest_s: float) -> None:
        """Take note of what was sent, when the session was at `newest_s`, both in seconds of the session."""
        while self.packets and self.packets[0].dts_s <= up_to_s:
            self.packets.popleft()
        while self._gaps and self._gaps[0][0] <= up_to_s:
            self._skipped_s += self._gaps.popleft()[1]
        sent_s = up_to_s - self._skipped_s
        if sent_s > self._sent_s:
            self._sent_s, self._moved_s = sent_s, newest_s
        self._measure(sent_s, newest_s)

    @property
    def begins_s(self) -> float | None:
        """The time of the first packet after what was dropped last; None where nothing is in flight."""
        if self._gaps:
            return self._gaps[-1][0]
        return self.packets[0].dts_s if self.packets else None

    @property
    def plays_s(self) -> float:
        """How long what is in flight plays."""
        if not self.packets:
            return 0.0
        first_s, last_s = self.packets[0].dts_s, self.packets[-1].dts_s
        return max(0.0, last_s - first_s - sum(gap_s for after_s, gap_s in self._gaps if after_s > first_s))

    def lasts_s(self, newest_s: float) -> float:
        """Return how long it will take until all of it is sent, as far as that is known at `newest_s`."""
        if newest_s - self._moved_s > MOVED_WITHIN_S:
            return self.plays_s
        # A narrow way is no even one: what takes turns to be slow is taken for as slow as it was.
        return (1.0 + max(self._slowness, self._slowness_before)) * self.plays_s

    def _measure(self, sent_s: float, newest_s: float) -> None:
        """Measure how much longer it takes to send something than to play it, every MEASURE_S of the session."""
        if self._measured is None:
            self._measured = newest_s, sent_s
            return
        passed_s, sent_in_s = newest_s - self._measured[0], sent_s - self._measured[1]
        if passed_s >= MEASURE_S:
            slowness = passed_s / sent_in_s - 1.0 if sent_in_s > 0 else UNKNOWN_SLOWNESS
            self._slowness_before, self._slowness = self._slowness, min(MOST_SLOWNESS, max(0.0, slowness))
            self._measured = newest_s, sent_s
