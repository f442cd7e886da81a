"""How long a small packet takes there and back, another opinion on latency: `python -m tests.net.echo`.

A server sends back what it gets by UDP; whoever asks sends a packet now and then, and prints what each took.
"""

import contextlib
import json
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from devices.host.child import tie_to_parent
from tests.net.lab import Lab

PORT = 7
EVERY_S = 0.05
_LATE_S = 1.0
_PACKET = struct.Struct("d")


class Asking:
    """Asks beside something else, until it is asked for what it has found."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._samples: list[tuple[float, float]] = []

    def median_s(self, since: float, until: float) -> float:
        """End it; return the seconds there and back, in the middle of all packets sent between two moments.

        The moments are of the monotonic clock.
        """
        if not self._samples:
            said, _ = self._process.communicate(timeout=60)
            self._samples = json.loads(said)
        return statistics.median(took for sent, took in self._samples if since <= sent < until)


@contextmanager
def echoing(lab: Lab) -> Iterator[None]:
    """Run the server at the lab's server."""
    words = [*lab.server.enter, sys.executable, "-P", "-m", "tests.net.echo", "serve", lab.server.address]
    server = subprocess.Popen(
        tie_to_parent(words), stdout=subprocess.PIPE
    )  # a proof that is killed leaves nobody behind
    try:
        assert server.stdout
        assert server.stdout.readline()
        yield
    finally:
        server.kill()
        server.communicate()


def ask(lab: Lab) -> Asking:
    """Begin to ask from the lab's PC."""
    words = [*lab.pc.enter, sys.executable, "-P", "-m", "tests.net.echo", "ask", lab.server.address]
    return Asking(subprocess.Popen(tie_to_parent(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def _serve(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((host, PORT))
        print("ready", flush=True)  # noqa: T201 - whoever has started it waits for that
        while True:
            one.sendto(*one.recvfrom(64))


def _ask(host: str) -> list[tuple[float, float]]:
    """Ask until standard input ends; return when each packet was sent that came back, and the seconds it took."""
    samples: list[tuple[float, float]] = []
    ends_at = float("inf")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((host, PORT))
        next_at = time.monotonic()
        while (now := time.monotonic()) < ends_at:
            if now >= next_at and ends_at == float("inf"):
                with contextlib.suppress(OSError):
                    one.send(_PACKET.pack(now))
                next_at += EVERY_S
            heard = [one, sys.stdin] if ends_at == float("inf") else [one]
            ready = select.select(heard, [], [], max(0.001, min(next_at, ends_at) - now))[0]
            if one in ready:
                (sent,) = _PACKET.unpack(one.recv(64))
                samples.append((sent, time.monotonic() - sent))
            if sys.stdin in ready:
                ends_at = next_at = time.monotonic() + _LATE_S
    return samples


def main() -> None:
    """Serve, or ask."""
    if sys.argv[1] == "serve":
        _serve(sys.argv[2])
    print(json.dumps(_ask(sys.argv[2])))  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
