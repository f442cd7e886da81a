"""What can stand between a PC and the servers of a session before it begins, in a room of two network namespaces."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.uplink.connecting import NetworkFault
from tests.net.lab import ROOT, Lab, listening
from tests.net.speed_server import How, serving
from tests.support.servers import make_certificate

HOST = "ingest.campus.test"
PORT = 1935
_TLS_PORT = 443
_ELSEWHERE = "10.99.0.1"  # an address to which the PC knows no way

_HALF_A_HELLO = """
import socket, sys, time
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
kept = []
while True:
    kept.append(server.accept()[0])
    kept[-1].sendall(bytes([3]) + bytes(700))
"""
_NO_SUCH_NAME = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("ready", flush=True)
while True:
    question, sender = server.recvfrom(512)
    server.sendto(question[:2] + bytes([0x81, 0x83]) + question[4:6] + bytes(6) + question[12:], sender)
"""


class Room:
    """A PC that knows the server by its name, and nobody else; what was started is ended at the end of the `with`."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.stack = ExitStack()

    def knows_host(self) -> None:
        """Let the PC know the server's name without asking anybody."""
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.lab.server.address} {HOST}\n")
        self.lab.put_over(self.folder / "hosts", "/etc/hosts")

    def knows_nobody(self) -> None:
        """Let the PC ask the server's end of the link for names."""
        (self.folder / "hosts").write_text("127.0.0.1 localhost\n")
        self.lab.put_over(self.folder / "hosts", "/etc/hosts")
        self.lab.resolve_by(self.folder, self.lab.server.address)

    def ip(self, *words: str) -> None:
        """Change the network of the PC."""
        subprocess.run([*self.lab.pc.enter, "ip", *words], check=True)

    def serves(self, program: str, port: int) -> None:
        """Start a program of Python that listens on a port of the server."""
        self._start([sys.executable, "-c", program, self.lab.server.address, str(port)], port)

    def speaks_tls(self) -> None:
        """Start something with a certificate of its own in the place of the server."""
        certificate, key = make_certificate(self.folder, HOST)
        words = ["openssl", "s_server", "-accept", f"{self.lab.server.address}:{_TLS_PORT}", "-quiet"]
        self._start([*words, "-cert", str(certificate), "-key", str(key)], _TLS_PORT)

    def is_behind_a_portal(self) -> None:
        """Let everybody's pages be one of a login."""
        self.stack.enter_context(serving(self.folder / "portal", How.REDIRECTS, self.lab.server, 80))

    def answers_no_such_name(self) -> None:
        """Start a server of names that knows none."""
        words = [*self.lab.server.enter, sys.executable, "-c", _NO_SUCH_NAME, self.lab.server.address]
        server = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
        self.stack.callback(server.wait)
        self.stack.callback(server.kill)
        assert server.stdout
        self.stack.callback(server.stdout.close)
        assert server.stdout.readline()

    def _start(self, words: list[str], port: int) -> None:
        self.stack.enter_context(listening(words, self.folder, port, self.lab.server))


@contextmanager
def room(folder: Path) -> Iterator[Room]:
    """Make one."""
    with Lab() as lab:
        made = Room(lab, folder)
        with made.stack:
            yield made


@dataclass(frozen=True)
class UplinkFault:
    """What is wrong, how it is made, and what people must be told, within ten seconds."""

    what: str
    make: Callable[[Room], object]
    told: NetworkFault
    url: str = f"rtmp://{HOST}:{PORT}/live"


def _both(*acts: Callable[[Room], object]) -> Callable[[Room], object]:
    return lambda place: [act(place) for act in acts]


FAULTS = {
    "no-cable": UplinkFault(
        "the network cable is out",
        _both(Room.knows_nobody, lambda place: place.ip("link", "set", "wan", "down")),
        NetworkFault.NO_CABLE,
    ),
    "no-address": UplinkFault(
        "the network gives no address",
        _both(Room.knows_nobody, lambda place: place.ip("addr", "flush", "dev", "wan", "scope", "global")),
        NetworkFault.NO_ADDRESS,
    ),
    "no-route": UplinkFault(
        "there is no way there", lambda _place: None, NetworkFault.NO_ROUTE, f"rtmp://{_ELSEWHERE}:{PORT}/live"
    ),
    "no-dns": UplinkFault("nobody serves names", Room.knows_nobody, NetworkFault.NO_DNS),
    "dns-silent": UplinkFault(
        "the server of names never answers",
        _both(Room.knows_nobody, lambda place: place.lab.link(blackout_s=60)),
        NetworkFault.NO_DNS,
    ),
    "unknown-host": UplinkFault(
        "there is no such name", _both(Room.knows_nobody, Room.answers_no_such_name), NetworkFault.UNKNOWN_HOST
    ),
    "refused": UplinkFault("nobody listens", Room.knows_host, NetworkFault.REFUSED),
    "timeout": UplinkFault(
        "nothing comes back", _both(Room.knows_host, lambda place: place.lab.link(blackout_s=60)), NetworkFault.TIMEOUT
    ),
    "portal": UplinkFault(
        "a captive portal redirects pages, and refuses all else",
        _both(Room.knows_host, Room.is_behind_a_portal),
        NetworkFault.PORTAL,
    ),
    "portal-with-tls": UplinkFault(
        "a captive portal redirects pages, and answers for everybody with a certificate of its own",
        _both(Room.knows_host, Room.is_behind_a_portal, Room.speaks_tls),
        NetworkFault.PORTAL,
        f"rtmps://{HOST}/live",
    ),
    "intercepted": UplinkFault(
        "somebody else's certificate", _both(Room.knows_host, Room.speaks_tls), NetworkFault.INTERCEPTED, f"rtmps://{HOST}/live"
    ),
    "stalls": UplinkFault(
        "the server stops midway",
        _both(Room.knows_host, lambda place: place.serves(_HALF_A_HELLO, PORT)),
        NetworkFault.STALLS,
    ),
}  # fmt: skip


def settings(folder: Path, url: str, more: str = "") -> None:
    """Write settings with a destination, and its key."""
    (folder / "liput.toml").write_text(f'{more}\n[destinations.campus]\nurl = "{url}"\ntest = true\n')
    (folder / "keys.toml").touch(0o600)
    (folder / "keys.toml").write_text('campus = "good"\n')
