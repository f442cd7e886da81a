"""What can go wrong between a PC and a server, in a room of two network namespaces."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from agent.sessions.receiver import start_server
from tests.net.lab import Lab, Place, listening
from tests.support.rtmp_server import NginxRtmp
from tests.support.srt_peer import free_udp_port
from tests.support.waiting import wait_for

HOST_NAME = "ingest.campus.test"
_SILENT = "import socket, sys, time; s = socket.create_server((sys.argv[1], int(sys.argv[2]))); time.sleep(1e6)"


_LOOP = (
    'n=0; while :; do n=$((n+1)); srt-live-transmit -q -a:no -chunk:1316 {address} file://con > "{folder}/$n.ts"; done'
)


class SrtServer:
    """Takes SRT, one stream after the other, each into a file of its own in `recorded`: srt-live-transmit in a loop."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.recorded = folder / "recorded"
        self.recorded.mkdir(parents=True)
        self._place = place
        self.port = free_udp_port()
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        address = f"srt://{self._place.address}:{self.port}?mode=listener&latency=500"
        count = len(list(self.recorded.iterdir()))
        loop = _LOOP.replace("n=0", f"n={count}").format(address=shlex.quote(address), folder=self.recorded)
        self._server = start_server([*self._place.enter, "sh", "-c", loop], self.folder)
        wait_for(lambda: f":{self.port:04X} " in Path(f"/proc/{self._place.pid}/net/udp").read_text())

    def _send(self, number: signal.Signals) -> None:
        assert self._server
        os.killpg(self._server.pid, number)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._server:
            self._send(how)
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """Stop answering without closing anything."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)


class Net:
    """A PC, a server that takes streams with a good key (`scheme` rtmp) or all (srt), and the link between them."""

    def __init__(self, lab: Lab, folder: Path, scheme: str = "rtmp") -> None:
        self.lab = lab
        self.folder = folder
        self.scheme = scheme
        kind = NginxRtmp if scheme == "rtmp" else SrtServer
        self.server: NginxRtmp | SrtServer = kind(folder / "server", lab.server)
        self.host = lab.server.address
        self._silent = ExitStack()
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        lab.put_over(folder / "hosts", "/etc/hosts")
        lab.resolve_by(folder, lab.server.address)

    @property
    def address(self) -> str:
        """The server's address, as the settings have it."""
        return f"{self.scheme}://{self.host}:{self.server.port}" + ("/live" if self.scheme == "rtmp" else "")

    def start_silent(self, port: int) -> None:
        """Start something on `port` that takes connections and never says a word."""
        words = [sys.executable, "-c", _SILENT, self.lab.server.address, str(port)]
        self._silent.enter_context(listening(words, self.folder, port, self.lab.server))

    def replace_silent(self) -> None:
        """Put the server in its place, on its port."""
        self._silent.close()
        self.server.start()

    def name_the_host(self) -> None:
        """Let the PC know the server's name."""
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.lab.server.address} {HOST_NAME}\n")

    def close(self) -> None:
        """End every server."""
        self.server.stop(signal.SIGKILL)
        self._silent.close()


type Act = Callable[[Net], object]

NOTHING_WRONG: frozenset[str | None] = frozenset({None})
EITHER_WAY: frozenset[str | None] = frozenset({None, "too-slow", "stalled"})
"""TCP may get through by itself, or be given up."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong for `lasts_s` seconds: after a while of streaming, or already when it begins."""

    what: str
    begin: Act
    end: Act | None = None
    lasts_s: float = 20.0
    from_the_start: bool = False
    key: str = "good"
    by_name: bool = False  # whether the settings name the server by its host's name
    reasons: frozenset[str | None] = NOTHING_WRONG  # what people must be told first, one of these; None: nothing
    notice_s: float = 10.0  # how soon, at the latest
    scheme: str = "rtmp"
    anew: bool = True  # whether viewers begin anew when it is over, with the newest pictures
    takes_what_it_got: bool = False
    """Whether the server shows first what it had been given until we noticed, which nobody can take back."""


def _both(**qualities: float) -> Act:
    return lambda net: net.lab.both(**qualities)


_BLACKOUT = Fault(
    "nothing passes for 20 s",
    lambda net: net.lab.link(blackout_s=3600),
    lambda net: net.lab.link(blackout_s=0),
    reasons=frozenset({"stalled", "too-slow"}),  # six seconds are the bound of both
)
_SLOW = Fault(
    "the uplink carries 2 Mb/s, less than half of the stream",
    lambda net: net.lab.link(up={"rate": 2e6}),
    lambda net: net.lab.link(up={"rate": 0}),
    lasts_s=30,
    reasons=frozenset({"too-slow"}),
    notice_s=12.0,
    anew=False,
)
_LOSSY = Fault(
    "3 % of packets lost each way, 40 ms there and back",
    _both(loss=0.03, delay_s=0.02),
    _both(loss=0, delay_s=0),
    anew=False,
)
_KILLED = Fault(
    "the server is killed, and back after 5 s",
    lambda net: net.server.stop(signal.SIGKILL),
    lambda net: net.server.start(),
    lasts_s=5,
    reasons=frozenset({"closed"}),
    notice_s=2.0,
)

FAULTS = {
    "slow": _SLOW,
    "long": Fault("150 ms there and back", _both(delay_s=0.075), _both(delay_s=0), anew=False),
    "lossy": _LOSSY,
    "blackout": _BLACKOUT,
    "short-blackout": replace(_BLACKOUT, what="nothing passes for 4 s", lasts_s=4.0, reasons=EITHER_WAY, anew=False),
    "killed": _KILLED,
    "stopped": Fault(
        "the server hangs (SIGSTOP) for 20 s",
        lambda net: net.server.freeze(),
        lambda net: net.server.thaw(),
        reasons=frozenset({"stalled"}),
        anew=False,
        takes_what_it_got=True,
    ),
    "silent": Fault(
        "the server takes connections and never answers, for 10 s",
        lambda net: net.start_silent(net.server.port),
        lambda net: net.replace_silent(),
        lasts_s=10,
        from_the_start=True,
        reasons=frozenset({"timeout"}),
        notice_s=5.0,
    ),
    "wrong-key": Fault(
        "the server refuses the key",
        lambda net: net.server.start(),
        from_the_start=True,
        key="bad",
        lasts_s=10,
        reasons=frozenset({"rejected"}),
        notice_s=3.0,
    ),
    "no-dns": Fault(
        "the host cannot be looked up, for 10 s",
        lambda net: net.server.start(),
        lambda net: net.name_the_host(),
        lasts_s=10,
        from_the_start=True,
        by_name=True,
        reasons=frozenset({"unknown-host"}),
        notice_s=5.0,
    ),
    "srt-slow": replace(_SLOW, scheme="srt"),
    "srt-lossy": replace(_LOSSY, scheme="srt"),
    "srt-blackout": replace(_BLACKOUT, scheme="srt"),
    "srt-killed": replace(_KILLED, scheme="srt", reasons=frozenset({"stalled"}), notice_s=6.0),
}
