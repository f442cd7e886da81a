"""One attempt to stream to one destination: what goes to the child, what its reports mean, and the deadlines."""

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from av.error import FFmpegError
from av.stream import Stream

from devices.host.clock import NANOSECONDS, Clock
from recorder.live.feed import FlvFeed, announcement, bit_rate
from recorder.live.kind import LiveUrl, kind_of
from recorder.live.process import LiveChild, half_a_second
from recorder.live.protocol import Ended, Entered, Failed, Live, Report, Request, Sent
from recorder.live.queue import PacketQueue
from recorder.live.reason import Reason
from recorder.model.packet import TrackId

TURN_S = 0.04
"""How long a turn waits for the child. The encoder's thread wakes nobody, so packets are fetched this often."""

_TOO_LATE = {
    "start": (Reason.FAILED, "its process did not start in time"),
    "resolve": (Reason.UNKNOWN_HOST, "no answer in time"),
    "load": (Reason.FAILED, "its process did not get ready in time"),
    "secure": (Reason.TIMEOUT, "while TLS was set up: is this a port for rtmp://?"),
    "folder": (Reason.TIMEOUT, "its disk does not answer"),
    "listen": (Reason.FAILED, "its process hangs"),
    "handshake": (Reason.TIMEOUT, "it takes connections and says nothing"),
}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: for the child to start, each step of connecting, a live stream to move, a child that is done to go.

    `unread_s` is for how long a server's program may read nothing of what its kernel takes for it.
    """

    start_s: float = 10.0
    step_s: float = 3.0
    stall_s: float = 6.0
    end_s: float = 1.0
    unread_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: why (None: because it was told to), what more is known, and how long it was live."""

    reason: Reason | None
    detail: str = ""
    live_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an attempt streams to, and its deadlines there. `ca_file` holds the authorities of an RTMPS server."""

    url: LiveUrl
    ca_file: Path | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)


class StopRequest:
    """The wish that an attempt end, until when it may still send what it has, and whether the stream `goes_on`."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.deadline_ns = 0
        self.goes_on = False

    def set(self, deadline_ns: int, *, goes_on: bool = False) -> None:
        """Wish it; where the stream `goes_on`, another attempt follows at once.

        A second wish changes nothing but this: after the wish for its end, the stream goes on no more.
        """
        if self.event.is_set():
            self.goes_on = self.goes_on and goes_on
        else:
            self.deadline_ns, self.goes_on = deadline_ns, goes_on
            self.event.set()


