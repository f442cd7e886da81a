"""The child's work for RTMP: FLV from standard input to a server; each failure gets its reason.

libavformat reports most RTMP failures as "Input/output error"; its log shows the step, which tells failures apart.
Reports quote only the server's own message and, for a fault of this PC, the last error; both are redacted.
"""

import contextlib
import fcntl
import logging
import os
import socket
import struct
import time
from collections.abc import Callable

import av
import av.logging
from av.container import OutputContainer
from av.error import FFmpegError

from devices.uplink.connecting import certificate_problem, trusted_authorities
from devices.uplink.tcp_info import TCP_NOTSENT_LOWAT, tcp_info
from recorder.live.flv import add_streams, demuxed_packets
from recorder.live.kind import (
    AttemptOutcome,
    ChildReport,
    DestinationFault,
    LinkReport,
    SendReport,
    StreamRequest,
    unreachable,
)
from recorder.live.url import RtmpUrl, redact

SOON_S = 5.0
"""An earlier hang-up may be caused by the key, since some servers accept every stream at first. Or the server fails."""
LONGEST_DETAIL = 200  # characters of libav's or a server's message in a report

_STEPS = (
    ("Starting connection attempt", "connect"),
    ("Successfully connected", "secure"),
    ("Handshaking", "handshake"),
    ("Proto = ", "application"),
    ("Sending publish command", "publish"),
)
_SERVER_SAYS = "Server error: "
_NOT_TRUSTED = ("certificate failed verification", "does not match hostname")
_BUSY = ("already", "busy", "in use")
_SIOCOUTQ = 0x5411  # linux/sockios.h: written but unacknowledged bytes
_SHORTEST_S = 0.1
_JUDGED_BYTES = 32_768  # bytes between two judgements: the receiver's window changes in steps
_LEAST_READ = 0.35
"""A fraction of the new bytes: the window also grows by the kernel's better estimate of a packet's memory."""


class LibavLog(logging.Handler):
    """The progress of an attempt, from libav's log; reports each step when it begins."""

    def __init__(self, report: SendReport, secrets: tuple[str, ...]) -> None:
        super().__init__(level=1)
        self._report = report
        self._secrets = secrets
        self.step = "load"
        self.blocking_since = self.live_since = time.monotonic()
        self.server_said = ""
        self.last_error = ""
        self.not_trusted = False
        self.not_resolved = False

    def enter(self, step: str) -> None:
        self.step = step
        self.blocking_since = self.live_since = time.monotonic()
        if step in {"connect", "live"}:
            self.server_said = ""  # its login challenge, or warnings on a stream that it accepts
        self._report(step)

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        for beginning, step in _STEPS:
            if line.startswith(beginning):
                self.enter(step)
        if line.startswith(_SERVER_SAYS):
            self.server_said = self._fit_to_be_told(line.removeprefix(_SERVER_SAYS))
        if record.levelno >= logging.ERROR:
            self.last_error = self._fit_to_be_told(line)
        self.not_trusted = self.not_trusted or any(words in line for words in _NOT_TRUSTED)
        self.not_resolved = self.not_resolved or line.startswith("Failed to resolve hostname")

    def _fit_to_be_told(self, words: str) -> str:
        """Return a foreign message without secrets and without terminal control characters."""
        printable = "".join(character if character.isprintable() else " " for character in words.strip())
        return redact(printable, self._secrets)[:LONGEST_DETAIL]


def publish(request: StreamRequest, url: RtmpUrl, report: SendReport) -> ChildReport:
    """Stream until the input or the connection ends; return the last report."""
    journal = LibavLog(report, url.secrets)
    logger = logging.getLogger("libav")
    logger.addHandler(journal)
    logger.setLevel(1)
    logger.propagate = False
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.ERROR)
    try:
        _copy(request, url, journal, report)
    except (FFmpegError, OSError, EOFError, ValueError, LookupError) as error:
        return _failure(error, journal, request, url)
    return AttemptOutcome()


def _copy(request: StreamRequest, url: RtmpUrl, journal: LibavLog, report: SendReport) -> None:
    sink = _open_sink(request, url)
    add_streams(sink, request)
    av.logging.set_level(av.logging.DEBUG)
    sink.start_encoding()
    av.logging.set_level(av.logging.ERROR)
    link = TcpLink(_tune_socket(request.held_bytes))
    journal.enter("live")
    for packet, _ in demuxed_packets(sink, lambda dts_s: report(link.sent(dts_s))):
        journal.blocking_since = time.monotonic()
        sink.mux(packet)
    sink.close()


def _open_sink(request: StreamRequest, url: RtmpUrl) -> OutputContainer:
    options = {
        "rtmp_app": url.application,
        "rtmp_playpath": url.key,
        "rw_timeout": str(round(request.io_timeout_s * 1_000_000)),
        "tcp_nodelay": "1",
        "flvflags": "no_duration_filesize",
        "flush_packets": "1",
        "max_interleave_delta": "1000000",
    }
    if url.scheme == "rtmps":
        options["tls_verify"] = "1"
        ca_file = trusted_authorities(request.ca_file)
        if ca_file:
            options["ca_file"] = ca_file
    return av.open(url.server, "w", format="flv", options=options)


def _tune_socket(held_bytes: int) -> socket.socket | None:
    """Set options that libavformat lacks, and return the connection.

    The kernel may hold `held_bytes` unsent: more would hide a slow link from the destination's queue. Handshakes needed
    small messages at once. From here on libavformat's many small writes fill whole segments, which saves three quarters
    of the packets. BBR does not treat every lost packet as congestion: at 3 % loss it carries several times CUBIC's
    rate. Only administrators can permit it (net.ipv4.tcp_allowed_congestion_control).
    """
    connections = tcp_sockets()
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"bbr")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
            connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, held_bytes)
    for other in connections[1:]:
        other.detach()
    return connections[0] if connections else None


