"""The contract of a kind of live destination, its faults, and its messages with the child process.

Each kind is a module of recorder/live/kinds with a KIND; config/settings/addresses.py has its schemes. A kind is loaded
for an address of its scheme, its streaming code in the child only.

The child's standard input gets one Order as a line of JSON and, after `live`, an FLV stream. Its standard output gives
reports, a line of JSON each. The address travels this way alone, in no argument or environment.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import msgspec

from config.settings.addresses import SCHEMES

if TYPE_CHECKING:
    from devices.uplink.connecting import Deadline


class DestinationFault(StrEnum):
    """The end of an attempt, or (TOO_SLOW) a fault of a live one, with its sentence; a contract, never renamed."""

    def __new__(cls, word: str, sentence: str) -> Self:
        """Take a sentence about {where}, host and port."""
        fault = str.__new__(cls, word)
        fault._value_ = word
        fault.sentence = sentence
        return fault

    sentence: str
    UNKNOWN_HOST = "unknown-host", "the host of {where} cannot be looked up: check its spelling and this PC's network"
    REFUSED = "refused", "{where} refuses connections: no streaming server listens there"
    UNREACHABLE = "unreachable", "{where} cannot be reached from this network"
    TIMEOUT = "timeout", "{where} did not answer in time"
    CERTIFICATE = "certificate", "the certificate of {where} is not to be trusted: check the name and this PC's date"
    TLS = "tls", "{where} does not speak TLS: check the port, or use an address without TLS"
    REJECTED = "rejected", "{where} does not accept the stream: check the address, and its line in the file of keys"
    ALREADY_PUBLISHING = "already-publishing", "{where} says that somebody already streams with this key"
    STALLED = "stalled", "{where} stopped taking the stream"
    TOO_SLOW = "too-slow", "the connection to {where} is too slow for this stream, so frames are dropped"
    CLOSED = "closed", "{where} closed the connection"
    CALLER_LEFT = "caller-left", "the caller at {where} has left: waiting for the next one"
    NOT_YET = "not-yet", "{where} had not answered yet when the recording ended"
    FOLDER_MISSING = "folder-missing", "there is no folder {where}: make it, or mount its disk"
    NOT_WRITABLE = "not-writable", "this user may not write into {where}"
    DISK_FULL = "disk-full", "the disk of {where} is full"
    DISK_FAILED = "disk-failed", "the disk of {where} failed"
    FAILED = "failed", "streaming to {where} failed on this PC"


class DestinationError(Exception):
    """A destination cannot be streamed to; `detail` adds to the reason."""

    def __init__(self, reason: DestinationFault, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


_NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_FOLDER_REASONS = {
    errno.ENOENT: DestinationFault.FOLDER_MISSING,
    errno.ENOTDIR: DestinationFault.FOLDER_MISSING,
    errno.EACCES: DestinationFault.NOT_WRITABLE,
    errno.EPERM: DestinationFault.NOT_WRITABLE,
    errno.EROFS: DestinationFault.NOT_WRITABLE,
    errno.EBADF: DestinationFault.NOT_WRITABLE,  # flock(2) on a read-only NFS file
    errno.ENOSPC: DestinationFault.DISK_FULL,
    errno.EDQUOT: DestinationFault.DISK_FULL,
}


def fault_sentence(reason: DestinationFault, where: str, detail: str = "") -> str:
    """Return the sentence for `where` (host and port); `detail` is the other side's message, redacted."""
    said = reason.sentence.format(where=where)
    return f"{said} ({detail})" if detail else said


def unreachable(number: int | None) -> DestinationError:
    """Return the error for a failed connect by its errno, a refusal excepted."""
    return DestinationError(
        DestinationFault.UNREACHABLE, os.strerror(number) if number and number in _NO_WAY_THERE else ""
    )


def folder_reason(number: int) -> DestinationFault:
    """Return the reason for a folder's or disk's errno."""
    return _FOLDER_REASONS.get(number, DestinationFault.DISK_FAILED)


