"""Measuring with a server that has LibreSpeed's backend: empty.php takes what it is sent, garbage.php gives noise."""

import threading
from functools import partial

from devices.uplink.channel import Channel
from devices.uplink.connecting import Patience
from devices.uplink.http import (
    FIRST_ERROR,
    Answers,
    is_page,
    read_head,
    read_whole,
    request,
    somebody_else,
)
from devices.uplink.model import Budget, Step, Tell, Uplink
from devices.uplink.one_way import IDLED, REACHED, UP, Heard, OneWay, both_ways, fill, idle_latency, told
from devices.uplink.server import Server, Way
from devices.uplink.traffic import TO_ANSWER_S, Allowance, Stream, noise
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble

POST_BYTES = 20_000_000
"""What LibreSpeed's own page sends at once; servers are set up to take it."""
GARBAGE_MB = 100
REACH_S = 7.0
"""To find out what it is that answers."""


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
        for data in (memoryview(self._head), *noise(POST_BYTES)):
            self.give(channel, data, patience, answers.look)


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
        answer = read_head(channel, patience, self.take)
        answer.refuse_error()
        self.received(len(answer.body))
        self.take_all(channel, patience)


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Measure both ways, and the latency before and meanwhile. Raises NetworkTrouble and Stopped."""
    tell(Step("reach", 0.0))
    patience = Patience.of(REACH_S, stop)
    way = Way(server, patience)
    greet(way, patience)
    tell(Step("idle", REACHED))
    idle = idle_latency(way.addresses, budget, stop)
    one_way = partial(_one_way, way, budget, stop)
    up = one_way(Upload, budget.up_s, budget.up_bytes, told(tell, "up", IDLED, UP))
    left = budget.most_bytes - up.moved.total_bytes
    down = one_way(Download, budget.down_s, left, told(tell, "down", UP, 1.0))
    return both_ways(up, down, idle, budget)


def _one_way(
    way: Way,
    budget: Budget,
    stop: threading.Event,
    kind: type[Upload | Download],
    seconds: float,
    most_bytes: int,
    tell: Heard,
) -> OneWay:
    def make(over: threading.Event, allowance: Allowance) -> list[Stream]:
        return [kind(way, over, allowance) for _ in range(budget.streams)]

    return fill(way.addresses, make, seconds, most_bytes, budget.warm_up_s, stop, tell)


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
