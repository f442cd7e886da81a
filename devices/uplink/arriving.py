"""What has come over a connection behind a gap: the link has carried it, and the program does not get it yet."""

from devices.tcp_info import TcpInfo

_NOTHING = TcpInfo(received_bytes=0, received_segments=0)


class Arriving:
    """One connection as it is looked at now and then.

    The kernel tells how many bytes came in order, and how many segments came at all. On a full link those are of one
    size; from the first gap on they are counted. What came twice counts too: 0.3 % or less of what was sent, and
    4.5 % over 200 Mb/s, 150 ms there and back, 3 % loss.
    """

    def __init__(self) -> None:
        self._before = _NOTHING

    def behind_a_gap(self, now: TcpInfo) -> int:
        """Return how many bytes, within a segment; 0 where this kernel does not tell."""
        if not now.unordered_segments:
            self._before = now
            return 0
        segments = (now.received_segments or 0) - (self._before.received_segments or 0)
        in_order = (now.received_bytes or 0) - (self._before.received_bytes or 0)
        return max(0, segments * (now.received_segment_bytes or 0) - in_order)
