"""Packets on their way to one live destination: bounded, started at a keyframe, never in the way of the encoder."""

import threading
from collections import deque
from collections.abc import Iterable

from recorder.model.packet import EncodedPacket, Track

LONGEST_S = 6.0
"""How far a destination may fall behind the session before what it missed is dropped."""
MEASURE_S = 2.0
UNKNOWN_SLOWNESS, MOST_SLOWNESS = 1.0, 3.0
"""How much longer sending is taken to last than playing: where nothing moves, and at most."""
MOVED_WITHIN_S = 1.0
"""A way on which nothing has moved for longer is taken for dead, which is seen elsewhere, and not for slow."""


class PacketQueue:
    """The newest packets that have not reached the network yet, at most LONGEST_S seconds of them.

    What was taken and not reported as sent is in flight: it counts as waiting, and comes back (`put_back`) when the
    attempt that took it fails. What is in flight cannot be dropped; all that waits behind it can. On a link that is too
    slow it counts for as long as it will take to be sent, as far as that is known.

    What is taken first, and after every drop, belongs to a video keyframe and the time from it on (its sound may
    stand before it, as encoders hand video out later). When the queue grows too long, only what belongs to the
    newest keyframe stays; where that would be everything, all goes and the next keyframe starts anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packets: deque[EncodedPacket] = deque()
        self._flight = Flight()
        self._has_gap = False
        self._awaiting_keyframe = True
        self._started = False
        self._newest_s = 0.0
        self._dropped_frames = 0

    def put(self, packet: EncodedPacket) -> None:
        """Add a packet in the order of encoding; never waits for anything but a few microseconds of another thread."""
        with self._lock:
            self._newest_s = packet.dts_s
            if self._awaiting_keyframe and packet.track == Track.VIDEO:
                if not packet.is_keyframe:
                    self._dropped_frames += self._started
                    return
                self._begin_at(packet)
            self._packets.append(packet)
            if self._is_too_long():
                self._shorten()

    def take(self) -> EncodedPacket | None:
        """Return the oldest packet, which is in flight from now on, or None when there is none to send yet."""
        with self._lock:
            if not self._packets or self._awaiting_keyframe:
                return None
            packet = self._packets.popleft()
            self._flight.add(packet, has_gap=self._has_gap)
            self._has_gap = False
            return packet

    def sent(self, up_to_s: float) -> None:
        """Take note that the network has taken what was to be decoded up to `up_to_s`, in seconds of the session."""
        with self._lock:
            self._flight.sent(up_to_s, self._newest_s)

    def all_sent(self) -> None:
        """Take note that everything in flight has arrived."""
        with self._lock:
            self._flight = Flight()

    def put_back(self) -> None:
        """Return what is in flight, in its order: it did not reach anybody.

        What is held now either follows on from it or begins at a keyframe, so it belongs in front.
        """
        with self._lock:
            packets, self._flight = self._flight.packets, Flight()
            if self._awaiting_keyframe:
                self._count_dropped(packets)
            else:
                self._packets.extendleft(reversed(packets))
                if self._span_s() > LONGEST_S:
                    self._shorten()

    def start(self, *, at_newest: bool) -> EncodedPacket | None:
        """Make the queue begin at its oldest or its newest keyframe and return that, or None while there is none."""
        with self._lock:
            if self._awaiting_keyframe:
                return None
            keyframes = [packet for packet in self._packets if _is_start(packet)]
            if not keyframes:
                self._clear()
                return None
            keyframe = keyframes[-1 if at_newest else 0]
            self._keep_from(keyframe)
            return keyframe

    def keep_newest(self) -> None:
        """Give up what is older than the newest keyframe, or than the next, and count none of it: nobody misses it."""
        with self._lock:
            newest = next((packet for packet in reversed(self._packets) if _is_start(packet)), None)
            if newest is None and not self._awaiting_keyframe:
                self._packets.clear()
                self._awaiting_keyframe = True
            if self._awaiting_keyframe:
                self._started = False
            elif newest is not None:
                self._packets = deque(packet for packet in self._packets if packet.dts_s >= newest.dts_s)

    def clear(self) -> None:
        """Give up everything that is held and wait for the next keyframe."""
        with self._lock:
            self._clear()

    @property
    def dropped_frames(self) -> int:
        """How many video frames were given up since the first keyframe."""
        with self._lock:
            return self._dropped_frames

    @property
    def delay_s(self) -> float:
        """How many seconds the oldest packet that is held or in flight is behind the newest."""
        with self._lock:
            return self._delay_s()

    @property
    def last_taken(self) -> EncodedPacket | None:
        """What was taken last, if it is in flight."""
        with self._lock:
            return self._flight.packets[-1] if self._flight.packets else None

    def __len__(self) -> int:
        with self._lock:
            return len(self._packets)

    def _span_s(self) -> float:
        return max(0.0, self._newest_s - self._packets[0].dts_s) if self._packets else 0.0

    def _delay_s(self) -> float:
        span_s = self._span_s()  # sound in flight may be younger than the picture that waits behind it
        if self._flight.packets and not self._awaiting_keyframe:
            return max(span_s, self._newest_s - self._flight.packets[0].dts_s)
        return span_s

    def _is_too_long(self) -> bool:
        begins_s = self._flight.begins_s
        if begins_s is not None and not self._awaiting_keyframe and self._newest_s - begins_s > LONGEST_S:
            return True  # nothing moves
        return self._will_wait_s() > LONGEST_S

    def _will_wait_s(self) -> float:
        """Return how old what waits first will be when what is in flight has been sent."""
        return self._span_s() + self._flight.lasts_s(self._newest_s)

    def _begin_at(self, keyframe: EncodedPacket) -> None:
        self._awaiting_keyframe = False
        self._started = True
        self._keep_from(keyframe)

    def _shorten(self) -> None:
        if self._awaiting_keyframe:
            while self._span_s() > LONGEST_S:
                self._packets.popleft()
            return
        newest = next((packet for packet in reversed(self._packets) if _is_start(packet)), None)
        if newest is None:  # what waits follows on a keyframe that is in flight
            if self._will_wait_s() > LONGEST_S:
                self._clear()
            return
        if self._packets[0].dts_s < newest.dts_s:
            self._keep_from(newest)
        if self._span_s() > LONGEST_S:
            self._clear()

    def _keep_from(self, keyframe: EncodedPacket) -> None:
        """Drop what was encoded for the time before `keyframe`."""
        start = keyframe.dts_s
        self._count_dropped([packet for packet in self._packets if packet.dts_s < start])
        self._packets = deque(packet for packet in self._packets if packet.dts_s >= start)

    def _clear(self) -> None:
        self._count_dropped(self._packets)
        self._packets.clear()
        self._awaiting_keyframe = True

    def _count_dropped(self, packets: Iterable[EncodedPacket]) -> None:
        self._has_gap = True
        self._dropped_frames += sum(packet.track == Track.VIDEO for packet in packets)


def _is_start(packet: EncodedPacket) -> bool:
    return packet.track == Track.VIDEO and packet.is_keyframe


class Flight:
    """Packets that were taken and are not reported as sent: how long they play, and how slowly they go.

    They are in the order in which they were taken; between two of them may be what was dropped.
    """

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
