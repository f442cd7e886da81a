"""The last seconds of packets of an armed session: in *program time* until the start, then in *media time*."""

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from devices.host.clock import NANOSECONDS
from recorder.model.packet import MOST_PACKET_BYTES, EncodedPacket, PacketBacklog, Track

FIRST_FRAGMENT_S = Fraction(3, 10)  # more than a fragment, so the first of a recording is on disk at once


class PreRoll:
    """Keeps packets until `open`, then passes them on. `put` is for the encoding threads; all else is thread-safe."""

    def __init__(self, keep_s: float) -> None:
        self.keep_s = keep_s
        self.holds = False  # whether packets of any age stay, up to MOST_BYTES: the recording is about to begin
        self.skipped = 0  # encoded frames older than the recording
        self._lock = threading.Lock()
        self._packets = PacketBacklog()
        self._origin = Fraction(0)
        self._receiver: Callable[[EncodedPacket], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether packets are passed on."""
        return self._receiver is not None

    @property
    def seconds(self) -> float:
        """Seconds that a start can reach back now."""
        if self._receiver is not None:
            return 0.0
        with self._lock:
            return float(self._packets.seconds)

    @property
    def bytes(self) -> int:
        """Memory of the kept packets."""
        return self._packets.bytes

    @property
    def form(self) -> int:
        """Format number of the kept frames; 0 without any."""
        with self._lock:
            return self._packets.leaders[-1].form if self._packets.leaders else 0

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet in program time. Blocks as long as the receiver; no other caller waits."""
        with self._lock:
            hand_on = self._receiver
            if hand_on is None:
                self._keep(packet)
                return
        hand_on(self.in_media_time(packet))

    def _keep(self, packet: EncodedPacket) -> None:
        kept = self._packets
        if packet.track == Track.VIDEO and kept.leaders and packet.form != kept.leaders[-1].form:
            self.skipped += len(kept.leaders)
            kept.forget_leaders()
        kept.add(packet)
        if packet.is_keyframe or kept.bytes > MOST_PACKET_BYTES:
            self._trim()

    def _trim(self) -> None:
        kept = self._packets
        while (second := kept.second_keyframe()) is not None:
            is_old = kept.leaders[second].begins <= kept.leaders[-1].begins - Fraction(self.keep_s)
            is_kept_without = is_old and not self.holds
            if not is_kept_without and kept.bytes <= MOST_PACKET_BYTES:
                return
            kept.begin_at(second)
            self.skipped += second

    def open(self, hand_on: Callable[[EncodedPacket], None], wanted_ns: int) -> int:
        """Pass on all packets from the last keyframe at or before `wanted_ns` (program time), else from the first.

        The recording begins one keyframe earlier if that keyframe is less than AT_ONCE old. Returns media time 0 in
        program time, nanoseconds.
        """
        with self._lock:
            kept = self._packets
            keyframes = kept.keyframes()
            latest = (
                min(Fraction(wanted_ns, NANOSECONDS), kept.leaders[-1].begins - FIRST_FRAGMENT_S) if keyframes else 0
            )
            early = [index for index in keyframes if kept.leaders[index].begins <= latest]
            first = early[-1] if early else keyframes[0] if keyframes else None
            self._origin = Fraction(0) if first is None else kept.leaders[first].begins
            self.skipped += first or 0
            for packet in sorted(kept.from_leader(first or 0), key=lambda packet: packet.dts * packet.time_base):
                hand_on(self.in_media_time(packet))
            kept.clear()
            self._receiver = hand_on
            return round(self._origin * NANOSECONDS)

    def in_media_time(self, packet: EncodedPacket) -> EncodedPacket:
        """Return a packet of program time in media time; valid once open."""
        if not self._origin:
            return packet
        shift = round(self._origin / packet.time_base)
        return replace(packet, pts=packet.pts - shift, dts=packet.dts - shift)
