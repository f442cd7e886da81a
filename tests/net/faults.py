"""What can go wrong between a PC and a server, in a room of two network namespaces."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.receiver import start_server, stop_server, wait_until_listening
from tests.net.lab import Lab
from tests.support.nginx_rtmp import NginxRtmp

HOST_NAME = "ingest.campus.test"
_SILENT = "import socket, sys, time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(1e6)"


class Net:
    """A PC, a server that takes streams with a good key, and the link between them."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.nginx = NginxRtmp(folder / "nginx", lab.server)
        self.host = lab.server.address
        self._silent: subprocess.Popen[bytes] | None = None
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        lab.put_over(folder / "hosts", "/etc/hosts")
        lab.resolve_by(folder, lab.server.address)

    @property
    def address(self) -> str:
        """The server's address, as the settings have it."""
        return f"rtmp://{self.host}:{self.nginx.port}/live"

    def start_silent(self, port: int) -> None:
        """Start something on `port` that takes connections and never says a word."""
        words = [sys.executable, "-c", _SILENT, self.lab.server.address, str(port)]
        self._silent = start_server([*self.lab.server.enter, *words], self.folder)
        assert wait_until_listening(port, self._silent, self.lab.server.address, self.lab.server.pid)

    def replace_silent(self) -> None:
        """Put the server in its place, on its port."""
        assert self._silent
        stop_server(self._silent, signal.SIGKILL)
        self.nginx.start()

    def name_the_host(self) -> None:
        """Let the PC know the server's name."""
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.lab.server.address} {HOST_NAME}\n")

    def close(self) -> None:
        """End every server."""
        self.nginx.stop(signal.SIGKILL)
        if self._silent and self._silent.poll() is None:
            stop_server(self._silent, signal.SIGKILL)


type Act = Callable[[Net], object]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong for `lasts_s` seconds: after a while of streaming, or already when it begins."""

    what: str
    begin: Act
    end: Act | None = None
    lasts_s: float = 20.0
    from_the_start: bool = False
    key: str = "good"
    by_name: bool = False
    """Whether the settings name the server by its host's name."""


def _both(**qualities: float) -> Act:
    return lambda net: net.lab.both(**qualities)


FAULTS = {
    "slow": Fault(
        "the uplink carries 2 Mb/s, less than half of the stream",
        lambda net: net.lab.link(up={"rate": 2e6}),
        lambda net: net.lab.link(up={"rate": 0}),
        lasts_s=30,
    ),
    "long": Fault("150 ms there and back", _both(delay_s=0.075), _both(delay_s=0)),
    "lossy": Fault("3 % of packets lost each way, 40 ms", _both(loss=0.03, delay_s=0.02), _both(loss=0, delay_s=0)),
    "blackout": Fault(
        "nothing passes for 20 s",
        lambda net: net.lab.link(blackout_s=3600),
        lambda net: net.lab.link(blackout_s=0),
    ),
    "killed": Fault(
        "the server is killed, and back after 5 s",
        lambda net: net.nginx.stop(signal.SIGKILL),
        lambda net: net.nginx.start(),
        lasts_s=5,
    ),
    "stopped": Fault(
        "the server hangs (SIGSTOP) for 20 s", lambda net: net.nginx.freeze(), lambda net: net.nginx.thaw()
    ),
    "silent": Fault(
        "the server takes connections and never answers, for 10 s",
        lambda net: net.start_silent(net.nginx.port),
        lambda net: net.replace_silent(),
        lasts_s=10,
        from_the_start=True,
    ),
    "wrong-key": Fault(
        "the server refuses the key", lambda net: net.nginx.start(), from_the_start=True, key="bad", lasts_s=10
    ),
    "no-dns": Fault(
        "the host cannot be looked up, for 10 s",
        lambda net: net.nginx.start(),
        lambda net: net.name_the_host(),
        lasts_s=10,
        from_the_start=True,
        by_name=True,
    ),
}
