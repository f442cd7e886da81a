"""Connections to a measurement server: its address, non-blocking transfer with TLS or without, its certificate."""

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from devices.uplink.connecting import Address, Deadline, NetworkError, NetworkFault, connect, resolve, start_tls
from devices.uplink.tcp_info import TCP_NOTSENT_LOWAT, TcpInfo, tcp_info

_HELD_BYTES = 524_288
"""The most unsent bytes in the kernel: enough for a full link on a busy PC, and little to discard at the end."""
_AT_ONCE = struct.pack("ii", 1, 0)  # for SO_LINGER: closing discards unsent data, which then loads no link
_LATER = struct.pack("ii", 0, 0)


class UplinkConnection(contextlib.AbstractContextManager["UplinkConnection"]):
    """An open connection; the `with` closes it and discards unsent data."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        connection.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, _HELD_BYTES)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it and discard unsent data; idempotent."""
        with contextlib.suppress(OSError):
            self._connection.close()

    def leave(self) -> None:
        """Close it; sent data still arrives, unless received data was left unread. Idempotent."""
        with contextlib.suppress(OSError):
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LATER)
        self.close()

    def info(self) -> TcpInfo:
        """Return the kernel's facts about it."""
        return tcp_info(self._connection)

    def send(self, data: bytes | memoryview) -> int:
        """Return the number of accepted bytes of `data`, 0 while the buffer is full. Raises OSError when closed."""
        try:
            return self._connection.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def send_all(self, data: bytes, patience: Deadline) -> None:
        """Send a short message. Raises OSError when closed, NetworkError and Cancelled."""
        left = memoryview(data)
        while left:
            sent = self.send(left)
            left = left[sent:]
            if not sent and not self.wait(patience, to_send=True):
                raise NetworkError(NetworkFault.SILENT)

    def receive(self, most: int) -> bytes | None:
        """Return received bytes, b"" at the end or when closed, None while there are none."""
        try:
            return self._connection.recv(most)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except OSError:
            return b""

    def wait(self, patience: Deadline, *, to_send: bool = False) -> bool:
        """Wait until bytes came, or with `to_send` could be sent; False after the time. Raises Cancelled."""
        if isinstance(self._connection, ssl.SSLSocket) and self._connection.pending():
            return True
        return patience.wait_for(self._connection, select.POLLIN | (select.POLLOUT if to_send else 0))


_PORTS = {"http": 80, "https": 443, "iperf3": 5201}


@dataclass(frozen=True, slots=True)
class UplinkServer:
    """`scheme` is http, https or iperf3; `path` precedes the names of LibreSpeed's pages."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def where(self) -> str:
        """Its host and port, for people and for the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_server(address: str) -> UplinkServer:
    """Parse an address that the settings allow (config/settings/schema.py)."""
    parts = urlsplit(address)
    return UplinkServer(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.path.rstrip("/"))


class ServerConnector:
    """Opens connections to a server, and checks its certificate. Raises NetworkError and Cancelled."""

    def __init__(self, server: UplinkServer, patience: Deadline) -> None:
        """Look up its addresses."""
        self.server = server
        self.addresses: Sequence[Address] = resolve(server.host, server.port, patience)
        self._context = ssl.create_default_context() if server.scheme == "https" else None

    def open(self, patience: Deadline) -> UplinkConnection:
        """Return a connection, with TLS for https."""
        return open_connection(self.server.host, self.addresses, self._context, patience)


def open_connection(
    host: str, addresses: Sequence[Address], tls: ssl.SSLContext | None, patience: Deadline
) -> UplinkConnection:
    """Return a connection to one of the host's addresses. Raises NetworkError and Cancelled.

    The error of a certificate that `tls` does not trust names its issuer.
    """
    plain = connect(addresses, patience)
    if tls is None:
        return UplinkConnection(plain)
    try:
        return UplinkConnection(start_tls(plain, host, tls, patience))
    except NetworkError as error:
        if error.trouble is not NetworkFault.INTERCEPTED:
            raise
        signer = certificate_issuer(host, addresses, patience)
        raise NetworkError(NetworkFault.INTERCEPTED, signer or error.detail) from None


_NAMES = (bytes.fromhex("0603550403"), bytes.fromhex("060355040a"))
"""The tags of common name and organisation in a certificate (X.520)."""
_LONGEST = 64


def certificate_issuer(host: str, addresses: Sequence[Address], patience: Deadline) -> str:
    """Fetch a server's certificate again; return the name of its issuer, "" where unknown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it carries no data
    try:
        with start_tls(connect(addresses, patience), host, context, patience) as connection:
            return issuer(connection.getpeercert(binary_form=True) or b"")
    except NetworkError:
        return ""


def issuer(certificate: bytes) -> str:
    """Return the issuer's name of a certificate (DER): the issuer precedes the subject."""
    for name in _NAMES:
        at = certificate.find(name)
        if at >= 0:
            at += len(name)
            text = certificate[at + 2 : at + 2 + certificate[at + 1]].decode(errors="replace")
            return "".join(character for character in text if character.isprintable())[:_LONGEST]
    return ""
