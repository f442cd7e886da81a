"""Measures with an iperf3 server, by its protocol.

A control connection carries states, a signed byte each, and JSON behind four bytes of length (esnet/iperf,
src/iperf_api.c). Each stream is a connection to the same port that begins with the same cookie.
"""

import json
import math
import secrets
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from enum import IntEnum
from functools import partial

from devices.uplink.connecting import Cancelled, Deadline, NetworkError, NetworkFault
from devices.uplink.connection import ServerConnector, UplinkConnection, UplinkServer
from devices.uplink.http import receive
from devices.uplink.model import UplinkBudget, UplinkProgress, UplinkResult
from devices.uplink.traffic import (
    IDLED,
    REACHED,
    UP,
    ByteAllowance,
    RateCallback,
    TrafficStream,
    TransferSamples,
    combined_result,
    fill_link,
    idle_latency,
    noise,
    phase_progress,
)

BLOCK_BYTES = 131_072  # the server's default size of a read or write
END_S = 1.0  # the longest time for a server to end a test; only packet loss needs more
_EXPLAIN_S = 0.3
_COOKIE = "abcdefghijklmnopqrstuvwxyz234567"
_COOKIE_LENGTH = 36
_PACING_US = 1000
_VERSION = "3.18"
_LARGEST = 4096
_ERRORS = {
    27: "more data a second than this server takes",
    37: "longer than this server measures",
    142: "this server asks for a name and a password",
    160: "longer than this server measures",
}


class Iperf3State(IntEnum):
    """The protocol's states; the client sends TEST_END, IPERF_DONE and CLIENT_TERMINATE."""

    TEST_START = 1
    TEST_RUNNING = 2
    TEST_END = 4
    PARAM_EXCHANGE = 9
    CREATE_STREAMS = 10
    SERVER_TERMINATE = 11
    CLIENT_TERMINATE = 12
    IPERF_DONE = 16
    ACCESS_DENIED = -1
    SERVER_ERROR = -2


def traffic_parameters(streams: int, seconds: float, *, down: bool) -> Mapping[str, object]:
    """Return the parameters of a one-way TCP test. The client ends it before `seconds` are over."""
    wanted: dict[str, object] = {"tcp": True, "omit": 0, "time": math.ceil(seconds), "num": 0, "blockcount": 0}
    wanted |= {"parallel": streams, "len": BLOCK_BYTES, "pacing_timer": _PACING_US, "client_version": _VERSION}
    return wanted | ({"reverse": True} if down else {})


