"""The child process of one attempt, seen from the destination: bytes to it, reports from it, and its end.

The thread that starts it must outlive it: the kernel kills the child when that thread ends.
"""

import os
import select

import msgspec

from devices.host.child import ChildProcess, python_module
from devices.host.framing import ReceiveBuffer
from recorder.live.protocol import Report

LEAST_BYTES, MOST_BYTES = 8_192, 65_536
LONGEST_REPORT = 64 * 1024
RESOLVER = "timeout:1 attempts:3"
"""For the child's look-ups: the default asks again after 5 s, when the attempt has been given up (resolv.conf(5))."""
_REPORTS = msgspec.json.Decoder(Report)


def half_a_second(bit_rate: int) -> int:
    """Return how many bytes each place on the way to the network may hold of a stream; all there are where unknown.

    What is held there is part of how late viewers are, and cannot be dropped: there are four such places.
    """
    bytes_ = bit_rate // 16 or MOST_BYTES
    return min(MOST_BYTES, max(LEAST_BYTES, 1 << (bytes_.bit_length() - 1)))  # the kernel rounds up


class LiveChild(ChildProcess):
    """A running `python -m recorder.live.child`."""

    def __init__(self, pipe_bytes: int = MOST_BYTES) -> None:
        """Start it, with pipes that hold so many bytes. Raises OSError."""
        options = f"{os.environ.get('RES_OPTIONS', '')} {RESOLVER}".strip()
        super().__init__(python_module("recorder.live.child"), env=os.environ | {"RES_OPTIONS": options})
        self.resize_pipes(pipe_bytes)
        self._received = ReceiveBuffer(LONGEST_REPORT)

    def exchange(self, outbound: bytearray, timeout_s: float) -> list[Report] | None:
        """Move bytes of `outbound` into the child and return what it reported; None when it has closed its end.

        Waits at most `timeout_s` seconds for either. Raises ValueError where a report is none.
        """
        wanting = [self.input] if outbound and not self.is_deaf else []
        readable, writable, _ = select.select([self.output], wanting, [], timeout_s)
        if writable:
            del outbound[: self.write(outbound[:MOST_BYTES])]
        if not readable:
            return []
        received = self.read()
        if received == b"":
            return None
        self._received.add(received or b"")
        return [_REPORTS.decode(line) for line in iter(self._received.line, None)]
