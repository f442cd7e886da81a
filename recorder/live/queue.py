"""The packet queue of one live destination: bounded, starts at a keyframe, never blocks the encoder."""

import threading
from collections import deque
from collections.abc import Iterable

from recorder.model.packet import EncodedPacket, Track

LONGEST_S = 6.0  # longest delay behind the session; beyond it packets are dropped
MEASURE_S = 2.0
UNKNOWN_SLOWNESS, MOST_SLOWNESS = 1.0, 3.0  # extra sending time per second of media: where nothing moves, and at most
MOVED_WITHIN_S = 1.0  # a link without progress for longer counts as dead, which Attempt handles, not as slow


class PacketQueue:
    """The newest unsent packets, at most LONGEST_S seconds of them. Thread-safe.

    Packets that were taken and not reported as sent are in flight. They count as waiting, cannot be dropped, and return
    by `put_back` when their attempt fails. On a slow link they count by their expected sending time.

    At the start and after each drop, the first packet belongs to a video keyframe and the time from it on. Its audio
    may stand before it, since encoders deliver video later. A queue that grows too long keeps only packets of the
    newest keyframe; if those are all, it drops everything and waits for the next keyframe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packets: deque[EncodedPacket] = deque()
        self._flight = InFlightPackets()
        self._has_gap = False
        self._awaiting_keyframe = True
        self._started = False
        self._newest_s = 0.0
        self._dropped_frames = 0

    def put(self, packet: EncodedPacket) -> None:
        """Add a packet in encoding order; blocks for microseconds at most."""
        with self._lock:
            self._newest_s = packet.dts_s
            if self._awaiting_keyframe and packet.track == Track.VIDEO:
                if not packet.is_keyframe:
                    self._dropped_frames += self._started
                    return
                self._awaiting_keyframe, self._started = False, True
                self._keep_from(packet)
            self._packets.append(packet)
            if self._is_too_long():
                self._shorten()

    def take(self) -> EncodedPacket | None:
        """Return the oldest packet, which is then in flight; None when there is none to send."""
        with self._lock:
            if not self._packets or self._awaiting_keyframe:
                return None
            packet = self._packets.popleft()
            self._flight.add(packet, has_gap=self._has_gap)
            self._has_gap = False
            return packet

    def sent(self, up_to_s: float) -> None:
        """Mark packets as sent, up to the decoding time `up_to_s` in seconds of the session."""
        with self._lock:
            self._flight.sent(up_to_s, self._newest_s)

    def all_sent(self) -> None:
        """Mark all packets in flight as sent."""
        with self._lock:
            self._flight = InFlightPackets()

    def put_back(self) -> None:
        """Put the packets in flight back in front, since the attempt failed."""
        with self._lock:
            packets, self._flight = self._flight.packets, InFlightPackets()
            if self._awaiting_keyframe:
                self._count_dropped(packets)
            else:
                self._packets.extendleft(reversed(packets))
                if self._span_s() > LONGEST_S:
                    self._shorten()

    def start(self, *, at_newest: bool) -> EncodedPacket | None:
        """Cut the queue to its oldest or newest keyframe and return that, None while there is none."""
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
        """Discard packets before the newest keyframe, or before the next, without counting them: there is no viewer."""
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
        """Drop all waiting packets and wait for the next keyframe."""
        with self._lock:
            self._clear()

    @property
    def dropped_frames(self) -> int:
        """The video frames dropped since the first keyframe."""
        with self._lock:
            return self._dropped_frames

    @property
    def delay_s(self) -> float:
        """The delay of the oldest packet, waiting or in flight, behind the newest."""
        with self._lock:
            span_s = self._span_s()  # audio in flight may be younger than the video behind it
            if self._flight.packets and not self._awaiting_keyframe:
                return max(span_s, self._newest_s - self._flight.packets[0].dts_s)
            return span_s

    def __len__(self) -> int:
        with self._lock:
            return len(self._packets)

    def _span_s(self) -> float:
        return max(0.0, self._newest_s - self._packets[0].dts_s) if self._packets else 0.0

    def _is_too_long(self) -> bool:
        begins_s = self._flight.begins_s
        if begins_s is not None and not self._awaiting_keyframe and self._newest_s - begins_s > LONGEST_S:
            return True  # no progress
        return self._will_wait_s() > LONGEST_S

    def _will_wait_s(self) -> float:
        """Return the age of the first waiting packet when all in flight are sent."""
        return self._span_s() + self._flight.lasts_s(self._newest_s)

    def _shorten(self) -> None:
        if self._awaiting_keyframe:
            while self._span_s() > LONGEST_S:
                self._packets.popleft()
            return
        newest = next((packet for packet in reversed(self._packets) if _is_start(packet)), None)
        if newest is None:  # the waiting packets follow a keyframe in flight
            if self._will_wait_s() > LONGEST_S:
                self._clear()
            return
        if self._packets[0].dts_s < newest.dts_s:
            self._keep_from(newest)
        if self._span_s() > LONGEST_S:
            self._clear()

    def _keep_from(self, keyframe: EncodedPacket) -> None:
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


class InFlightPackets:
    """Packets that were taken and not reported as sent: their duration, and how slowly they are sent.

    They are in the order of `take`; drops may lie between two of them.
    """

    def __init__(self) -> None:
        self.packets: deque[EncodedPacket] = deque()
        self._gaps: deque[tuple[float, float]] = deque()
        """For each drop: the time of the next packet taken, and the duration of the gap."""
        self._last_video_s: float | None = None
        self._skipped_s = self._sent_s = self._moved_s = 0.0
        self._measured: tuple[float, float] | None = None
        self._slowness = self._slowness_before = 0.0

    def add(self, packet: EncodedPacket, *, has_gap: bool) -> None:
        """Add a taken packet; `has_gap`: packets were dropped just before it."""
        self.packets.append(packet)
        if has_gap and self._last_video_s is not None:
            self._gaps.append((packet.dts_s, packet.dts_s - self._last_video_s))
        if packet.track == Track.VIDEO:
            self._last_video_s = packet.dts_s

    def sent(self, up_to_s: float, newest_s: float) -> None:
        """Mark packets up to `up_to_s` as sent, when the session was at `newest_s`, both in seconds of the session."""
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
        """The time of the first packet after the last drop; None where nothing is in flight."""
        if self._gaps:
            return self._gaps[-1][0]
        return self.packets[0].dts_s if self.packets else None

    @property
    def plays_s(self) -> float:
        """The duration of the media in flight."""
        if not self.packets:
            return 0.0
        first_s, last_s = self.packets[0].dts_s, self.packets[-1].dts_s
        return max(0.0, last_s - first_s - sum(gap_s for after_s, gap_s in self._gaps if after_s > first_s))

    def lasts_s(self, newest_s: float) -> float:
        """Return the expected time to send all of it, as estimated at `newest_s`."""
        if newest_s - self._moved_s > MOVED_WITHIN_S:
            return self.plays_s
        # A narrow link's rate varies, so the slower of two measurements counts.
        return (1.0 + max(self._slowness, self._slowness_before)) * self.plays_s

    def _measure(self, sent_s: float, newest_s: float) -> None:
        """Measure the extra sending time per second of media, every MEASURE_S of the session."""
        if self._measured is None:
            self._measured = newest_s, sent_s
            return
        passed_s, sent_in_s = newest_s - self._measured[0], sent_s - self._measured[1]
        if passed_s >= MEASURE_S:
            slowness = passed_s / sent_in_s - 1.0 if sent_in_s > 0 else UNKNOWN_SLOWNESS
            self._slowness_before, self._slowness = self._slowness, min(MOST_SLOWNESS, max(0.0, slowness))
            self._measured = newest_s, sent_s
