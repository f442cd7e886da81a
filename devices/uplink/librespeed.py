"""Measuring with a server that has LibreSpeed's backend: empty.php takes what it is sent, garbage.php gives noise."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devices.uplink.channel import Channel
from devices.uplink.connecting import Patience
from devices.uplink.http import (
    FIRST_ERROR,
    Answers,
    is_page,
    read_head,
    read_whole,
    receive,
    request,
    somebody_else,
)
from devices.uplink.latency import Prober, round_trips
from devices.uplink.model import Budget, Latency, Step, Tell, Uplink
from devices.uplink.server import Server, Way
from devices.uplink.traffic import TO_ANSWER_S, Allowance, Moved, Stream, move
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble

POST_BYTES = 20_000_000
"""What LibreSpeed's own page sends at once; servers are set up to take it."""
GARBAGE_MB = 100
REACH_S = 7.0
"""To find out what it is that answers."""
_NOISE = os.urandom(1 << 20)
"""What is sent: nothing on the way can make it shorter."""
_AT_ONCE = 131_072
_REACHED, _IDLED, _UP = 0.05, 0.12, 0.6
"""How far the whole is after each part."""


class Upload(Stream):
    """Sends noise, one POST after the other over the same connection as long as the server keeps it."""

    sends = True

    def __init__(self, way: Way, over: threading.Event, allowance: Allowance) -> None:
        super().__init__(way.open, over, allowance)
        self._head = request(
            "POST",
            f"{way.server.path}/empty.php",
            way.server.where,
            "Content-Type: application/octet-stream",
            "Content-Encoding: identity",
            f"Content-Length: {POST_BYTES}",
        )

    def move(self, channel: Channel, patience: Patience) -> None:
        """Send until the server hangs up.

        A POST follows at once on the one before, whose answer is on its way meanwhile: else the connection would stand
        still for that, and on a long way that loses packets it takes long to be fast again.
        """
        answers, count = Answers(channel), 0
        try:
            while answers.keeps_open:
                self._post(channel, patience, answers)
                count += 1
                answers.wait_for(count - 1, patience)
        except Stopped:
            if self.allowance.is_used_up and channel.wait(Patience.of(TO_ANSWER_S / 2, threading.Event())):
                answers.look()  # where the server does not want what it was sent so far
            raise

    def _post(self, channel: Channel, patience: Patience, answers: Answers) -> None:
        """Send one POST; some servers answer before they have it all."""
        for data in (memoryview(self._head), *_noise(POST_BYTES)):
            left = data
            while left:
                allowed = self.allowance.take(len(left))
                sent = channel.send(left[:allowed])
                self.allowance.give_back(allowed - sent)
                left = left[sent:]
                if not sent:
                    channel.wait(patience, to_send=True)
                answers.look()


class Download(Stream):
    """Takes noise from the server, over a connection of its own each time."""

    def __init__(self, way: Way, over: threading.Event, allowance: Allowance) -> None:
        super().__init__(way.open, over, allowance)
        self._head = request(
            "GET", f"{way.server.path}/garbage.php?ckSize={GARBAGE_MB}", way.server.where, "Connection: close"
        )

    def move(self, channel: Channel, patience: Patience) -> None:
        """Receive until the server has given it all."""
        channel.send_all(self._head, patience)
        answer = read_head(channel, patience)
        answer.refuse_error()
        self.received(len(answer.body))
        while more := receive(channel, patience, has_begun=True):
            self.received(len(more))


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Measure both ways, and the latency before and meanwhile. Raises NetworkTrouble and Stopped."""
    tell(Step("reach", 0.0))
    patience = Patience.of(REACH_S, stop)
    way = Way(server, patience)
    greet(way, patience)
    tell(Step("idle", _REACHED))
    idle = Latency.of(_idle(way, budget, stop))
    up = _one_way(way, Upload, budget.up_s, budget.up_bytes, budget, stop, _told(tell, "up", _IDLED, _UP))
    left = budget.most_bytes - up.moved.total_bytes
    down = _one_way(way, Download, budget.down_s, left, budget, stop, _told(tell, "down", _UP, 1.0))
    sent, again = (sum(counts) for counts in zip(*(stream.sent_again for stream in up.streams), strict=True))
    return Uplink(
        up=up.moved.rate(budget.warm_up_s),
        down=down.moved.rate(budget.warm_up_s),
        idle=idle,
        loaded=Latency.of(up.latencies),
        loaded_down=Latency.of(down.latencies),
        again_share=again / sent if sent else None,
        moved_bytes=up.moved.total_bytes + down.moved.total_bytes,
        streams=budget.streams,
        is_capped=up.moved.is_capped or down.moved.is_capped,
    )


def greet(way: Way, patience: Patience) -> None:
    """Find out whether it is a LibreSpeed server that answers. Raises NetworkTrouble and Stopped."""
    server = way.server
    with way.open(patience) as channel:
        channel.send_all(request("GET", f"{server.path}/empty.php", server.where, "Connection: close"), patience)
        answer = read_whole(channel, patience.step())
    if (who := somebody_else(answer, server.host)) is not None:
        raise NetworkTrouble(Trouble.PORTAL, who)
    if answer.status < FIRST_ERROR and is_page(answer):
        raise NetworkTrouble(Trouble.PORTAL)
    if answer.status not in range(200, 300):
        raise NetworkTrouble(Trouble.FOREIGN, str(answer.status))


@dataclass(frozen=True, slots=True)
class _OneWay:
    """What went one way, over which streams, and the latencies meanwhile."""

    moved: Moved
    streams: Sequence[Stream]
    latencies: Sequence[float]


def _one_way(
    way: Way,
    kind: type[Upload | Download],
    seconds: float,
    most_bytes: int,
    budget: Budget,
    stop: threading.Event,
    tell: Callable[[float, float, int], None],
) -> _OneWay:
    over, allowance = threading.Event(), Allowance(most_bytes)
    streams: list[Stream] = [kind(way, over, allowance) for _ in range(budget.streams)]
    prober = Prober(way.addresses, over)
    prober.start()
    began = time.monotonic()
    try:
        moved = move(streams, seconds, allowance, stop, over, tell)
    finally:
        over.set()
        prober.join(1.0)
    took_s = moved.samples[-1][0] - began
    return _OneWay(moved, streams, prober.since(began + min(budget.warm_up_s, took_s / 2)))


def _idle(way: Way, budget: Budget, stop: threading.Event) -> list[float]:
    with contextlib.suppress(NetworkTrouble, OSError):  # the rate can be measured without
        return round_trips(way.addresses, budget.idle_s, Patience.of(2 * budget.idle_s, stop))
    return []


def _told(tell: Tell, phase: str, begin: float, end: float) -> Callable[[float, float, int], None]:
    return lambda share, rate, moved: tell(Step(phase, begin + (end - begin) * min(1.0, share), rate, moved))


def _noise(count: int) -> "list[memoryview]":
    """Return `count` bytes of noise in pieces."""
    noise, pieces = memoryview(_NOISE), []
    while count:
        begin = random.randrange(0, len(noise) - _AT_ONCE)  # noqa: S311 - not a secret
        piece = noise[begin : begin + min(count, _AT_ONCE)]
        pieces.append(piece)
        count -= len(piece)
    return pieces
