"""SRT peers for tests: srt-live-transmit, which listens or calls and keeps the stream; and a sender of noise.

`python -m tests.support.srt_peer` streams noise to the address on its standard input, and tells of it in lines of JSON.
"""

import json
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from agent.sessions.receiver import HOST
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.live.destination import LiveDestination
from tests.net.lab import LOOPBACK, Place
from tests.support.encoded import SmallEncoder
from tests.support.streams import Events, Pump
from tests.support.waiting import PATIENCE_S


def free_udp_port() -> int:
    """Return a UDP port of loopback that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


class SrtPeer:
    """One end of SRT at `port`; `parameters` are those of its address ("passphrase=...&streamid=...")."""

    def __init__(self, file: Path, port: int, mode: str, parameters: str = "", *, place: Place = LOOPBACK) -> None:
        self.file, self.port, self._mode = file, port, mode
        self._enter = place.enter
        self._address = f"srt://{place.address}:{port}?mode={mode}&latency=200"
        self._address += f"&{parameters}" if parameters else ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # One that is refused before it waits for events misses that; so a caller has 15 s to be connected.
        patience = ["-t:15", "-tm:1"] if self._mode == "caller" else []
        words = [
            *self._enter,
            "srt-live-transmit",
            "-q",
            "-a:no",
            *patience,
            "-chunk:1316",
            self._address,
            "file://con",
        ]
        with self.file.open("ab") as into:
            self._process = subprocess.Popen(words, stdout=into, stderr=subprocess.DEVNULL)

    @property
    def received(self) -> int:
        """Bytes that came."""
        return self.file.stat().st_size if self.file.exists() else 0

    def send(self, how: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(how)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None


def main() -> None:
    address, bit_rate = sys.stdin.readline().split()
    encoder, began = SmallEncoder(60, noise=True, bit_rate=int(bit_rate)), time.monotonic()
    destination = LiveDestination(
        StreamTarget("x", secret_url(address)), encoder.templates, emit=Events(), clock=SystemClock()
    )
    destination.start()
    with Pump(encoder, destination):
        while not select.select([sys.stdin], [], [], 0.25)[0]:  # its end
            status, attempt = destination.status(), destination._attempt
            link = attempt.link if attempt else None
            told = [link.rtt_ms, link.unsent_bytes, link.delivered_bps] if link else [None, 0, None]
            line = [time.monotonic() - began, status.reason, status.dropped, status.backlog_s, *told]
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    destination.stop()
    encoder.close()


if __name__ == "__main__":
    main()
