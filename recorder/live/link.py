"""The kernel's figures of a TCP connection: its round trip, the bytes it still holds, how fast they are taken."""

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
_JUDGED_BYTES = 32_768
"""So much must have come before anything is judged: the room of the other side's kernel changes in steps."""
_LEAST_READ = 0.35
"""Part of what came: some of the room that is freed is the kernel's better guess of what a packet takes."""


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
    """The connection that libavformat has opened, of which it tells nobody the socket; None: there is none to look at.

    The other side's kernel takes megabytes for a program that reads nothing any more, and says how much more it has
    room for. While its program reads, the room stays as large as it was, or grows; while it does not, nearly every byte
    that comes makes it smaller.
    """

    def __init__(self, connection: socket.socket | None, now_s: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._now_s = now_s
        self._rated: tuple[float, int] | None = None
        self._bps: float | None = None
        self._read_s, self._read_at = now_s(), 0
        """When something was last seen to be read, and how many bytes had come by then."""
        self._judged_at, self._window = 0, 0

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
        unread_s = 0.0 if info.window_bytes is None else self.unread_s(acked, info.window_bytes)
        # One lost packet keeps all after it from being acknowledged for a round trip, which is no slow link.
        return Sent(dts_s, info.rtt_s * 1000, held, self.delivered_bps(delivered), unread_s, info.in_flight_segments)

    def delivered_bps(self, delivered: int) -> float | None:
        """Return the rate since the last look, the one before where that was just now; None at the first."""
        now_s = self._now_s()
        before_s, before = self._rated or (now_s, delivered)
        if now_s - before_s >= _SHORTEST_S:
            self._bps = max(0.0, (delivered - before) * 8 / (now_s - before_s))
        if self._rated is None or now_s - before_s >= _SHORTEST_S:
            self._rated = now_s, delivered
        return self._bps

    def unread_s(self, acknowledged: int, window: int) -> float:
        """Return for how long nothing was read, from the bytes `acknowledged` in all and the `window` after them."""
        now_s, came = self._now_s(), acknowledged - self._judged_at
        if came >= _JUDGED_BYTES:
            if came + window - self._window >= _LEAST_READ * came:
                self._read_s, self._read_at = now_s, acknowledged
            self._judged_at, self._window = acknowledged, window
        return now_s - self._read_s if acknowledged - self._read_at >= _JUDGED_BYTES else 0.0
