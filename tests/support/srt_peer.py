"""Real SRT peers for tests: srt-live-transmit, which waits or calls, and keeps what it gets in a file."""

import signal
import socket
import subprocess
from pathlib import Path

from agent.sessions.receiver import HOST
from tests.net.place import LOOPBACK, Place


def free_udp_port() -> int:
    """Return a UDP port of loopback that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


class SrtPeer:
    """One end of SRT at `port`; `parameters` are those of its address ("passphrase=...&streamid=...")."""

    def __init__(
        self, file: Path, port: int, mode: str, parameters: str = "", *, latency_ms: int = 200, place: Place = LOOPBACK
    ) -> None:
        self.file, self.port = file, port
        self._enter = place.enter
        self._address = f"srt://{place.address}:{port}?mode={mode}&latency={latency_ms}"
        self._address += f"&{parameters}" if parameters else ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.file.open("ab") as into:
            self._process = subprocess.Popen(
                [*self._enter, "srt-live-transmit", "-q", "-a:no", "-chunk:1316", self._address, "file://con"],
                stdout=into,
                stderr=subprocess.DEVNULL,
            )

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
            self._process.wait(10)
            self._process = None
