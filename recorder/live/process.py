"""The child process of one attempt, seen from the destination: bytes to it, reports from it, and its end.

The thread that starts it must outlive it: the kernel kills the child when that thread ends.
"""

import os
import select
import subprocess
import sys

import msgspec

from devices.host.deadline import close_within
from recorder.live.protocol import Report

LEAST_BYTES, MOST_BYTES = 8_192, 65_536
RESOLVER = "timeout:1 attempts:3"
"""For the child's look-ups: the default asks again after 5 s, when the attempt has been given up (resolv.conf(5))."""
REAP_S = 0.4
"""How long one that was killed may take to be gone; after that it is left to itself."""
_REPORTS = msgspec.json.Decoder(Report)


def half_a_second(bit_rate: int) -> int:
    """Return how many bytes each place on the way to the network may hold of a stream; all there are where unknown.

    What is held there is part of how late viewers are, and cannot be dropped: there are four such places.
    """
    bytes_ = bit_rate // 16 or MOST_BYTES
    return min(MOST_BYTES, max(LEAST_BYTES, 1 << (bytes_.bit_length() - 1)))  # the kernel rounds up


class Child:
    """A running `python -m recorder.live.child`; nothing here waits longer than it is told to. Raises OSError."""

    def __init__(self, pipe_bytes: int = MOST_BYTES) -> None:
        """Start it, with pipes that hold so many bytes."""
        options = f"{os.environ.get('RES_OPTIONS', '')} {RESOLVER}".strip()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "recorder.live.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=pipe_bytes,
            env=os.environ | {"RES_OPTIONS": options},
            start_new_session=True,  # Ctrl-C is for the recorder, which then ends the stream in order
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise BrokenPipeError("a child without pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        self._received = bytearray()
        self.deaf = False
        """Whether it takes no more bytes."""

    def exchange(self, outbound: bytearray, timeout_s: float) -> list[Report] | None:
        """Move bytes of `outbound` into the child and return what it reported; None when it has closed its end.

        Waits at most `timeout_s` seconds for either. Raises msgspec.DecodeError where a report is none.
        """
        wanting = [self._stdin] if outbound and not self.deaf else []
        readable, writable, _ = select.select([self._stdout], wanting, [], timeout_s)
        if writable:
            self._write(outbound)
        return self._read() if readable else []

    def close_input(self) -> None:
        """Tell the child that the stream is over; idempotent."""
        self._stdin.close()
        self.deaf = True

    def end(self, patience_s: float) -> None:
        """Let it go, for at most `patience_s` seconds, then kill it.

        It is reaped when this returns, unless the kernel does not let go of it: it may wait for a dead disk.
        """
        self._stdin.close()
        self._stdout.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            close_within(self._reap, REAP_S, "live child")

    @property
    def is_there(self) -> bool:
        """Whether it has not been reaped."""
        return self._process.returncode is None

    def _reap(self) -> None:
        self._process.wait()

    def _write(self, outbound: bytearray) -> None:
        try:
            del outbound[: os.write(self._stdin.fileno(), outbound[:MOST_BYTES])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.deaf = True  # it has gone; why, its reports tell

    def _read(self) -> list[Report] | None:
        received = os.read(self._stdout.fileno(), MOST_BYTES)
        if not received:
            return None
        *lines, self._received = (self._received + received).split(b"\n")
        return [_REPORTS.decode(line) for line in lines]