def _failure(error: Exception, journal: LibavLog, request: StreamRequest, url: RtmpUrl) -> AttemptOutcome:
    if journal.server_said:
        busy = any(word in journal.server_said.lower() for word in _BUSY)
        return AttemptOutcome(
            DestinationFault.ALREADY_PUBLISHING if busy else DestinationFault.REJECTED, journal.server_said
        )
    if journal.not_trusted:
        problem = certificate_problem(url.host, url.port, request.ca_file)
        return AttemptOutcome(DestinationFault.CERTIFICATE, redact(problem, url.secrets))
    if journal.not_resolved:
        return AttemptOutcome(DestinationFault.UNKNOWN_HOST)
    waited_s = time.monotonic() - journal.blocking_since
    if isinstance(error, TimeoutError) or waited_s > 0.9 * request.io_timeout_s:
        return AttemptOutcome(DestinationFault.STALLED if journal.step == "live" else DestinationFault.TIMEOUT)
    blamed = _reason_by_step(error, journal.step, secure=url.scheme == "rtmps")
    if journal.step == "live" and blamed and time.monotonic() - journal.live_since < SOON_S:
        return AttemptOutcome(
            DestinationFault.CLOSED, "soon after it took the stream: its program fails, or the key is wrong"
        )
    said = journal.last_error or (error.strerror if isinstance(error, FFmpegError) else "") or type(error).__name__
    return blamed or AttemptOutcome(DestinationFault.FAILED, f"{journal.step}: {said}")


def _reason_by_step(error: Exception, step: str, *, secure: bool) -> AttemptOutcome | None:
    """Return the reason of a failure in `step` by the network or the server, or None."""
    if isinstance(error, ValueError | LookupError) and step in {"publish", "live"}:
        return None  # connected: libav refuses the stream
    if step == "connect" or (step == "secure" and not secure):
        if isinstance(error, ConnectionRefusedError):
            return AttemptOutcome(DestinationFault.REFUSED)
        lost = unreachable(error.errno if isinstance(error, OSError) else None)
        return AttemptOutcome(lost.reason, lost.detail)
    return {
        "secure": AttemptOutcome(DestinationFault.TLS),
        "handshake": AttemptOutcome(DestinationFault.CLOSED, "before the RTMP handshake was done"),
        "application": AttemptOutcome(DestinationFault.REJECTED, "when the application was named"),
        "publish": AttemptOutcome(DestinationFault.REJECTED, "when the key was given"),
        "live": AttemptOutcome(DestinationFault.CLOSED),
    }.get(step)


# The connection


def tcp_sockets() -> list[socket.socket]:
    """Return this process's TCP sockets. libavformat owns them: detach each, never close it."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers, not paths
        if number <= 2:
            continue
        with contextlib.suppress(OSError):  # no socket, or closed meanwhile
            one = socket.socket(fileno=number)
            if one.type == socket.SOCK_STREAM and one.family in (socket.AF_INET, socket.AF_INET6):
                found.append(one)
            else:
                one.detach()
    return found


class TcpLink:
    """The connection that libavformat opened but does not expose; None where it was not found.

    The other kernel buffers megabytes for a program that has stopped reading, and reports its free space. While the
    program reads, the space stays or grows; while it does not, nearly every byte shrinks it.
    """

    def __init__(self, connection: socket.socket | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._now_s = now_s
        self._rated: tuple[float, int] | None = None
        self._bps: float | None = None
        self._read_s, self._read_at = now_s(), 0
        """The time of the last read by the server's program, and the bytes received by then."""
        self._judged_at, self._window = 0, 0

    def sent(self, dts_s: float) -> LinkReport:
        """Return a report with all up to `dts_s` written; None where the kernel does not tell."""
        if self._connection is None:
            return LinkReport(dts_s)
        try:
            info = tcp_info(self._connection)
            held = struct.unpack("i", fcntl.ioctl(self._connection.fileno(), _SIOCOUTQ, bytes(4)))[0]
        except OSError:
            return LinkReport(dts_s)
        acked, delivered = info.acknowledged_bytes, info.delivered_bytes
        if info.rtt_s is None or acked is None or delivered is None:
            return LinkReport(dts_s, unsent_bytes=held)
        unread_s = 0.0 if info.window_bytes is None else self.unread_s(acked, info.window_bytes)
        # One lost packet delays acknowledgements for a round trip, without a slow link.
        return LinkReport(
            dts_s, info.rtt_s * 1000, held, self.delivered_bps(delivered), unread_s, info.in_flight_segments
        )

    def delivered_bps(self, delivered: int) -> float | None:
        """Return the rate since the last call, or the former rate soon after it; None at the first."""
        now_s = self._now_s()
        before_s, before = self._rated or (now_s, delivered)
        if now_s - before_s >= _SHORTEST_S:
            self._bps = max(0.0, (delivered - before) * 8 / (now_s - before_s))
        if self._rated is None or now_s - before_s >= _SHORTEST_S:
            self._rated = now_s, delivered
        return self._bps

    def unread_s(self, acknowledged: int, window: int) -> float:
        """Return how long nothing was read, from all bytes `acknowledged` and the receive `window`."""
        now_s, came = self._now_s(), acknowledged - self._judged_at
        if came >= _JUDGED_BYTES:
            if came + window - self._window >= _LEAST_READ * came:
                self._read_s, self._read_at = now_s, acknowledged
            self._judged_at, self._window = acknowledged, window
        return now_s - self._read_s if acknowledged - self._read_at >= _JUDGED_BYTES else 0.0
