"""A server to measure with: its address taken apart, and the way to it."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from devices.uplink.channel import Channel
from devices.uplink.connecting import Address, NetworkTrouble, Patience, Trouble, connect, resolve, secure

_PORTS = {"http": 80, "https": 443, "iperf3": 5201}


@dataclass(frozen=True, slots=True)
class Server:
    """`scheme` is http, https or iperf3; `path` is what stands before the names of LibreSpeed's own pages."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def where(self) -> str:
        """Its host, fit to be shown and to be sent to it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_server(address: str) -> Server:
    """Take apart an address that the settings allow (config/settings/schema.py)."""
    parts = urlsplit(address)
    return Server(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.path.rstrip("/"))


class Way:
    """The way to a server: its addresses, and its certificate looked at. Raises NetworkTrouble and Stopped."""

    def __init__(self, server: Server, patience: Patience) -> None:
        """Look up its addresses."""
        self.server = server
        self.addresses: Sequence[Address] = resolve(server.host, server.port, patience)
        self._context = ssl.create_default_context() if server.scheme == "https" else None

    def open(self, patience: Patience) -> Channel:
        """Return a connection, with TLS where the address says so."""
        plain = connect(self.addresses, patience)
        if self._context is None:
            return Channel(plain)
        try:
            return Channel(secure(plain, self.server.host, self._context, patience))
        except NetworkTrouble as error:
            if error.trouble is not Trouble.INTERCEPTED:
                raise
            raise NetworkTrouble(
                Trouble.INTERCEPTED, signed_by(self.server.host, self.addresses, patience) or error.detail
            ) from None


_NAMES = (bytes.fromhex("0603550403"), bytes.fromhex("060355040a"))
"""The common name and the organisation, as they are tagged in a certificate (X.520)."""
_LONGEST = 64


def signed_by(host: str, addresses: Sequence[Address], patience: Patience) -> str:
    """Ask a server for its certificate once more; return the name of who has signed it, "" where that is not known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over it
    try:
        with secure(connect(addresses, patience), host, context, patience) as connection:
            return issuer(connection.getpeercert(binary_form=True) or b"")
    except NetworkTrouble:
        return ""


def issuer(certificate: bytes) -> str:
    """Return the name of who has signed a certificate (DER): in one, the issuer stands before the subject."""
    for name in _NAMES:
        at = certificate.find(name)
        if at >= 0:
            at += len(name)
            text = certificate[at + 2 : at + 2 + certificate[at + 1]].decode(errors="replace")
            return "".join(character for character in text if character.isprintable())[:_LONGEST]
    return ""
