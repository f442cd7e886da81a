"""The messages between a destination and the child that streams for it.

To the child's standard input: one Order as a line of JSON and, once it has said that it is live, an FLV stream. From
its standard output: reports, a line of JSON each. The address travels here and nowhere else: not in an argument, not in
the environment.
"""

import msgspec

from recorder.live.reason import Reason


class Request(msgspec.Struct, frozen=True):
    """The stream, as a server is told of it before it takes any of it, and the bounds to stream it within.

    `head` is how the FLV stream will begin: which tracks, and what their decoders need. It does not tell the picture's
    `width` and `height`, nor truly its `frame_rate` (a fraction as text, such as 30000/1001) or the `sample_rate` (Hz).
    """

    parent: int
    """The process id that the child must not outlive."""
    head: bytes
    width: int = 0
    height: int = 0
    frame_rate: str | None = None
    sample_rate: int | None = None
    bit_rate: int = 0
    """Bits per second that the stream's encoders were asked for when the attempt began; 0 where unknown."""
    io_timeout_s: float = 6.0
    connect_timeout_s: float = 3.0
    held_bytes: int = 65_536
    """The most that may wait in this PC's kernel to be sent."""
    ca_file: str | None = None


type Order = tuple[str, msgspec.Raw, Request]
"""The scheme of the address, the address as its kind takes it apart, and the request."""
ORDERS = msgspec.json.Decoder[Order](Order.__value__)


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """Everything up to `dts_s` (seconds from the start of this attempt's FLV) has been given to the network.

    To TCP's, which holds half a second of it; through SRT's buffer, which may hold some seconds.

    What is known of the link then: `rtt_ms` there and back, `unsent_bytes` that the kernel (or SRT) still holds because
    the other side has not acknowledged them, `delivered_bps`, the bits per second that it has acknowledged since the
    report before, `in_flight`, how many of TCP's segments are on their way. None where nobody tells. `unread_s` is for
    how many seconds the server's program has read nothing of what its kernel took for it.
    """

    dts_s: float
    rtt_ms: float | None = None
    unsent_bytes: int = 0
    delivered_bps: float | None = None
    unread_s: float = 0.0
    in_flight: int | None = None


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """How an attempt ended: why, what more is known (redacted), and how long it was live.

    Without a reason it was told to: from the child, the stream came to its end, and the server was told so.
    """

    reason: Reason | None = None
    detail: str = ""
    live_s: float = 0.0


Report = str | Sent | Outcome
"""How far a child is: the step that it has come to, or one of the above.

For a server: resolve, load, connect, secure, handshake, application or publish; for a folder: load, folder. An SRT
listener says `listen`, again and again, until somebody has called. For all at last `live`: the stream is accepted
and begins only now, with the newest there is, however long it took.
"""
