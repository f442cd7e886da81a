"""What the kernel knows of a TCP connection: how long the way is, what is still held, how fast it is taken."""

import contextlib
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable

from devices.host.tcp_info import tcp_info
from recorder.live.protocol import Sent

_SIOCOUTQ = 0x5411  # linux/sockios.h: bytes that were written and not acknowledged
_SHORTEST_S = 0.1


class Rate:
    """Bits per second from a counter of bytes that is looked at now and then."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._before: tuple[float, int] | None = None
        self._bps: float | None = None

    def at(self, total_bytes: int) -> float | None:
        """Return the rate since the last look, the one before where that was just now; None at the first."""
        now_s = self._now_s()
        if self._before is None:
            self._before = now_s, total_bytes
        elif now_s - self._before[0] >= _SHORTEST_S:
            self._bps = max(0.0, (total_bytes - self._before[1]) * 8 / (now_s - self._before[0]))
            self._before = now_s, total_bytes
        return self._bps


class Reading:
    """Whether the other side's program still reads; its kernel takes megabytes for it when it does not.

    That kernel says how much more it has room for. While its program reads, the room stays as large as it was, or
    grows; while it does not, nearly every byte that comes makes it smaller.
    """

    ENOUGH_BYTES = 32_768
    """So much must have come before anything is judged: the room changes in steps."""
    LEAST_READ = 0.35
    """Part of what came: some of the room that is freed is the kernel's better guess of what a packet takes."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._read_s, self._read_at = now_s(), 0
        """When something was last seen to be read, and how many bytes had come by then."""
        self._judged_at, self._window = 0, 0

    def unread_s(self, acknowledged: int, window: int) -> float:
        """Return for how long nothing was read, from the bytes `acknowledged` in all and the `window` after them."""
        now_s, came = self._now_s(), acknowledged - self._judged_at
        if came >= self.ENOUGH_BYTES:
            if came + window - self._window >= self.LEAST_READ * came:
                self._read_s, self._read_at = now_s, acknowledged
            self._judged_at, self._window = acknowledged, window
        return now_s - self._read_s if acknowledged - self._read_at >= self.ENOUGH_BYTES else 0.0


def tcp_sockets() -> list[socket.socket]:
    """Return this process's TCP sockets; they stay whose they were, so detach each, never close it."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers, not paths
        if number <= 2:
            continue
        with contextlib.suppress(OSError):  # not a socket, or gone by now
            one = socket.socket(fileno=number)
            if one.type == socket.SOCK_STREAM and one.family in (socket.AF_INET, socket.AF_INET6):
                found.append(one)
            else:
                one.detach()
    return found


class TcpLink:
    """The connection that libavformat has opened, of which it tells nobody the socket."""

    def __init__(self, connection: socket.socket | None) -> None:
        """Look at `connection` from now on; None: there is none to look at."""
        self._connection = connection
        self._rate = Rate()
        self._reading = Reading()

    def sent(self, dts_s: float) -> Sent:
        """Return how the connection is, with all up to `dts_s` in it; None for what the kernel does not tell."""
        if self._connection is None:
            return Sent(dts_s)
        try:
            info = tcp_info(self._connection)
            held = struct.unpack("i", fcntl.ioctl(self._connection.fileno(), _SIOCOUTQ, bytes(4)))[0]
        except OSError:
            return Sent(dts_s)
        acked, delivered = info.acknowledged_bytes, info.delivered_bytes
        if info.rtt_s is None or acked is None or delivered is None:
            return Sent(dts_s, unsent_bytes=held)
        unread_s = 0.0 if info.window_bytes is None else self._reading.unread_s(acked, info.window_bytes)
        # One lost packet keeps all after it from being acknowledged for a round trip, which is no slow link.
        return Sent(dts_s, info.rtt_s * 1000, held, self._rate.at(delivered), unread_s, info.in_flight_segments)
