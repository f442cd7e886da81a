"""How much one client may ask for. Nobody without the token takes from those with it, nor the network from this PC."""

import contextlib
import ipaddress
import resource
import socket
from dataclasses import dataclass
from typing import Any

from devices.uplink.tcp_info import owner_of_peer

LONGEST_BODY = 64 * 1024
LONGEST_HEAD = 16 * 1024
REQUESTS_AT_ONCE, REQUESTS_PER_S = 300.0, 60.0
"""A page loads a dozen files and then has its WebSocket; several people may sit behind one address."""
MOST_ADDRESSES = 1024
"""Whose requests are counted; the one that was silent the longest is forgotten."""
MOST_CONNECTIONS = 256
"""At once, of all; at most a quarter of the descriptors: the rest is for files, devices and recorders.

A quarter of them is for each: this PC and the network, with the token and without.
"""
MOST_OF_ONE, LEAST_OF_ONE = 32, 8
"""Without the token, of one address of the network, or of one user of this PC.

A browser opens six; a connection counts so until it has shown the token, and twenty pages may be opened at once."""
AT_ONCE = 2
"""Connections that are taken before those are served that are there: each has time to ask before it may be let go."""
MOST_SOCKETS = 64
"""WebSockets of this PC; as many of the network."""
HANDSHAKE_S = 5.0
"""How long TLS may take to begin, and to end."""
HEADER_S = 10.0
"""How long a request may take to come in, head and body."""
KEEP_ALIVE_S = 15
UNREAD_S = 30.0
"""A client that takes nothing of its answer for so long is let go."""

type Client = tuple[str, int]
"""Address and port."""


def plain(address: str) -> str:
    """Return an address of IPv4 as people know it, though a socket of IPv6 has it as ::ffff:192.168.1.5."""
    return address.removeprefix("::ffff:") if "." in address else address


def is_near(address: str) -> bool:
    """Whether a client's address is one of this PC's own that nobody else can have."""
    try:
        return ipaddress.ip_address(plain(address)).is_loopback
    except ValueError:
        return False


@dataclass(eq=False)
class _Connection:
    """One that was taken, and not closed yet."""

    socket: socket.socket
    of: str | int | None
    """Whose it is: an address of the network, or a user of this PC."""
    is_near: bool
    is_let_in: bool = False
    is_let_go: bool = False

    def is_like(self, other: "_Connection") -> bool:
        """Whether they share a quarter."""
        return (self.is_near, self.is_let_in, self.is_let_go) == (other.is_near, other.is_let_in, False)

    def let_go(self) -> None:
        """Have it end; whoever serves it finds that the client has hung up."""
        self.is_let_go = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Listener(socket.socket):
    """Counts connections as they come: a new one without the token costs the oldest. Used from one event loop."""

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = MOST_CONNECTIONS if descriptors < 0 else min(MOST_CONNECTIONS, descriptors // 4)
        self._share = max(1, most // 4)
        self._of_one = max(LEAST_OF_ONE, min(MOST_OF_ONE, self._share // 2))
        self._there: dict[Client, _Connection] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Take a connection. Raises OSError, as a socket does."""
        taken, client = super().accept()
        self._there = {known: one for known, one in self._there.items() if one.socket.fileno() >= 0}
        if len(self._there) >= 4 * self._share + AT_ONCE:  # those that were let go have not gone yet
            taken.close()
            raise ConnectionAbortedError
        address = plain(client[0])
        new = _Connection(taken, owner_of_peer(taken) if is_near(address) else address, is_near(address))
        alike = self._like(new)
        of_one = [one for one in alike if one.of == new.of]
        if len(of_one) >= self._of_one:
            of_one[0].let_go()
        elif len(alike) >= self._share:
            alike[0].let_go()
        self._there[client[:2]] = new
        return taken, client

    def let_in(self, client: Client | None) -> None:
        """Count a client among those with the token, as long as there is room; else it may be let go for a new one."""
        found = self._there.get(client) if client else None
        if found and not found.is_let_in:
            found.is_let_in = True
            found.is_let_in = len(self._like(found)) <= self._share

    def _like(self, connection: _Connection) -> list[_Connection]:
        """Return those that share a quarter with it, the oldest first."""
        return [one for one in self._there.values() if one.is_like(connection)]