class Attempt:
    """One connection, from the child's start to its end; `run` it once."""

    def __init__(
        self,
        to: Endpoint,
        queue: PacketQueue,
        templates: Mapping[TrackId, Stream],
        *,
        clock: Clock,
        stop: StopRequest,
        at_newest: bool,
        on_turn: Callable[[], None],
    ) -> None:
        """`on_turn` is called as soon as the stream begins, and with each turn."""
        self._to = to
        self._queue = queue
        self._templates = templates
        self._clock = clock
        self._stop = stop
        self._at_newest = at_newest
        self._on_turn = on_turn
        self._child: LiveChild | None = None
        self._feed: FlvFeed | None = None
        self._finished = self._broken_off = False
        self._over = False
        self._outbound = bytearray()
        self._most_bytes = half_a_second(bit_rate(templates))
        self.step = "start"
        """What the child said it does (recorder.live.protocol), or start or live."""
        self._moved_ns = clock.now_ns()
        self._live_ns: int | None = None
        self.sent_s: float | None = None
        """Session time up to which the network has taken the stream."""
        self._told_ns = 0
        self.link: Sent | None = None
        """What the child last said of the link (recorder.live.protocol); None before it is live."""

    @property
    def is_left(self) -> bool:
        """Whether its child is still there; once it has run, that is one that could not be killed."""
        return self._child is not None and self._child.status is None

    @property
    def has_begun(self) -> bool:
        """Whether there is something to be seen: the server takes the stream, and a keyframe was there."""
        return self._feed is not None

    def run(self) -> Outcome:
        """Stream until something ends it; the child is killed when this returns, and what it did not send is back."""
        try:
            child = self._child = LiveChild(self._most_bytes)
        except OSError as error:
            return Outcome(Reason.FAILED, error.strerror or "")
        outcome = None
        try:
            self._outbound += self._request()
            while outcome is None:
                outcome = self._refill() or self._exchange(child) or self._judge()
                self._on_turn()
        finally:
            child.end(self._to.deadlines.end_s if self._over else 0.0)
            self._queue.put_back()
            self._templates = {}  # with them, an encoder would be kept
        return outcome

    def _request(self) -> bytes:
        request = Request(
            parent=os.getpid(),
            stream=announcement(self._templates),
            io_timeout_s=self._to.deadlines.stall_s,
            connect_timeout_s=self._to.deadlines.step_s,
            held_bytes=self._most_bytes,
            ca_file=str(self._to.ca_file) if self._to.ca_file else None,
        )
        return msgspec.json.encode((self._to.url.scheme, self._to.url, request)) + b"\n"

    def _refill(self) -> Outcome | None:
        """Fill up the bytes for the child; what libav will not pack ends the attempt."""
        try:
            self._pack()
        except FFmpegError as error:
            last = self._queue.last_taken
            what = f"the {last.track} of {last.dts_s:.3f} s" if last else "the first packet"
            return Outcome(Reason.FAILED, f"packing {what}: {error.strerror}", self._live_s())
        return None

    def _pack(self) -> None:
        """Move packets from the queue into the bytes for the child, as far as the child takes them."""
        if self._feed is None:
            self._begin()
        while self._feed and not self._finished and len(self._outbound) < self._most_bytes:
            packet = self._queue.take()
            if packet:
                self._feed.add(packet)
            elif self._stop.event.is_set():
                self._finish(self._feed)
            self._outbound += self._feed.data
            self._feed.data.clear()
            if packet is None:
                break

    def _finish(self, feed: FlvFeed) -> None:
        """End the stream, or break it off where the next attempt goes on with it: whoever plays it waits for that."""
        self._finished = True
        self._broken_off = self._stop.goes_on and kind_of(self._to.url.scheme).goes_on
        if not self._broken_off:
            feed.finish()

    def _begin(self) -> None:
        """Begin the stream once it is wanted, and not before: with what is newest then, however long it took."""
        if self._to.url.listens:
            self._queue.keep_newest()
        if self._live_ns is not None and (start := self._queue.start(at_newest=self._at_newest)):
            self._feed = FlvFeed(self._templates, start)
            self._on_turn()  # not before there is anything to see; what was left out by then is told with it

    def _exchange(self, child: LiveChild) -> Outcome | None:
        """Write what the child takes and weigh what it reports, waiting at most a turn for either."""
        reports = child.exchange(self._outbound, TURN_S)
        if child.is_deaf:
            self._outbound.clear()
        elif self._finished and not self._outbound:
            child.close_input()
        if not self._outbound and self._live_ns is not None:
            self._moved_ns = self._clock.now_ns()
        if reports is None and self._broken_off:
            self._over = True
            return Outcome(None, "", self._live_s())
        if reports is None:
            return Outcome(Reason.FAILED, "its process ended without a word", self._live_s())
        return next(filter(None, map(self._take_note, reports)), None)

    def _take_note(self, report: Report) -> Outcome | None:
        self._moved_ns = self._clock.now_ns()
        match report:
            case Entered(step):
                self.step = step
            case Live():
                self.step, self._live_ns = "live", self._moved_ns
            case Sent():
                self._acknowledge(report.dts_s)
                self._told_ns = self._clock.now_ns()
                self.link = report  # last: who looks at it finds acknowledged what it tells of
            case Failed(reason, detail):
                self._over = True
                return Outcome(reason, detail, self._live_s())
            case Ended():
                self._over = True
                self._queue.all_sent()
                return Outcome(None, "", self._live_s())
        return None

    def _acknowledge(self, dts_s: float) -> None:
        if self._feed is None:
            return
        self.sent_s = self._feed.start_s + dts_s
        self._queue.sent(self.sent_s + 0.002)  # FLV counts milliseconds

    def _judge(self) -> Outcome | None:
        """End the attempt when something takes too long, or when it is to stop and has nothing to lose."""
        now_ns = self._clock.now_ns()
        if self._stop.event.is_set() and (self._feed is None or now_ns >= self._stop.deadline_ns):
            return Outcome(None, "", self._live_s())
        if self._unread_s(now_ns) >= self._to.deadlines.unread_s:
            return Outcome(Reason.STALLED, "what arrives there is not read", self._live_s())
        deadlines = self._to.deadlines
        limit_s = {"start": deadlines.start_s, "live": deadlines.stall_s}.get(self.step, deadlines.step_s)
        if (now_ns - self._moved_ns) / NANOSECONDS < limit_s:
            return None
        if self._live_ns is None:
            return Outcome(*_TOO_LATE.get(self.step, (Reason.TIMEOUT, "")))
        if self._outbound:
            return Outcome(Reason.STALLED, "", self._live_s())
        return None

    def _unread_s(self, now_ns: int) -> float:
        """Return for how long the server's program has read nothing; a child that is held up by it tells no more."""
        if not self.link or not self.link.unread_s:
            return 0.0
        return self.link.unread_s + (now_ns - self._told_ns) / NANOSECONDS

    def _live_s(self) -> float:
        return 0.0 if self._live_ns is None else (self._clock.now_ns() - self._live_ns) / NANOSECONDS