class Iperf3Control(AbstractContextManager["Iperf3Control"]):
    """The control connection of one test, which it owns; the `with` ends the test."""

    def __init__(self, channel: UplinkConnection) -> None:
        self.cookie = "".join(secrets.choice(_COOKIE) for _ in range(_COOKIE_LENGTH)).encode() + b"\0"
        """The first bytes of each stream of this test."""
        self._channel = channel
        self._received = b""
        self._lock = threading.Lock()
        self._has_ended = False

    def __exit__(self, *_: object) -> None:
        self._end_with(_byte(Iperf3State.CLIENT_TERMINATE))
        self._channel.leave()

    def agree(self, wanted: Mapping[str, object], patience: Deadline) -> None:
        """Agree on a test; the server then waits for its streams. Raises NetworkError and Cancelled."""
        self._say(self.cookie, patience)
        self.expect(Iperf3State.PARAM_EXCHANGE, patience)
        self._say(_message(wanted), patience)
        self.expect(Iperf3State.CREATE_STREAMS, patience)

    def look(self) -> None:
        """Raise NetworkError where the server ends a running test."""
        if not self._received:
            said = self._channel.receive(_LARGEST)
            if said is None:
                return
            self._received = said
        if not self._has_ended:
            raise self._trouble(self._take(1))

    def explain(self, trouble: NetworkError, stop: threading.Event) -> NetworkError:
        """Return the server's own reason for hanging up, else `trouble`. Raises Cancelled."""
        if self._received or self._channel.wait(Deadline.of(_EXPLAIN_S, stop)):
            try:
                self.look()
            except NetworkError as better:
                return better
        return trouble

    def end(self) -> None:
        """End the test, before any stream is closed. Thread-safe, idempotent.

        A server calls a closed stream an error, and some before 3.16 (2023) then hang. All messages go at once: waiting
        for each answer costs a round trip.
        """
        self._end_with(_byte(Iperf3State.TEST_END) + _message(_RESULTS) + _byte(Iperf3State.IPERF_DONE))

    def wait_until_free(self, stop: threading.Event) -> None:
        """Wait at most END_S until the server hangs up and accepts the next test; ends with `stop`."""
        until = time.monotonic() + END_S
        while not stop.is_set() and self._channel.wait(Deadline(until, stop)):
            if self._channel.receive(_LARGEST) == b"":
                return

    def _end_with(self, words: bytes) -> None:
        with self._lock, suppress(OSError):
            if not self._has_ended:
                self._has_ended = True
                self._channel.send(words)

    def _say(self, words: bytes, patience: Deadline) -> None:
        with suppress(OSError):  # the reason may have come before
            self._channel.send_all(words, patience.step())

    def expect(self, state: Iperf3State, patience: Deadline) -> None:
        """Wait for a state of the server. Raises NetworkError and Cancelled."""
        said = self._read(1, patience, has_begun=state is not Iperf3State.PARAM_EXCHANGE)
        if said != _byte(state):
            raise self._trouble(said)

    def _read(self, count: int, patience: Deadline, *, has_begun: bool) -> bytes:
        patience = patience.step()
        while len(self._received) < count:
            more = receive(self._channel, patience, has_begun=has_begun)
            if not more:
                break
            self._received += more
        return self._take(count)

    def _take(self, count: int) -> bytes:
        said, self._received = self._received[:count], self._received[count:]
        return said

    def _trouble(self, said: bytes) -> NetworkError:
        """Return the fault of an unexpected byte, b"" for a closed connection."""
        if not said:
            return NetworkError(NetworkFault.CLOSED)
        if said == _byte(Iperf3State.ACCESS_DENIED):
            return NetworkError(NetworkFault.BUSY)
        if said == _byte(Iperf3State.SERVER_TERMINATE):
            return NetworkError(NetworkFault.SERVER_ERROR, "the measurement was stopped")
        if said == _byte(Iperf3State.SERVER_ERROR):
            return NetworkError(NetworkFault.SERVER_ERROR, self._error())
        return NetworkError(NetworkFault.FOREIGN, "not iperf3")

    def _error(self) -> str:
        try:
            number = struct.unpack(">i", self._read(4, Deadline.of(_EXPLAIN_S, threading.Event()), has_begun=True))[0]
        except (NetworkError, struct.error):
            return ""
        return _ERRORS.get(number, f"iperf3 {number}")


_RESULTS: Mapping[str, object] = {
    "cpu_util_total": 0,
    "cpu_util_user": 0,
    "cpu_util_system": 0,
    "sender_has_retransmits": 0,
    "streams": [],
}
"""The least that the server accepts; it fills the server's own report only."""


def _byte(state: Iperf3State) -> bytes:
    return struct.pack("b", state)


def _message(content: Mapping[str, object]) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack(">I", len(text)) + text


REACH_S = 7.0
LONGEST_S = 19.0  # for the whole measurement: the download gets the remaining time
_LEAST_S = 2.0
_BETWEEN_S = (0.1, 0.4, 1.0)  # pauses between attempts at a busy server: after a test it takes a moment to listen again
_NOT_FREE = (NetworkFault.BUSY, NetworkFault.REFUSED, NetworkFault.CLOSED)


def _stream(
    control: Iperf3Control, channel: UplinkConnection, over: threading.Event, allowance: ByteAllowance, *, sends: bool
) -> TrafficStream:
    """Return an open connection as a TrafficStream, which ends the test before the connection closes."""

    def move(stream: TrafficStream, channel: UplinkConnection, patience: Deadline) -> None:
        try:
            (_send if sends else TrafficStream.take_all)(stream, channel, patience)
        except Cancelled:
            over.set()  # also at the end of the allowance: no stream connects again
            control.end()
            raise

    return TrafficStream(lambda _patience: channel, move, over, allowance, sends=sends, opens_again=False)


