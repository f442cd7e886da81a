"""How long a packet takes there and back: what the kernel measures while it makes a connection.

That is the way of every other packet, through every queue that a stream fills, and no matter how busy this program is.
"""

import time
from collections.abc import Sequence

from devices.host.background import BackgroundTask
from devices.tcp_info import tcp_info
from devices.uplink.connecting import Address, Patience, connect
from devices.uplink.trouble import Stopped

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
    """Return the seconds there and back. Raises NetworkTrouble, Stopped and OSError."""
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
