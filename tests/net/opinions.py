"""Other opinions on a link: iperf3 on its rate, and how long a small packet takes there and back."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.sessions.receiver import free_port
from devices.host.child import tie_to_parent
from tests.net.lab import LOOPBACK, Lab, Place, listening
from tests.support.waiting import wait_for


@contextmanager
def iperf_server(folder: Path, place: Place = LOOPBACK) -> Iterator[int]:
    """Run a server, and give its port."""
    port = free_port()
    with listening(["iperf3", "--server", "--bind", place.address, "--port", str(port)], folder, port, place):
        yield port


def _end(words: list[str]) -> dict[str, Any]:
    """Return what it says at its end; nothing where the server is not done with the run before."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return {} if "error" in found else dict(found["end"])


@dataclass(frozen=True)
class Opinion:
    """What iperf3 measured of one way: bits a second that arrived, by which TCP, and when it began (monotonic)."""

    rate_bps: float
    congestion: str
    began: float


def opinion(lab: Lab, port: int, streams: int, seconds: float, warm_up_s: float, *, down: bool = False) -> Opinion:
    """Ask iperf3, for `seconds` of which the `warm_up_s` do not count."""
    words = ["iperf3", "--client", lab.server.address, "--port", str(port), "--json", "--parallel", str(streams)]
    words += ["--time", str(round(seconds - warm_up_s)), "--omit", str(round(warm_up_s))]
    # It counts whole blocks: with its own of 128 kB, 2 Mb/s would be a quarter off.
    words += ["--length", "8K", *(["--reverse"] if down else [])]
    began = time.monotonic()

    def run() -> dict[str, Any]:
        nonlocal began
        began = time.monotonic()
        return _end([*lab.pc.enter, *words])

    end = wait_for(run, 60, "a run of iperf3")
    return Opinion(end["sum_received"]["bits_per_second"], end.get("sender_tcp_congestion", ""), began)


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
        """End it; return the middle of the seconds there and back, of packets sent between two (monotonic) moments."""
        if not self._samples:
            said, _ = self._process.communicate(timeout=60)
            self._samples = json.loads(said)
        return statistics.median(took for sent, took in self._samples if since <= sent < until)


@contextmanager
def echoing(lab: Lab) -> Iterator[None]:
    """Run the server at the lab's server."""
    words = [*lab.server.enter, sys.executable, "-P", "-m", "tests.net.opinions", "serve", lab.server.address]
    server = subprocess.Popen(tie_to_parent(words), stdout=subprocess.PIPE)  # none is left of a proof that is killed
    try:
        assert server.stdout
        assert server.stdout.readline()
        yield
    finally:
        server.kill()
        server.communicate()


def ask(lab: Lab) -> Asking:
    """Begin to ask from the lab's PC."""
    words = [*lab.pc.enter, sys.executable, "-P", "-m", "tests.net.opinions", "ask", lab.server.address]
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
