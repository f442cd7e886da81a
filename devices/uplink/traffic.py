"""Fills a link one way over several connections, and probes latency. Bytes count once in the receiver's kernel."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from devices.host import threads
from devices.host.background import BackgroundTask
from devices.uplink.connecting import Address, Cancelled, Deadline, NetworkError, NetworkFault, connect
from devices.uplink.connection import UplinkConnection
from devices.uplink.http import AT_ONCE, receive
from devices.uplink.model import STEP_S, LinkLatency, LinkRate, UplinkBudget, UplinkProgress, UplinkResult
from devices.uplink.tcp_info import TcpInfo, tcp_info

_NOISE = os.urandom(1 << 20)
_PIECE_BYTES = 131_072


def noise(count: int) -> Sequence[memoryview]:
    """Return `count` incompressible bytes, in pieces."""
    whole, pieces = memoryview(_NOISE), []
    while count:
        begin = random.randrange(0, len(whole) - _PIECE_BYTES)  # noqa: S311 - not a secret
        piece = whole[begin : begin + min(count, _PIECE_BYTES)]
        pieces.append(piece)
        count -= len(piece)
    return pieces


NOTHING_RECEIVED = TcpInfo(received_bytes=0, received_segments=0)


def bytes_behind_gap(whole: TcpInfo, now: TcpInfo) -> int:
    """Return the number of bytes behind a gap, within a segment; `whole` is the last state without a gap.

    On a full link all segments have one size. Duplicates count too: 0.3 % or less, and 4.5 % over 200 Mb/s with a round
    trip of 150 ms and 3 % loss.
    """
    segments = (now.received_segments or 0) - (whole.received_segments or 0)
    in_order = (now.received_bytes or 0) - (whole.received_bytes or 0)
    return max(0, segments * (now.received_segment_bytes or 0) - in_order)


SAMPLE_S = 0.05
STALL_S = 3.0  # a link that moves nothing for this long has stopped; several lost packets in a row take less
STALLED_AT_END_S = 2.0
TO_ANSWER_S = 0.3  # the time for a server to refuse a small amount of data
MOST_FAILURES = 3
_WORTH_BYTES = 65_536
_LEAST_BYTES = 4096  # the smallest receive near the end of the allowance: fewer bytes would take many calls
_MOST_STREAMS = 8
"""The maximum of `[check] streams`: each receives this fraction at once, so all get a share of the rest."""

type RateCallback = Callable[[float, float], None]
"""Called now and then with the elapsed share of the time, and the rate in bits a second."""
type Open = Callable[[Deadline], UplinkConnection]
type MoveBytes = Callable[["TrafficStream", UplinkConnection, Deadline], None]
"""Moves bytes until the connection ends; raises NetworkError, OSError and Cancelled."""


class ByteAllowance:
    """The bytes that all streams together may still move. Thread-safe."""

    def __init__(self, count: int) -> None:
        self.most = self.left = count
        self.is_used_up = False
        self._lock = threading.Lock()

    def take(self, most: int) -> int:
        """Take at most `most` bytes of it; raises Cancelled where nothing is left."""
        with self._lock:
            count = min(most, self.left)
            self.left -= count
            self.is_used_up = self.is_used_up or not count
        if not count:
            raise Cancelled
        return count

    def give_back(self, count: int) -> None:
        """Return bytes that were not moved."""
        with self._lock:
            self.left += count


class TrafficStream:
    """Moves bytes within the `allowance` on a thread until `over` is set, over one connection after the other."""

    def __init__(
        self,
        open_channel: Open,
        move: MoveBytes,
        over: threading.Event,
        allowance: ByteAllowance,
        *,
        sends: bool,
        opens_again: bool = True,
    ) -> None:
        """One that `sends` counts delivered bytes, else bytes it `received`. `opens_again`: after the server closes."""
        self.allowance = allowance
        self._open = open_channel
        self._move = move
        self._sends = sends
        self._opens_again = opens_again
        self._over = over
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._channel: UplinkConnection | None = None
        self._whole = NOTHING_RECEIVED
        self._moved = self.sent_bytes = self.again_bytes = 0
        """`sent_bytes` and `again_bytes` (retransmitted) count closed connections."""
        self.trouble: NetworkError | None = None  # the fault that ended it; None after `over`

    def start(self) -> None:
        self._thread = threads.start_thread(self.run, name="uplink-stream")

    def join(self, timeout_s: float) -> None:
        """Wait at most `timeout_s` for its end."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def run(self) -> None:
        """Connect and move bytes; connect again where the server closes."""
        failures = 0
        while failures < MOST_FAILURES and not self._over.is_set():
            before = self.moved
            try:
                self._once()
            except Cancelled:
                return
            except NetworkError as error:
                if error.trouble not in (NetworkFault.CLOSED, NetworkFault.REFUSED):
                    self.trouble = error
                    return
            except OSError:
                pass
            failures = 0 if self.moved - before >= _WORTH_BYTES else failures + 1
            if not self._opens_again:
                break
        if not self._over.is_set():
            self.trouble = NetworkError(NetworkFault.CLOSED)

    def _once(self) -> None:
        patience = Deadline(float("inf"), self._over)
        with self._open(patience) as channel:
            with self._lock:
                self._channel, self._whole = channel, NOTHING_RECEIVED
            try:
                self._move(self, channel, patience)
            finally:
                self._end(channel)

    def give(self, channel: UplinkConnection, data: memoryview, patience: Deadline, look: Callable[[], None]) -> None:
        """Send `data` within the allowance; `look` checks the server's answers. Raises OSError, Cancelled."""
        left = data
        while left:
            allowed = self.allowance.take(len(left))
            sent = channel.send(left[:allowed])
            self.allowance.give_back(allowed - sent)
            left = left[sent:]
            if not sent:
                channel.wait(patience, to_send=True)
            look()

    def take(self, receive_most: Callable[[int], bytes | None]) -> bytes | None:
        """Receive within the allowance, which is charged first so that no stream exceeds it."""
        allowed = self.allowance.take(max(_LEAST_BYTES, min(AT_ONCE, self.allowance.left // _MOST_STREAMS)))
        came: bytes | None = None
        try:
            came = receive_most(allowed)
        finally:
            self.allowance.give_back(allowed - len(came or b""))
        return came

    def take_all(self, channel: UplinkConnection, patience: Deadline) -> None:
        """Receive until the end; raises NetworkError, and Cancelled at the allowance's end."""
        while more := receive(channel, patience, has_begun=True, take=self.take):
            self.received(len(more))

    def received(self, count: int) -> None:
        with self._lock:
            self._moved += count

    @property
    def moved(self) -> int:
        """The bytes that have arrived so far. Thread-safe."""
        with self._lock:
            return self._moved + self._arrived()

    def _end(self, channel: UplinkConnection) -> None:
        with self._lock:
            self._moved += self._arrived()
            with contextlib.suppress(OSError):
                info = channel.info()
                self.sent_bytes += info.sent_bytes or 0
                self.again_bytes += info.again_bytes or 0
            self._channel = None

    def _arrived(self) -> int:
        """Return the bytes that arrived over the open connection and are not `received` yet, within a segment."""
        if self._channel:
            with contextlib.suppress(OSError):
                info = self._channel.info()
                if self._sends:
                    return info.delivered_bytes or 0
                if not info.unordered_segments:
                    self._whole = info
                return bytes_behind_gap(self._whole, info)
        return 0


@dataclass(frozen=True, slots=True)
class TransferSamples:
    """The bytes at each moment, and the `latencies` meanwhile; `is_capped`: the data limit ended it."""

    samples: Sequence[tuple[float, int]]
    is_capped: bool = False
    latencies: Sequence[float] = ()
    sent_bytes: int = 0
    again_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.samples[-1][1]

    def rate(self, warm_up_s: float) -> LinkRate:
        """Return the rate after the warm-up; for a short measurement that of its second half, or the average."""
        began, ended = self.samples[0][0], self.samples[-1][0]
        steady_at = began + min(warm_up_s, (ended - began) / 2)
        steady = [sample for sample in self.samples if sample[0] >= steady_at]
        steps, (since, before) = [], steady[0]
        for at, total in steady[1:]:
            if at - since >= STEP_S:
                steps.append((total - before) * 8 / (at - since))
                since, before = at, total
        return LinkRate.of(steps or [self.total_bytes * 8 / max(ended - began, SAMPLE_S)])


def watch_streams(
    streams: Sequence[TrafficStream],
    seconds: float,
    allowance: ByteAllowance,
    stop: threading.Event,
    tell: RateCallback,
) -> TransferSamples:
    """Watch `streams` for some seconds, or until their `allowance` is used up. Raises NetworkError and Cancelled."""
    began = moved_at = time.monotonic()
    samples = [(began, 0)]
    while not stop.wait(SAMPLE_S):
        # Bytes behind a gap are a guess, too high where segments are not full.
        now, total = time.monotonic(), min(allowance.most, sum(stream.moved for stream in streams))
        last_at, last = samples[-1]
        samples.append((now, total))
        tell((now - began) / seconds, (total - last) * 8 / (now - last_at))
        moved_at = now if total > last else moved_at
        if allowance.is_used_up:
            stop.wait(TO_ANSWER_S)
            for stream in streams:
                if stream.trouble and stream.trouble.trouble is NetworkFault.SERVER_ERROR:
                    raise stream.trouble
            return TransferSamples(samples, is_capped=True)
        if all(stream.trouble for stream in streams) and (trouble := streams[0].trouble):
            raise trouble
        is_over = now - began >= seconds
        if now - moved_at > (STALLED_AT_END_S if is_over else STALL_S):
            raise NetworkError(NetworkFault.STALLS)
        if is_over:
            return TransferSamples(samples)
    raise Cancelled


EVERY_S = 0.15
LONGEST_S = 3.0
_TO_END_S = 1.0


def round_trip(addresses: Sequence[Address], patience: Deadline) -> float:
    """Return a round trip in seconds, measured by the kernel. Raises NetworkError, Cancelled and OSError."""
    with connect(addresses, patience) as connection:
        rtt_s = tcp_info(connection).rtt_s
    if not rtt_s:
        raise OSError("this kernel does not report the round-trip time")
    return rtt_s


REACHED, IDLED, UP = 0.05, 0.12, 0.6

type MakeStream = Callable[[threading.Event, ByteAllowance], TrafficStream]
"""Returns a stream that ends with the event, and moves no more than the allowance."""


def fill_link(
    addresses: Sequence[Address],
    makers: Sequence[MakeStream],
    seconds: float,
    most_bytes: int,
    warm_up_s: float,
    stop: threading.Event,
    tell: RateCallback,
) -> TransferSamples:
    """Fill the link by streams for some seconds. Raises NetworkError, Cancelled, and errors of `tell`."""
    over, allowance = threading.Event(), ByteAllowance(most_bytes)
    streams = [make(over, allowance) for make in makers]
    probes: list[tuple[float, float]] = []

    def probe() -> None:
        rtt_s = round_trip(addresses, Deadline.of(LONGEST_S, prober.stopped))
        probes.append((time.monotonic(), rtt_s))

    prober = BackgroundTask("uplink-prober", probe, pause=EVERY_S, failed=lambda _error: None)
    prober.start()
    began = time.monotonic()
    try:
        for stream in streams:
            stream.start()
        moved = watch_streams(streams, seconds, allowance, stop, tell)
    finally:
        over.set()
        for stream in streams:
            stream.join(_TO_END_S)
        prober.stop(_TO_END_S)
    warm_at = began + min(warm_up_s, (moved.samples[-1][0] - began) / 2)
    return replace(
        moved,
        latencies=[rtt_s for at, rtt_s in list(probes) if at >= warm_at],
        sent_bytes=sum(stream.sent_bytes for stream in streams),
        again_bytes=sum(stream.again_bytes for stream in streams),
    )


def idle_latency(addresses: Sequence[Address], budget: UplinkBudget, stop: threading.Event) -> LinkLatency | None:
    """Return the latency of the idle link, by at least two probes; None if they fail. Raises Cancelled."""
    samples: list[float] = []
    until, patience = time.monotonic() + budget.idle_s, Deadline.of(2 * budget.idle_s, stop)
    with contextlib.suppress(NetworkError, OSError):  # the rate does not depend on it
        while time.monotonic() < until or len(samples) < 2:
            samples.append(round_trip(addresses, patience))
            if stop.wait(EVERY_S / 3):
                raise Cancelled
        return LinkLatency.of(samples)
    return None


def combined_result(
    up: TransferSamples, down: TransferSamples, idle: LinkLatency | None, budget: UplinkBudget
) -> UplinkResult:
    """Return the result of both directions."""
    return UplinkResult(
        up=up.rate(budget.warm_up_s),
        down=down.rate(budget.warm_up_s),
        idle=idle,
        loaded=LinkLatency.of(up.latencies),
        loaded_down=LinkLatency.of(down.latencies),
        again_share=up.again_bytes / up.sent_bytes if up.sent_bytes else None,
        moved_bytes=up.total_bytes + down.total_bytes,
        streams=budget.streams,
        is_capped=up.is_capped or down.is_capped,
    )


def phase_progress(tell: UplinkProgress, phase: str, begin: float, end: float) -> RateCallback:
    """Return a callback that reports a phase from the share `begin` to `end` of the whole."""
    return lambda share, rate: tell(phase, begin + (end - begin) * min(1.0, share), rate)
