"""Measures with a LibreSpeed backend: empty.php accepts data, garbage.php sends noise."""

import threading
from collections.abc import Callable

from devices.uplink.channel import Channel
from devices.uplink.connecting import NetworkTrouble, Patience, Stopped, Trouble
from devices.uplink.http import (
    FIRST_ERROR,
    Answers,
    is_page,
    read_head,
    read_whole,
    request,
    somebody_else,
)
from devices.uplink.model import Budget, Tell, Uplink
from devices.uplink.server import Server, Way
from devices.uplink.traffic import (
    IDLED,
    REACHED,
    TO_ANSWER_S,
    UP,
    Allowance,
    Heard,
    Moved,
    Stream,
    both_ways,
    fill,
    idle_latency,
    noise,
    told,
)

POST_BYTES = 20_000_000
"""As LibreSpeed's own page posts; servers are configured for it."""
GARBAGE_MB = 100
REACH_S = 7.0


def _upload(way: Way, over: threading.Event, allowance: Allowance) -> Stream:
    """Return a stream of pipelined POSTs of noise: waiting for each answer slows a long, lossy link down."""
    head = request(
        "POST",
        f"{way.server.path}/empty.php",
        way.server.where,
        "Content-Type: application/octet-stream",
        "Content-Encoding: identity",
        f"Content-Length: {POST_BYTES}",
    )

    def send(stream: Stream, channel: Channel, patience: Patience) -> None:
        answers, count = Answers(channel), 0
        try:
            while answers.keeps_open:
                for data in (memoryview(head), *noise(POST_BYTES)):
                    stream.give(channel, data, patience, answers.look)  # some servers answer early
                count += 1
                answers.wait_for(count - 1, patience)
        except Stopped:
            if allowance.is_used_up and channel.wait(Patience.of(TO_ANSWER_S / 2, threading.Event())):
                answers.look()  # the server may have refused the data
            raise

    return Stream(way.open, send, over, allowance, sends=True)


def _download(way: Way, over: threading.Event, allowance: Allowance) -> Stream:
    head = request("GET", f"{way.server.path}/garbage.php?ckSize={GARBAGE_MB}", way.server.where, "Connection: close")

    def take(stream: Stream, channel: Channel, patience: Patience) -> None:
        channel.send_all(head, patience)
        answer = read_head(channel, patience, stream.take)
        answer.refuse_error()
        stream.received(len(answer.body))
        stream.take_all(channel, patience)

    return Stream(way.open, take, over, allowance, sends=False)


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Measure both directions, and the latency, within 20 s. Raises NetworkTrouble and, soon after `stop`, Stopped."""
    tell("reach", 0.0, None)
    patience = Patience.of(REACH_S, stop)
    way = Way(server, patience)
    greet(way, patience)
    tell("idle", REACHED, None)
    idle = idle_latency(way.addresses, budget, stop)

    def one_way(
        kind: Callable[[Way, threading.Event, Allowance], Stream], seconds: float, most: int, tell: Heard
    ) -> Moved:
        def make(over: threading.Event, allowance: Allowance) -> list[Stream]:
            return [kind(way, over, allowance) for _ in range(budget.streams)]

        return fill(way.addresses, make, seconds, most, budget.warm_up_s, stop, tell)

    up = one_way(_upload, budget.up_s, budget.up_bytes, told(tell, "up", IDLED, UP))
    down = one_way(_download, budget.down_s, budget.most_bytes - up.total_bytes, told(tell, "down", UP, 1.0))
    return both_ways(up, down, idle, budget)


def greet(way: Way, patience: Patience) -> None:
    """Check that a LibreSpeed server answers. Raises NetworkTrouble and Stopped."""
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
