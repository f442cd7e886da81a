"""One attempt to stream: its child process, its reports, its deadlines.

The thread that starts the child must outlive it: the kernel kills the child when that thread ends.
"""

import os
import select
import threading
from collections.abc import Callable, Mapping

import msgspec
from av.error import FFmpegError
from av.stream import Stream

from config.settings.secrets import StreamTarget
from devices.host.child import ChildProcess, python_module
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from recorder.live.flv import FlvMuxer, bit_rate, stream_request
from recorder.live.kind import AttemptOutcome, ChildReport, DestinationFault, LinkReport, kind_of
from recorder.live.queue import PacketQueue
from recorder.live.url import parse_live_url
from recorder.model.packet import TrackId

TURN_S = 0.04
"""The longest wait of a turn for the child. Packets are fetched this often, since the encoder wakes no thread."""

_TOO_LATE = {
    "start": (DestinationFault.FAILED, "its process did not start in time"),
    "resolve": (DestinationFault.UNKNOWN_HOST, "no answer in time"),
    "load": (DestinationFault.FAILED, "its process did not get ready in time"),
    "secure": (DestinationFault.TIMEOUT, "while TLS was set up: is this a port without TLS?"),
    "folder": (DestinationFault.TIMEOUT, "its disk does not answer"),
    "listen": (DestinationFault.FAILED, "its process hangs"),
    "handshake": (DestinationFault.TIMEOUT, "it takes connections and says nothing"),
}


START_S, STEP_S, STALL_S, END_S, UNREAD_S = 10.0, 3.0, 6.0, 1.0, 5.0
"""Deadlines of the child's start, each step of connecting, a stream without progress, a finished child's end, and a
server program that reads nothing."""

LEAST_BYTES, MOST_BYTES = 8_192, 65_536
LONGEST_REPORT = 64 * 1024
RESOLVER = "timeout:1 attempts:3"
"""For the child's look-ups: the default asks again after 5 s, after the attempt's deadline (resolv.conf(5))."""
_REPORTS = msgspec.json.Decoder(ChildReport)


def buffer_bytes(bit_rate: int) -> int:
    """Return the bytes that each of four buffers to the network may hold: their content cannot be dropped."""
    bytes_ = bit_rate // 16 or MOST_BYTES
    return min(MOST_BYTES, max(LEAST_BYTES, 1 << (bytes_.bit_length() - 1)))  # the kernel rounds up to a power of two


class LiveChild(ChildProcess):
    """A running `python -m recorder.live.child`."""

    def __init__(self, pipe_bytes: int = MOST_BYTES) -> None:
        """Start it, with pipes of `pipe_bytes`. Raises OSError."""
        options = f"{os.environ.get('RES_OPTIONS', '')} {RESOLVER}".strip()
        super().__init__(python_module("recorder.live.child"), env=os.environ | {"RES_OPTIONS": options})
        self.resize_pipes(pipe_bytes)
        self._received = ReceiveBuffer(LONGEST_REPORT)

    def exchange(self, outbound: bytearray, timeout_s: float) -> list[ChildReport] | None:
        """Send `outbound` and return reports within `timeout_s`; None at the child's end. Raises ValueError."""
        wanting = [self.input] if outbound and not self.is_deaf else []
        readable, writable, _ = select.select([self.output], wanting, [], timeout_s)
        if writable:
            del outbound[: self.write(outbound[:MOST_BYTES])]
        if not readable:
            return []
        received = self.read()
        if received == b"":
            return None
        self._received.add(received or b"")
        return [_REPORTS.decode(line) for line in iter(self._received.line, None)]


