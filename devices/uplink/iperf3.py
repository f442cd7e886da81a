"""Measuring with an iperf3 server, over streams of our own: what arrives is told by this PC's kernel."""

import threading
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from devices.uplink.channel import Channel
from devices.uplink.connecting import Patience
from devices.uplink.iperf3_wire import BLOCK_BYTES, END_S, Control, parameters
from devices.uplink.model import Budget, Step, Tell, Uplink
from devices.uplink.one_way import IDLED, REACHED, UP, Heard, OneWay, both_ways, fill, idle_latency, told
from devices.uplink.server import Server, Way
from devices.uplink.traffic import Allowance, Stream, noise
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble

REACH_S = 7.0
LONGEST_S = 19.0
"""For the whole: the way down gets what is left of it."""
_LEAST_S = 2.0
_BETWEEN_S = (0.1, 0.4, 1.0)
"""Until the next try, where the server is not free: after a test it listens anew, a moment later."""
_NOT_FREE = (Trouble.BUSY, Trouble.REFUSED, Trouble.CLOSED)


class _OneStream(Stream):
    """One connection of a test, which there is already; the test is ended before it is closed."""

    opens_again = False

    def __init__(self, control: Control, channel: Channel, over: threading.Event, allowance: Allowance) -> None:
        super().__init__(lambda _patience: channel, over, allowance)
        self._control = control

    def move(self, channel: Channel, patience: Patience) -> None:
        """Move bytes until nobody wants more, or the server hangs up."""
        try:
            self.go(channel, patience)
        except Stopped:
            self._over.set()  # also where no more data may be taken: whoever connects from now on counts as a client
            self._control.end()
            raise

    @abstractmethod
    def go(self, channel: Channel, patience: Patience) -> None:
        """Move bytes until the server hangs up."""


class Upload(_OneStream):
    """Sends noise."""

    sends = True

    def go(self, channel: Channel, patience: Patience) -> None:
        """Send."""

        def look() -> None:
            if channel.receive(1) is not None:  # it has nothing to say here
                raise NetworkTrouble(Trouble.CLOSED)

        while True:
            for data in noise(BLOCK_BYTES):
                self.give(channel, data, patience, look)


class Download(_OneStream):
    """Takes what the server sends."""

    def go(self, channel: Channel, patience: Patience) -> None:
        """Receive."""
        self.take_all(channel, patience)


def measure(server: Server, budget: Budget, stop: threading.Event, tell: Tell) -> Uplink:
    """Measure both ways, and the latency before and meanwhile. Raises NetworkTrouble and Stopped."""
    tell(Step("reach", 0.0))
    began = time.monotonic()
    way = Way(server, Patience.of(REACH_S, stop))
    with _running(way, budget, stop, budget.idle_s + budget.up_s, down=False) as test:
        tell(Step("idle", REACHED))
        # Only while a test runs does a server turn away who else connects, and is not disturbed by it.
        idle = idle_latency(way.addresses, budget, stop)
        up = test.fill(Upload, budget.up_s, budget.up_bytes, told(tell, "up", IDLED, UP))
    left = budget.most_bytes - up.moved.total_bytes
    with _running(way, budget, stop, budget.down_s, down=True) as test:
        down_s = min(budget.down_s, max(_LEAST_S, LONGEST_S - END_S - (time.monotonic() - began)))
        down = test.fill(Download, down_s, left, told(tell, "down", UP, 1.0))
    return both_ways(up, down, idle, budget)


@dataclass(frozen=True, slots=True)
class _Test:
    """A test that runs, and of which nothing has moved yet."""

    way: Way
    budget: Budget
    stop: threading.Event
    control: Control
    channels: Sequence[Channel]

    def fill(self, kind: type[Upload | Download], seconds: float, most_bytes: int, tell: Heard) -> OneWay:
        """Move as much as goes for so long, then end it. Raises NetworkTrouble and Stopped."""

        def make(over: threading.Event, allowance: Allowance) -> Sequence[Stream]:
            return [kind(self.control, channel, over, allowance) for channel in self.channels]

        def look_and_tell(share: float, rate: float, moved: int) -> None:
            self.control.look()
            tell(share, rate, moved)

        addresses, warm_up_s = self.way.addresses, self.budget.warm_up_s
        try:
            found = fill(addresses, make, seconds, most_bytes, warm_up_s, self.stop, look_and_tell)
        except NetworkTrouble as error:
            if error.trouble is not Trouble.CLOSED:
                raise
            raise self.control.explain(error, self.stop) from None
        self.control.end()
        self.control.wait_until_free(self.stop)
        return found


@contextmanager
def _running(way: Way, budget: Budget, stop: threading.Event, seconds: float, *, down: bool) -> Iterator[_Test]:
    """Begin a test one way, which ends with the `with` and may take so long. Raises NetworkTrouble and Stopped."""
    patience = Patience.of(REACH_S, stop)
    wanted = parameters(budget.streams, seconds, down=down)
    with ExitStack() as opened, _agreed(way, wanted, patience) as control:
        channels = _streams(way, budget.streams, control.cookie, patience, opened)
        control.wait_until_running(patience)
        yield _Test(way, budget, stop, control, channels)


def _agreed(way: Way, wanted: Mapping[str, object], patience: Patience) -> Control:
    """Agree on a test, as soon as the server is free. Raises NetworkTrouble and Stopped."""
    for wait_s in _BETWEEN_S:
        try:
            return _agreed_now(way, wanted, patience)
        except NetworkTrouble as error:
            if error.trouble not in _NOT_FREE:
                raise
        if patience.stop.wait(wait_s):
            raise Stopped
    return _agreed_now(way, wanted, patience)


def _agreed_now(way: Way, wanted: Mapping[str, object], patience: Patience) -> Control:
    with ExitStack() as in_vain:
        control = in_vain.enter_context(Control(way.open(patience)))
        control.agree(wanted, patience)
        in_vain.pop_all()
    return control


def _streams(way: Way, count: int, cookie: bytes, patience: Patience, opened: ExitStack) -> Sequence[Channel]:
    """Connect the streams of a test all at once, `opened` closes them. Raises NetworkTrouble and Stopped."""

    def one(_: int) -> Channel:
        channel = opened.enter_context(way.open(patience))
        with suppress(OSError):  # why it hangs up is said elsewhere
            channel.send_all(cookie, patience.step())
        return channel

    with ThreadPoolExecutor(count, "uplink-connect") as pool:
        return list(pool.map(one, range(count)))
