"""Limits per client. Clients without the token cannot crowd out others, nor the network this PC."""

import contextlib
import ipaddress
import resource
import socket
from dataclasses import dataclass
from typing import Any

from devices.uplink.tcp_info import owner_of_peer

LONGEST_BODY, LONGEST_PAPERS = 64 * 1024, 32 * 2**20  # bytes of a request; those with papers, which are base64
LONGEST_HEAD = 16 * 1024
REQUESTS_AT_ONCE, REQUESTS_PER_S = 300.0, 60.0  # a page loads a dozen files; people may share an address
MOST_ADDRESSES = 1024  # addresses counted; the one silent for longest is forgotten
MOST_CONNECTIONS = 256  # of all clients, and at most a quarter of the descriptors
MOST_OF_ONE, LEAST_OF_ONE = 32, 8  # without the token, of one address or local user; a browser opens six
AT_ONCE = 2  # connections accepted before the former ones are served, so that each has time to send
MOST_SOCKETS = 64  # WebSockets from this PC; as many from the network
HANDSHAKE_S = 5.0  # seconds for TLS to begin, and to end
HEADER_S = 10.0  # seconds for a whole request, head and body
KEEP_ALIVE_S = 15
UNREAD_S = 30.0  # a client that reads nothing for so long is disconnected

type Client = tuple[str, int]  # address and port


def plain_address(address: str) -> str:
    """Return an IPv4 address without the prefix of IPv6 sockets (::ffff:192.168.1.5)."""
    return address.removeprefix("::ffff:") if "." in address else address


def longest_body(path: str) -> int:
    """Return the largest body of a request, in bytes."""
    return LONGEST_PAPERS if path.startswith("/api/v1/requests") else LONGEST_BODY


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(plain_address(address)).is_loopback
    except ValueError:
        return False


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    of: str | int | None  # its owner: an address of the network, or a user of this PC
    is_near: bool
    has_token: bool = False
    is_shut_down: bool = False

    def shut_down(self) -> None:
        self.is_shut_down = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class LimitedListener(socket.socket):
    """Limits connections; a new one without the token may end the oldest. For one event loop.

    A quarter each is for this PC and for the network, with the token and without.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = MOST_CONNECTIONS if descriptors < 0 else min(MOST_CONNECTIONS, descriptors // 4)
        self._share = max(1, most // 4)
        self._of_one = max(LEAST_OF_ONE, min(MOST_OF_ONE, self._share // 2))
        self._connections: dict[Client, _Connection] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises OSError."""
        taken, client = super().accept()
        self._connections = {known: one for known, one in self._connections.items() if one.socket.fileno() >= 0}
        if len(self._connections) >= 4 * self._share + AT_ONCE:  # connections shut down here are still open
            taken.close()
            raise ConnectionAbortedError
        address = plain_address(client[0])
        new = _Connection(taken, owner_of_peer(taken) if is_loopback(address) else address, is_loopback(address))
        alike = self._like(new)
        of_one = [one for one in alike if one.of == new.of]
        if len(of_one) >= self._of_one:
            of_one[0].shut_down()
        elif len(alike) >= self._share:
            alike[0].shut_down()
        self._connections[client[:2]] = new
        return taken, client

    def mark_authenticated(self, client: Client | None) -> None:
        """Count a client among those with the token while there is room."""
        found = self._connections.get(client) if client else None
        if found and not found.has_token:
            found.has_token = True
            found.has_token = len(self._like(found)) <= self._share

    def _like(self, connection: _Connection) -> list[_Connection]:
        """Return the connections in the same quarter, oldest first."""
        there = [one for one in self._connections.values() if not one.is_shut_down]
        return [one for one in there if (one.is_near, one.has_token) == (connection.is_near, connection.has_token)]
