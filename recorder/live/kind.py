"""A kind of live destination: its address, how it is streamed to, and how it is tried without streaming.

One module of recorder/live/kinds for each, with a KIND; config/settings/addresses.py has the schemes of its addresses.
A kind is loaded where an address means it, and what it takes to stream by the child that streams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from config.settings.addresses import SCHEMES
from recorder.live.reason import Reason

if TYPE_CHECKING:
    from devices.uplink.connecting import Patience


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


type Tell = Callable[[Report], None]
type Reached = Literal["ok", "ok-folder", "ok-listens", "port-taken", "port-forbidden", "not-here", "no-libsrt"]
"""What trying a destination found: one of the codes of agent/checks/kinds/internet.py."""


class LiveUrl(Protocol):
    """The address of a destination, taken apart: a frozen msgspec.Struct, whose repr shows no secret."""

    @property
    def scheme(self) -> str:
        """The word before the colon."""

    @property
    def host(self) -> str:
        """The host that is looked up before anything else; "" where there is none."""

    @property
    def port(self) -> int:
        """Of that host."""

    @property
    def where(self) -> str:
        """Where it leads, fit to be shown."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of it that no message may hold, in every spelling we know of."""

    @property
    def listens(self) -> bool:
        """Whether it waits for somebody to call: until then nobody misses anything, so nothing counts as dropped."""


@dataclass(frozen=True, slots=True)
class DestinationKind[Url: LiveUrl]:
    """One kind.

    `parse` takes an address apart: its scheme, what follows `://`, and the stream key where that does not stand in it;
    it raises UsageError, whose text repeats nothing of what was given. `publish` streams what comes to standard input
    (recorder/live/flv.py) until that ends or the connection does, tells how far it is, and returns the last
    report; it runs in a process of its own, which is killed where it hangs. `reach` finds out without streaming whether
    the place is there; it raises NetworkTrouble, NotLive and Stopped. What it streams to `is_here`: no network
    carries it. A stream that breaks off there `goes_on` with the next one: it is ended only where none follows.
    """

    url: type[Url]
    parse: Callable[[str, str, str | None], Url]
    publish: Callable[[Request, Url, Tell], Report]
    reach: "Callable[[Url, Path | None, Patience], Reached]"
    is_here: bool = False
    goes_on: bool = False


def kind_of(scheme: str) -> DestinationKind[Any]:
    """Return the kind of the addresses that begin with `scheme`, one of config.settings.addresses.SCHEMES."""
    module = f"recorder.live.kinds.{SCHEMES[scheme].kind}"
    kind = import_module(module).KIND
    if not isinstance(kind, DestinationKind):
        raise TypeError(f"{module}.KIND is no DestinationKind")
    return kind
