"""The kernel's facts about a TCP connection (struct tcp_info of linux/tcp.h)."""

import contextlib
import socket
import struct

import msgspec

# Offsets of fields: segment bytes, segments, microseconds and a window in bytes (u32), bytes (u64).
_MSS, _RECEIVED_MSS, _UNACKED, _SACKED, _LOST, _RETRANS, _RTT, _BYTES_ACKED = 16, 20, 24, 28, 32, 36, 68, 120
_BYTES_RECEIVED, _DATA_SEGMENTS_IN, _BYTES_SENT, _BYTES_RETRANS, _UNORDERED, _WINDOW = 128, 152, 200, 208, 224, 228
_WHOLE_BYTES = 232  # Linux 5.5; an older kernel returns less, and missing fields are None
TCP_NOTSENT_LOWAT = 25  # a socket option (linux/tcp.h): the most unsent bytes that the kernel holds

_SOCK_DIAG, _BY_FAMILY = 4, 20
_UID_AT = 80  # linux/sock_diag.h and inet_diag.h: the netlink family, its request, and the user's offset in the answer


class TcpInfo(msgspec.Struct, frozen=True):
    """A connection's round trip in seconds, and its bytes; None where this kernel does not tell.

    `acknowledged_bytes` are those in the other kernel without a gap; `delivered_bytes` include those behind a gap,
    within a segment. `again_bytes` of `sent_bytes` are retransmissions; `window_bytes` is the other side's receive
    window. `in_flight_segments` are on their way.

    `received_bytes` are those without a gap. `received_segments` are all segments, of at most `received_segment_bytes`;
    `unordered_segments` of them came behind a gap.
    """

    rtt_s: float | None = None
    acknowledged_bytes: int | None = None
    delivered_bytes: int | None = None
    sent_bytes: int | None = None
    again_bytes: int | None = None
    window_bytes: int | None = None
    in_flight_segments: int | None = None
    received_bytes: int | None = None
    received_segments: int | None = None
    received_segment_bytes: int | None = None
    unordered_segments: int | None = None


def tcp_info(connection: socket.socket) -> TcpInfo:
    """Return the kernel's current facts about it; raises OSError where it is closed."""
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _WHOLE_BYTES)

    def field(code: str, place: int) -> int | None:
        if len(raw) < place + struct.calcsize(code):
            return None
        return int(struct.unpack_from(code, raw, place)[0])

    rtt_us, acknowledged = field("I", _RTT), field("Q", _BYTES_ACKED)
    mss, unacked, sacked, lost, again = (field("I", place) or 0 for place in (_MSS, _UNACKED, _SACKED, _LOST, _RETRANS))
    return TcpInfo(
        None if rtt_us is None else rtt_us / 1_000_000,
        acknowledged,
        None if acknowledged is None else acknowledged + sacked * mss,
        field("Q", _BYTES_SENT),
        field("Q", _BYTES_RETRANS),
        field("I", _WINDOW),
        unacked - sacked - lost + again,
        field("Q", _BYTES_RECEIVED),
        field("I", _DATA_SEGMENTS_IN),
        field("I", _RECEIVED_MSS),
        field("I", _UNORDERED),
    )


def owner_of_peer(connection: socket.socket) -> int | None:
    """Return the user of the other end of a connection within this PC; None where unknown."""
    family = connection.family
    with contextlib.suppress(OSError, struct.error):
        (peer, peer_port, *_), (own, own_port, *_) = connection.getpeername(), connection.getsockname()
        ends = (socket.inet_pton(family, address).ljust(16, b"\0") for address in (peer, own))
        any_state = any_cookie = 0xFFFFFFFF
        asked = struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, any_state)
        asked += struct.pack("!HH16s16s", peer_port, own_port, *ends) + struct.pack("=III", 0, any_cookie, any_cookie)
        head = struct.pack("=IHHII", 16 + len(asked), _BY_FAMILY, 1, 0, 0)  # length, type, flags, sequence, port
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(0)
            kernel.send(head + asked)
            answer = kernel.recv(4096)
        if struct.unpack_from("=H", answer, 4)[0] == _BY_FAMILY:
            return int(struct.unpack_from("=I", answer, _UID_AT)[0])
    return None
