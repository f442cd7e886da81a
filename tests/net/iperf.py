"""iperf3 itself, the other opinion on a link: its server, and a run of it from the PC of a lab."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

from agent.sessions.receiver import free_port, start_server, stop_server, wait_until_listening
from tests.net.lab import Lab
from tests.net.place import LOOPBACK, Place
from tests.support.waiting import wait_for


@contextmanager
def iperf_server(folder: Path, place: Place = LOOPBACK) -> Iterator[int]:
    """Run a server, and give its port."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    words = ["iperf3", "--server", "--bind", place.address, "--port", str(port)]
    server = start_server([*place.enter, *words], folder)
    try:
        assert wait_until_listening(port, server, place.address, place.pid), (folder / "output").read_text()
        yield port
    finally:
        stop_server(server, SIGKILL)


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
    # It counts whole blocks: with its own of 128 kB, 2 Mb/s would be a quarter off.
    words += ["--length", "8K"]
    words += [
        "--time",
        str(round(seconds - warm_up_s)),
        "--omit",
        str(round(warm_up_s)),
        *(["--reverse"] if down else []),
    ]
    began = time.monotonic()

    def run() -> dict[str, Any]:
        nonlocal began
        began = time.monotonic()
        return _end([*lab.pc.enter, *words])

    end = wait_for(run, 60, "a run of iperf3")
    return Opinion(end["sum_received"]["bits_per_second"], end.get("sender_tcp_congestion", ""), began)
