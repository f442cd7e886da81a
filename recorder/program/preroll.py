"""The last seconds of packets while armed: they come in *program time* and leave in *media time*."""

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from devices.host.clock import NANOSECONDS
from recorder.model.packet import MOST_BYTES, EncodedPacket, KeptPackets, Track

AT_ONCE = Fraction(3, 10)
"""Seconds of pictures that a recording begins with: more than a fragment, so that the first is on disk at once."""


class PreRoll:
    """Keeps packets until `open`, then hands them on. `put` from the encoding threads, the rest from any."""

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self.holds = False
        """Whether it forgets nothing, however old, but for want of memory: the recording is about to begin."""
        self.skipped = 0
        """Pictures that were encoded and are not in the recording, because they are from before it."""
        self._lock = threading.Lock()
        self._kept = KeptPackets()
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
            return float(self._kept.seconds)

    @property
    def bytes(self) -> int:
        """How much memory its packets take."""
        return self._kept.bytes

    @property
    def form(self) -> int:
        """The form of the pictures that are kept; 0 while there are none."""
        with self._lock:
            return self._kept.leaders[-1].form if self._kept.leaders else 0

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet in program time; waits as long as who it is handed on to, and nobody else does."""
        with self._lock:
            hand_on = self._hand_on
            if hand_on is None:
                self._keep(packet)
                return
        hand_on(self.in_media_time(packet))

    def _keep(self, packet: EncodedPacket) -> None:
        kept = self._kept
        if packet.track == Track.VIDEO and kept.leaders and packet.form != kept.leaders[-1].form:
            self.skipped += len(kept.leaders)
            kept.forget_leaders()
        kept.add(packet)
        if packet.is_keyframe or kept.bytes > MOST_BYTES:
            self._trim()

    def _trim(self) -> None:
        kept = self._kept
        while (second := kept.second_keyframe()) is not None:
            is_old = kept.leaders[second].begins <= kept.leaders[-1].begins - Fraction(self.keep_s)
            is_kept_without = is_old and not self.holds
            if not is_kept_without and kept.bytes <= MOST_BYTES:
                return
            kept.begin_at(second)
            self.skipped += second

    def open(self, hand_on: Callable[[EncodedPacket], None], wanted_ns: int) -> int:
        """Hand on all packets from the last keyframe at or before `wanted_ns` (program time), or else from the first.

        From the keyframe before that if it is less than AT_ONCE old. Returns media time 0 in program time, nanoseconds.
        """
        with self._lock:
            kept = self._kept
            keyframes = kept.keyframes()
            latest = min(Fraction(wanted_ns, NANOSECONDS), kept.leaders[-1].begins - AT_ONCE) if keyframes else 0
            early = [index for index in keyframes if kept.leaders[index].begins <= latest]
            first = early[-1] if early else keyframes[0] if keyframes else None
            self._origin = Fraction(0) if first is None else kept.leaders[first].begins
            self.skipped += first or 0
            for packet in sorted(kept.from_leader(first or 0), key=lambda packet: packet.dts * packet.time_base):
                hand_on(self.in_media_time(packet))
            kept.clear()
            self._hand_on = hand_on
            return round(self._origin * NANOSECONDS)

    def in_media_time(self, packet: EncodedPacket) -> EncodedPacket:
        """Return a packet in program time as one in media time; what that is, is known once it is open."""
        if not self._origin:
            return packet
        shift = round(self._origin / packet.time_base)
        return replace(packet, pts=packet.pts - shift, dts=packet.dts - shift)