class StreamRequest(msgspec.Struct, frozen=True):
    """The description of a stream for a server, and the limits of streaming it.

    `head` is the beginning of the FLV stream: its tracks and their decoders' data. It lacks the picture's `width` and
    `height`, and has no reliable `frame_rate` (a fraction as text, such as 30000/1001) or `sample_rate` (Hz).
    """

    parent: int  # process id that the child must not outlive
    head: bytes
    width: int = 0
    height: int = 0
    frame_rate: str | None = None
    sample_rate: int | None = None
    bit_rate: int = 0
    """Bits per second that the stream's encoders were asked for when the attempt began; 0 where unknown."""
    io_timeout_s: float = 6.0  # a live stream without progress for so long ends its attempt; the child is killed
    connect_timeout_s: float = 3.0  # longest time of each step before `live`; then likewise
    held_bytes: int = 65_536  # most unsent bytes in this PC's kernel
    ca_file: str | None = None  # for `trusted_authorities` of devices/uplink/connecting.py


type ChildOrder = tuple[str, msgspec.Raw, StreamRequest]
"""The scheme of the address, the address as its kind parses it, and the request."""
ORDERS = msgspec.json.Decoder[ChildOrder](ChildOrder.__value__)


class LinkReport(msgspec.Struct, frozen=True, tag="sent"):
    """A report: everything up to `dts_s` (seconds from the start of this attempt's FLV) was given to the network.

    TCP's buffer holds half a second of it, SRT's some seconds. `rtt_ms` is the round trip, and `unsent_bytes` are
    unacknowledged in the kernel (or SRT). `delivered_bps` is the rate acknowledged since the last report, `in_flight` a
    number of TCP segments. None is unknown. The server's program has read nothing for `unread_s` seconds.
    """

    dts_s: float
    rtt_ms: float | None = None
    unsent_bytes: int = 0
    delivered_bps: float | None = None
    unread_s: float = 0.0
    in_flight: int | None = None


class AttemptOutcome(msgspec.Struct, frozen=True, tag="outcome"):
    """The end of an attempt: reason (None on request), details (redacted), and the seconds it was live."""

    reason: DestinationFault | None = None
    detail: str = ""
    live_s: float = 0.0


ChildReport = str | LinkReport | AttemptOutcome
"""The child's current step, or one of the above.

For a server: resolve, load, connect, secure, handshake, application or publish; for a folder: load, folder. An SRT
listener repeats `listen` until a caller connects. At last `live`: the server accepts the stream, which then begins with
the newest keyframe.
"""


type SendReport = Callable[[ChildReport], None]
type ReachResult = Literal["ok", "ok-folder", "ok-listens", "port-taken", "port-forbidden", "not-here", "no-libsrt"]
"""The result of trying a destination: a code of agent/checks/kinds/internet.py."""


class LiveUrl(Protocol):
    """A parsed address of a destination: a frozen msgspec.Struct with a redacted repr."""

    @property
    def scheme(self) -> str:
        """The word before the colon."""

    @property
    def host(self) -> str:
        """The host to look up; "" where there is none."""

    @property
    def port(self) -> int:
        """The port of that host."""

    @property
    def where(self) -> str:
        """The place, without secrets."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of it, in every known spelling, for redacting."""

    @property
    def listens(self) -> bool:
        """Whether it waits for a caller: until then no frame counts as dropped."""


@dataclass(frozen=True, slots=True)
class DestinationKind[Url: LiveUrl]:
    """One kind of destination.

    `parse` gets the scheme of an address and the rest after `://`, which ends with the stream key. It raises UsageError
    without repeating any of it. `publish` streams standard input (recorder/live/flv.py) until the input or
    the connection ends, sends reports, and returns the last one. It runs in its own process, which is killed where it
    hangs. `reach` tests the place without streaming; it raises NetworkError, DestinationError and Cancelled. `is_here`:
    no network is used. `goes_on`: the next stream continues a broken-off one, which ends only where none follows.
    """

    url: type[Url]
    parse: Callable[[str, str], Url]
    publish: Callable[[StreamRequest, Url, SendReport], ChildReport]
    reach: "Callable[[Url, Path | None, Deadline], ReachResult]"
    is_here: bool = False
    goes_on: bool = False


def kind_of(scheme: str) -> DestinationKind[Any]:
    """Return the kind for a `scheme` of config.settings.addresses.SCHEMES."""
    module = f"recorder.live.kinds.{SCHEMES[scheme].kind}"
    kind = import_module(module).KIND
    if not isinstance(kind, DestinationKind):
        raise TypeError(f"{module}.KIND is no DestinationKind")
    return kind
