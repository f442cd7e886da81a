"""A measurement server: its address, connections to it, and the issuer of its certificate."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from devices.uplink.connecting import Address, Deadline, NetworkError, NetworkFault, connect, resolve, start_tls
from devices.uplink.connection import UplinkConnection

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
        plain = connect(self.addresses, patience)
        if self._context is None:
            return UplinkConnection(plain)
        try:
            return UplinkConnection(start_tls(plain, self.server.host, self._context, patience))
        except NetworkError as error:
            if error.trouble is not NetworkFault.INTERCEPTED:
                raise
            raise NetworkError(
                NetworkFault.INTERCEPTED, certificate_issuer(self.server.host, self.addresses, patience) or error.detail
            ) from None


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
