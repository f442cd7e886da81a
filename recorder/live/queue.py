"""Packets on their way to one live destination: bounded, started at a keyframe, never in the way of the encoder."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence

from recorder.packet import EncodedPacket, Track

LONGEST_S = 6.0
"""How far a destination may fall behind the session before what it missed is dropped."""


class PacketQueue:
    """The newest packets that were not sent yet, at most `longest_s` seconds of them.

    What is taken first, and after every drop, belongs to a video keyframe and the time from it on (its sound may
    stand before it, as encoders hand video out later). When the queue grows too long, only what belongs to the
    newest keyframe stays; where that would be everything, all goes and the next keyframe starts anew.
    """

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._packets: deque[EncodedPacket] = deque()
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
            if self._span_s() > self._longest_s:
                self._shorten()

    def take(self) -> EncodedPacket | None:
        """Remove and return the oldest packet, or None when there is none to send yet."""
        with self._lock:
            return self._packets.popleft() if self._packets and not self._awaiting_keyframe else None

    def put_back(self, packets: Sequence[EncodedPacket]) -> None:
        """Return packets that were taken, in their order, and that did not reach anybody.

        What is held now either follows on from them or begins at a keyframe, so they belong in front of it.
        """
        with self._lock:
            if self._awaiting_keyframe:
                self._count_dropped(packets)
            else:
                self._packets.extendleft(reversed(packets))
                if self._span_s() > self._longest_s:
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
        """Give up what is older than the newest keyframe, and count none of it: nobody is there to miss it."""
        with self._lock:
            newest = next((packet for packet in reversed(self._packets) if _is_start(packet)), None)
            if newest is not None and not self._awaiting_keyframe:
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
    def newest_s(self) -> float:
        """The decoding time of the last packet put, in seconds of the session."""
        with self._lock:
            return self._newest_s

    @property
    def waiting_s(self) -> float:
        """How many seconds of the session are held."""
        with self._lock:
            return self._span_s()

    def __len__(self) -> int:
        with self._lock:
            return len(self._packets)

    def _span_s(self) -> float:
        return max(0.0, self._newest_s - self._packets[0].dts_s) if self._packets else 0.0

    def _begin_at(self, keyframe: EncodedPacket) -> None:
        self._awaiting_keyframe = False
        self._started = True
        self._keep_from(keyframe)

    def _shorten(self) -> None:
        if self._awaiting_keyframe:
            while self._span_s() > self._longest_s:
                self._packets.popleft()
            return
        newest = next((packet for packet in reversed(self._packets) if _is_start(packet)), None)
        before = len(self._packets)
        if newest is not None:
            self._keep_from(newest)
        if len(self._packets) == before or self._span_s() > self._longest_s:
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
        self._dropped_frames += sum(packet.track == Track.VIDEO for packet in packets)


def _is_start(packet: EncodedPacket) -> bool:
    return packet.track == Track.VIDEO and packet.is_keyframe
