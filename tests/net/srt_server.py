"""A server that takes SRT, one stream after the other, each into a file of its own: srt-live-transmit in a loop."""

import os
import shlex
import signal
import subprocess
from pathlib import Path

from agent.sessions.receiver import start_server
from tests.net.place import Place
from tests.support.srt_peer import free_udp_port
from tests.support.waiting import wait_for

_LOOP = (
    'n=0; while :; do n=$((n+1)); srt-live-transmit -q -a:no -chunk:1316 {address} file://con > "{folder}/$n.ts"; done'
)


class SrtServer:
    """The server; `url` is where, `recorded` has what came."""

    def __init__(self, folder: Path, place: Place, latency_ms: int = 500) -> None:
        self.folder = folder
        self.recorded = folder / "recorded"
        self.recorded.mkdir(parents=True)
        self._place = place
        self.port = free_udp_port()
        self._latency_ms = latency_ms
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        address = f"srt://{self._place.address}:{self.port}?mode=listener&latency={self._latency_ms}"
        count = len(list(self.recorded.iterdir()))
        loop = _LOOP.replace("n=0", f"n={count}").format(address=shlex.quote(address), folder=self.recorded)
        self._server = start_server([*self._place.enter, "sh", "-c", loop], self.folder)
        wait_for(lambda: f":{self.port:04X} " in Path(f"/proc/{self._place.pid}/net/udp").read_text())

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the loop and what it runs."""
        assert self._server
        os.killpg(self._server.pid, number)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._server:
            self.send(how)
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """Stop answering without closing anything."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)
