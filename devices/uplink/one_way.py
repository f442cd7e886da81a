"""A link filled one way: what has moved, how long other packets took before and meanwhile; both ways make an Uplink."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devices.host.background import BackgroundTask
from devices.host.tcp_info import tcp_info
from devices.uplink.connecting import Address, Patience, connect
from devices.uplink.model import Budget, Latency, Step, Tell, Uplink
from devices.uplink.traffic import Allowance, Moved, Stream, move
from devices.uplink.trouble import NetworkTrouble, Stopped

EVERY_S = 0.15
LONGEST_S = 3.0


class Prober:
    """Connects to a server again and again until it is stopped, on a thread of its own; hangs up at once."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._task = BackgroundTask("uplink-prober", self._probe, pause=EVERY_S, failed=lambda _error: None)
        self.start, self.stop = self._task.start, self._task.stop
        self.samples: list[tuple[float, float]] = []
        """When it was (time.monotonic), and how many seconds it took."""

    def _probe(self) -> None:
        patience = Patience.of(LONGEST_S, self._task.stopped)
        self.samples.append((time.monotonic(), round_trip(self._addresses, patience)))

    def since(self, moment: float) -> list[float]:
        """Return what was measured from a moment on."""
        return [rtt_s for at, rtt_s in list(self.samples) if at >= moment]


def round_trip(addresses: Sequence[Address], patience: Patience) -> float:
    """Return the seconds there and back, as the kernel measures them while it makes a connection.

    That is the way of every other packet, through every queue that a stream fills, and no matter how busy this program
    is. Raises NetworkTrouble, Stopped and OSError.
    """
    with connect(addresses, patience) as connection:
        rtt_s = tcp_info(connection).rtt_s
    if not rtt_s:
        raise OSError("this kernel does not tell how long the way is")
    return rtt_s


def round_trips(addresses: Sequence[Address], seconds: float, patience: Patience) -> list[float]:
    """Return what several probes in a row measured, for so long. Raises NetworkTrouble, Stopped and OSError."""
    samples: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(samples) < 2:
        samples.append(round_trip(addresses, patience))
        if patience.stop.wait(EVERY_S / 3):
            raise Stopped
    return samples


REACHED, IDLED, UP = 0.05, 0.12, 0.6
"""How far the whole is after each part."""

type Make = Callable[[threading.Event, Allowance], Sequence[Stream]]
"""Returns the streams that end when the event is set, and move no more than they are allowed."""
type Heard = Callable[[float, float, int], None]


@dataclass(frozen=True, slots=True)
class OneWay:
    """What went one way, over which streams, and the latencies meanwhile in seconds."""

    moved: Moved
    streams: Sequence[Stream]
    latencies: Sequence[float]


def fill(
    addresses: Sequence[Address],
    make: Make,
    seconds: float,
    most_bytes: int,
    warm_up_s: float,
    stop: threading.Event,
    tell: Heard,
) -> OneWay:
    """Let streams to one of `addresses` move as much as goes, for some seconds. Raises NetworkTrouble and Stopped.

    `tell` hears what traffic.move tells; what it raises ends it too.
    """
    over, allowance = threading.Event(), Allowance(most_bytes)
    streams = make(over, allowance)
    prober = Prober(addresses)
    prober.start()
    began = time.monotonic()
    try:
        moved = move(streams, seconds, allowance, stop, over, tell)
    finally:
        prober.stop(1.0)
    took_s = moved.samples[-1][0] - began
    return OneWay(moved, streams, prober.since(began + min(warm_up_s, took_s / 2)))


def idle_latency(addresses: Sequence[Address], budget: Budget, stop: threading.Event) -> Latency | None:
    """Return the latency while nothing else is sent, None where it cannot be measured. Raises Stopped."""
    with contextlib.suppress(NetworkTrouble, OSError):  # the rate can be measured without
        return Latency.of(round_trips(addresses, budget.idle_s, Patience.of(2 * budget.idle_s, stop)))
    return None


def both_ways(up: OneWay, down: OneWay, idle: Latency | None, budget: Budget) -> Uplink:
    """Return what both ways come to."""
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


def told(tell: Tell, phase: str, begin: float, end: float) -> Heard:
    """Return what tells the steps of a phase, from which share of the whole to which."""
    return lambda share, rate, moved: tell(Step(phase, begin + (end - begin) * min(1.0, share), rate, moved))
