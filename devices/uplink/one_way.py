"""A link filled one way: what has moved, how long other packets took before and meanwhile; both ways make an Uplink."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from devices.host.background import BackgroundTask
from devices.uplink.connecting import Address, NetworkTrouble, Patience, Stopped, connect
from devices.uplink.model import Budget, Latency, Tell, Uplink
from devices.uplink.tcp_info import tcp_info
from devices.uplink.traffic import Allowance, Heard, Moved, Stream, watch

EVERY_S = 0.15
LONGEST_S = 3.0
_TO_END_S = 1.0


def round_trip(addresses: Sequence[Address], patience: Patience) -> float:
    """Return the seconds there and back, as the kernel measures them while it connects.

    Raises NetworkTrouble, Stopped and OSError.
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


def fill(
    addresses: Sequence[Address],
    make: Make,
    seconds: float,
    most_bytes: int,
    warm_up_s: float,
    stop: threading.Event,
    tell: Heard,
) -> Moved:
    """Let streams move as much as goes, for some seconds. Raises NetworkTrouble, Stopped, and what `tell` raises."""
    over, allowance = threading.Event(), Allowance(most_bytes)
    streams = make(over, allowance)
    probes: list[tuple[float, float]] = []

    def probe() -> None:
        rtt_s = round_trip(addresses, Patience.of(LONGEST_S, prober.stopped))
        probes.append((time.monotonic(), rtt_s))

    prober = BackgroundTask("uplink-prober", probe, pause=EVERY_S, failed=lambda _error: None)
    prober.start()
    began = time.monotonic()
    try:
        for stream in streams:
            stream.start()
        moved = watch(streams, seconds, allowance, stop, tell)
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


def idle_latency(addresses: Sequence[Address], budget: Budget, stop: threading.Event) -> Latency | None:
    """Return the latency while nothing else is sent, None where it cannot be measured. Raises Stopped."""
    with contextlib.suppress(NetworkTrouble, OSError):  # the rate can be measured without
        return Latency.of(round_trips(addresses, budget.idle_s, Patience.of(2 * budget.idle_s, stop)))
    return None


def both_ways(up: Moved, down: Moved, idle: Latency | None, budget: Budget) -> Uplink:
    """Return what both ways come to."""
    return Uplink(
        up=up.rate(budget.warm_up_s),
        down=down.rate(budget.warm_up_s),
        idle=idle,
        loaded=Latency.of(up.latencies),
        loaded_down=Latency.of(down.latencies),
        again_share=up.again_bytes / up.sent_bytes if up.sent_bytes else None,
        moved_bytes=up.total_bytes + down.total_bytes,
        streams=budget.streams,
        is_capped=up.is_capped or down.is_capped,
    )


def told(tell: Tell, phase: str, begin: float, end: float) -> Heard:
    """Return what tells the steps of a phase, from which share of the whole to which."""
    return lambda share, rate: tell(phase, begin + (end - begin) * min(1.0, share), rate)
