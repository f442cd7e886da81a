"""What stands between the encoder and the outputs: while a session is armed, the last seconds of packets.

Packets come in *program time*, which begins when the session is armed, and leave in *media time*, which begins where
the recording does: at a keyframe, so that nothing has to be encoded again.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from devices.clock import NANOSECONDS
from recorder.packet import RUN_IN, EncodedPacket, Track

KEEP_S = 30.0
MOST_BYTES = 64_000_000
"""Of packets in memory while armed: half a minute of 16 Mb/s."""
AT_ONCE = Fraction(3, 10)
"""Seconds of pictures that a recording begins with: more than a fragment, so that the first is on disk at once."""


class PreRoll:
    """Keeps packets until `open`, then hands them on. `put` from the encoding threads, the rest from any."""

    def __init__(self, *, keep_s: float = KEEP_S, most_bytes: int = MOST_BYTES) -> None:
        self.keep_s = keep_s
        self.holds = False
        """Whether it forgets nothing, however old, but for want of memory: the recording is about to begin."""
        self.skipped = 0
        """Pictures that were encoded and are not in the recording, because they are from before it."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._pictures: deque[EncodedPacket] = deque()
        self._others: deque[EncodedPacket] = deque()
        self._bytes = 0
        self._origin = Fraction(0)
        self._hand_on: Callable[[EncodedPacket], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether packets are handed on."""
        return self._hand_on is not None

    @property
    def seconds(self) -> float:
        """How far back a start can reach now."""
        if self._hand_on is not None:
            return 0.0
        with self._lock:
            if not self._pictures:
                return 0.0
            return float(_time(self._pictures[-1]) - _time(self._pictures[0]))

    @property
    def form(self) -> int:
        """The form of the pictures that are kept; 0 while there are none."""
        with self._lock:
            return self._pictures[-1].form if self._pictures else 0

    @property
    def bytes(self) -> int:
        """How much is kept in memory."""
        return self._bytes

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet in program time; waits as long as who it is handed on to, and nobody else does."""
        with self._lock:
            hand_on = self._hand_on
            if hand_on is None:
                if packet.track == Track.VIDEO and self._pictures and packet.form != self._pictures[-1].form:
                    self._begin_anew()
                (self._pictures if packet.track == Track.VIDEO else self._others).append(packet)
                self._bytes += len(packet.data)
                if packet.is_keyframe or self._bytes > self._most_bytes:
                    self._trim()
                return
        hand_on(self.in_media_time(packet))

    def _begin_anew(self) -> None:
        """Keep no pictures of another form: no file could begin with them and go on with what follows."""
        self.skipped += len(self._pictures)
        while self._pictures:
            self._drop(self._pictures)

    def _trim(self) -> None:
        """Drop whole groups of pictures from the front, as far as more than is asked for would be left."""
        while (second := self._second_keyframe()) is not None:
            is_old = _time(self._pictures[second]) <= _time(self._pictures[-1]) - Fraction(self.keep_s)
            is_kept_without = is_old and not self.holds
            if not is_kept_without and self._bytes <= self._most_bytes:
                return
            for _ in range(second):
                self._drop(self._pictures)
            self.skipped += second
            begin = _time(self._pictures[0]) - RUN_IN
            while self._others and _end(self._others[0]) <= begin:
                self._drop(self._others)

    def _second_keyframe(self) -> int | None:
        return next((index for index, packet in enumerate(self._pictures) if index and packet.is_keyframe), None)

    def _drop(self, packets: deque[EncodedPacket]) -> None:
        self._bytes -= len(packets.popleft().data)

    def open(self, hand_on: Callable[[EncodedPacket], None], wanted_ns: int) -> int:
        """Begin at the last keyframe that is not after `wanted_ns` (program time), or else at the first there is.

        The keyframe before that if it is less than AT_ONCE old.

        What was kept from there on goes to `hand_on` at once, and everything that follows. Returns where media time 0
        lies in program time, in nanoseconds.
        """
        with self._lock:
            keyframes = [packet for packet in self._pictures if packet.is_keyframe]
            latest = min(Fraction(wanted_ns, NANOSECONDS), _time(self._pictures[-1]) - AT_ONCE) if keyframes else 0
            early = [packet for packet in keyframes if _time(packet) <= latest]
            first = early[-1] if early else keyframes[0] if keyframes else None
            self._origin = Fraction(0) if first is None else _time(first)
            for packet in self._kept_from(first):
                hand_on(self.in_media_time(packet))
            self._pictures.clear()
            self._others.clear()
            self._bytes = 0
            self._hand_on = hand_on
            return round(self._origin * NANOSECONDS)

    def _kept_from(self, first: EncodedPacket | None) -> list[EncodedPacket]:
        pictures = list(self._pictures)
        if first is not None:
            before = next(index for index, packet in enumerate(pictures) if packet is first)
            self.skipped += before
            pictures = pictures[before:]
        others = [packet for packet in self._others if _end(packet) > self._origin - RUN_IN]
        return sorted([*pictures, *others], key=lambda packet: packet.dts * packet.time_base)

    def in_media_time(self, packet: EncodedPacket) -> EncodedPacket:
        """Return a packet in program time as one in media time; what that is, is known once it is open."""
        if not self._origin:
            return packet
        shift = round(self._origin / packet.time_base)
        return replace(packet, pts=packet.pts - shift, dts=packet.dts - shift)


def _time(packet: EncodedPacket) -> Fraction:
    return packet.pts * packet.time_base


def _end(packet: EncodedPacket) -> Fraction:
    return (packet.pts + packet.duration) * packet.time_base