def _send(stream: TrafficStream, channel: UplinkConnection, patience: Deadline) -> None:
    def look() -> None:
        if channel.receive(1) is not None:  # a receiver sends nothing
            raise NetworkError(NetworkFault.CLOSED)

    while True:
        for data in noise(BLOCK_BYTES):
            stream.give(channel, data, patience, look)


def measure(server: UplinkServer, budget: UplinkBudget, stop: threading.Event, tell: UplinkProgress) -> UplinkResult:
    """Measure both directions, and the latency, within 20 s. Raises NetworkError and, soon after `stop`, Cancelled."""
    tell("reach", 0.0, None)
    began = time.monotonic()
    way = ServerConnector(server, Deadline.of(REACH_S, stop))
    with _running(way, budget, stop, budget.idle_s + budget.up_s, down=False) as fill_up:
        tell("idle", REACHED, None)
        # During a test the server refuses other connections, so probes do not disturb it.
        idle = idle_latency(way.addresses, budget, stop)
        up = fill_up(budget.up_s, budget.up_bytes, phase_progress(tell, "up", IDLED, UP))
    with _running(way, budget, stop, budget.down_s, down=True) as fill_down:
        down_s = min(budget.down_s, max(_LEAST_S, LONGEST_S - END_S - (time.monotonic() - began)))
        down = fill_down(down_s, budget.most_bytes - up.total_bytes, phase_progress(tell, "down", UP, 1.0))
    return combined_result(up, down, idle, budget)


@contextmanager
def _running(
    way: ServerConnector, budget: UplinkBudget, stop: threading.Event, seconds: float, *, down: bool
) -> Iterator[Callable[[float, int, RateCallback], TransferSamples]]:
    """Run a one-way test in the `with`; yields a function that fills the link. Raises NetworkError and Cancelled."""
    patience = Deadline.of(REACH_S, stop)
    wanted = traffic_parameters(budget.streams, seconds, down=down)
    with ExitStack() as opened, _agreed(way, wanted, patience) as control:
        channels = _streams(way, budget.streams, control.cookie, patience, opened)
        control.expect(Iperf3State.TEST_START, patience)
        control.expect(Iperf3State.TEST_RUNNING, patience)  # now the server has all streams

        makers = [partial(_stream, control, channel, sends=not down) for channel in channels]

        def fill_it(seconds: float, most_bytes: int, tell: RateCallback) -> TransferSamples:
            def look_and_tell(share: float, rate: float) -> None:
                control.look()
                tell(share, rate)

            try:
                moved = fill_link(way.addresses, makers, seconds, most_bytes, budget.warm_up_s, stop, look_and_tell)
            except NetworkError as error:
                if error.trouble is not NetworkFault.CLOSED:
                    raise
                raise control.explain(error, stop) from None
            control.end()
            control.wait_until_free(stop)
            return moved

        yield fill_it


def _agreed(way: ServerConnector, wanted: Mapping[str, object], patience: Deadline) -> Iperf3Control:
    for wait_s in _BETWEEN_S:
        try:
            return _agreed_now(way, wanted, patience)
        except NetworkError as error:
            if error.trouble not in _NOT_FREE:
                raise
        if patience.stop.wait(wait_s):
            raise Cancelled
    return _agreed_now(way, wanted, patience)


def _agreed_now(way: ServerConnector, wanted: Mapping[str, object], patience: Deadline) -> Iperf3Control:
    with ExitStack() as in_vain:
        control = in_vain.enter_context(Iperf3Control(way.open(patience)))
        control.agree(wanted, patience)
        in_vain.pop_all()
    return control


def _streams(
    way: ServerConnector, count: int, cookie: bytes, patience: Deadline, opened: ExitStack
) -> Sequence[UplinkConnection]:
    """Connect all streams of a test at once; `opened` closes them. Raises NetworkError and Cancelled."""

    def one(_: int) -> UplinkConnection:
        channel = opened.enter_context(way.open(patience))
        with suppress(OSError):  # the control connection has the reason
            channel.send_all(cookie, patience.step())
        return channel

    with ThreadPoolExecutor(count, "uplink-connect") as pool:
        return list(pool.map(one, range(count)))