class StopRequest:
    """A request to end an attempt, with the deadline for sending the rest; the stream `goes_on` in another attempt."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.deadline_ns = 0
        self.goes_on = False

    def set(self, deadline_ns: int, *, goes_on: bool = False) -> None:
        """Request the end; with `goes_on` another attempt follows. A second request can only withdraw that."""
        if self.event.is_set():
            self.goes_on = self.goes_on and goes_on
        else:
            self.deadline_ns, self.goes_on = deadline_ns, goes_on
            self.event.set()


class Attempt:
    """One connection, from the child's start to its end; `run` it once."""

    def __init__(
        self,
        target: StreamTarget,
        queue: PacketQueue,
        templates: Mapping[TrackId, Stream],
        *,
        clock: Clock,
        stop: StopRequest,
        at_newest: bool,
        on_turn: Callable[[], None],
    ) -> None:
        """`on_turn` is called when the stream begins, and in each turn."""
        self._url = parse_live_url(target.url.reveal())
        self._ca_file = target.ca_file
        self._queue = queue
        self._templates = templates
        self._clock = clock
        self._stop = stop
        self._at_newest = at_newest
        self._on_turn = on_turn
        self._child: LiveChild | None = None
        self._feed: FlvMuxer | None = None
        self._finished = self._broken_off = False
        self._child_is_done = False
        self._outbound = bytearray()
        self._most_bytes = buffer_bytes(bit_rate(templates))
        self.step = "start"  # the child's last step (recorder.live.kind), or start or live
        self._progress_ns = clock.now_ns()
        self._live_ns: int | None = None
        self._report_ns = 0
        self.link: LinkReport | None = None  # the child's last report on the link; None before it is live

    @property
    def is_child_alive(self) -> bool:
        """Whether its child runs; after `run` the kernel could not kill it."""
        return self._child is not None and self._child.status is None

    @property
    def has_begun(self) -> bool:
        """Whether viewers get frames: the server accepts the stream, and a keyframe was sent."""
        return self._feed is not None

    def run(self) -> AttemptOutcome:
        """Stream until an outcome; blocks. Afterwards the child is dead, and unsent packets are back in the queue."""
        try:
            child = self._child = LiveChild(self._most_bytes)
        except OSError as error:
            return AttemptOutcome(DestinationFault.FAILED, error.strerror or "")
        outcome = None
        try:
            self._outbound += self._order()
            while outcome is None:
                outcome = self._refill() or self._exchange(child) or self._check_deadlines()
                self._on_turn()
        finally:
            child.end(END_S if self._child_is_done else 0.0)
            self._queue.put_back()
            self._templates = {}  # they keep an encoder alive
        return outcome

    def _order(self) -> bytes:
        bounded = msgspec.structs.replace(
            stream_request(self._templates),
            io_timeout_s=STALL_S,
            connect_timeout_s=STEP_S,
            held_bytes=self._most_bytes,
            ca_file=str(self._ca_file) if self._ca_file else None,
        )
        return msgspec.json.encode((self._url.scheme, self._url, bounded)) + b"\n"

    def _refill(self) -> AttemptOutcome | None:
        """Move packets from the queue into the outbound bytes, up to the child's limit."""
        packet = None
        try:
            if self._feed is None:
                self._begin()
            while self._feed and not self._finished and len(self._outbound) < self._most_bytes:
                packet = self._queue.take()
                if packet:
                    self._feed.add(packet)
                elif self._stop.event.is_set() and not self._outbound:  # until then `goes_on` can be withdrawn
                    self._finish(self._feed)
                self._outbound += self._feed.data
                self._feed.data.clear()
                if packet is None:
                    break
        except FFmpegError as error:
            what = f"the {packet.track} of {packet.dts_s:.3f} s" if packet else "the stream"
            return AttemptOutcome(DestinationFault.FAILED, f"packing {what}: {error.strerror}", self._live_s())
        return None

    def _finish(self, feed: FlvMuxer) -> None:
        """End the stream, or break it off where another attempt continues it: players then wait for that."""
        self._finished = True
        self._broken_off = self._stop.goes_on and kind_of(self._url.scheme).goes_on
        if not self._broken_off:
            feed.finish()

    def _begin(self) -> None:
        """Begin the stream at a keyframe once the server accepts it."""
        if self._url.listens:
            self._queue.keep_newest()
        if self._live_ns is not None and (start := self._queue.start(at_newest=self._at_newest)):
            self._feed = FlvMuxer(self._templates, start)
            self._on_turn()  # now viewers get frames; frames dropped until now are told too

    def _exchange(self, child: LiveChild) -> AttemptOutcome | None:
        reports = child.exchange(self._outbound, TURN_S)
        if child.is_deaf:
            self._outbound.clear()
        elif self._finished and not self._outbound:
            child.close_input()
        if not self._outbound and self._live_ns is not None:
            self._progress_ns = self._clock.now_ns()
        if reports is None and self._broken_off:
            self._child_is_done = True
            return AttemptOutcome(live_s=self._live_s())
        if reports is None:
            return AttemptOutcome(DestinationFault.FAILED, "its process ended without a word", self._live_s())
        return next(filter(None, map(self._handle_report, reports)), None)

    def _handle_report(self, report: ChildReport) -> AttemptOutcome | None:
        self._progress_ns = self._clock.now_ns()
        match report:
            case str(step):
                self.step = step
                if step == "live":
                    self._live_ns = self._progress_ns
            case LinkReport():
                if self._feed is not None:
                    self._queue.sent(self._feed.start_s + report.dts_s + 0.002)  # FLV counts milliseconds
                self._report_ns = self._clock.now_ns()
                self.link = report  # last: readers find its packets acknowledged
            case AttemptOutcome(reason, detail):
                self._child_is_done = True
                if reason is None:
                    self._queue.all_sent()
                return AttemptOutcome(reason, detail, self._live_s())
        return None

    def _check_deadlines(self) -> AttemptOutcome | None:
        """End the attempt at a deadline, or on a stop request with nothing left to send."""
        now_ns = self._clock.now_ns()
        if self._stop.event.is_set() and (self._feed is None or now_ns >= self._stop.deadline_ns):
            return AttemptOutcome(live_s=self._live_s())
        if self._unread_s(now_ns) >= UNREAD_S:
            return AttemptOutcome(DestinationFault.STALLED, "the server reads no data", self._live_s())
        limit_s = {"start": START_S, "live": STALL_S}.get(self.step, STEP_S)
        if (now_ns - self._progress_ns) / NANOSECONDS < limit_s:
            return None
        if self._live_ns is None:
            return AttemptOutcome(*_TOO_LATE.get(self.step, (DestinationFault.TIMEOUT, "")))
        if self._outbound:
            return AttemptOutcome(DestinationFault.STALLED, "", self._live_s())
        return None

    def _unread_s(self, now_ns: int) -> float:
        """Return how long the server's program has read nothing; a blocked child reports nothing new."""
        if not self.link or not self.link.unread_s:
            return 0.0
        return self.link.unread_s + (now_ns - self._report_ns) / NANOSECONDS

    def _live_s(self) -> float:
        return 0.0 if self._live_ns is None else (self._clock.now_ns() - self._live_ns) / NANOSECONDS
