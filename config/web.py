"""What can be set of the page and its API (`[web]`): where they are served, and under which names."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from config import kinds

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only where the settings say `lan`, with TLS and the token
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where `liput serve` serves the page and its API.

    Only this PC can reach them, unless `lan` is on; they are then encrypted, with the certificate in `tls_certificate`
    (PEM, with the chain) and its `tls_key`. `allowed_hosts` are names by which the PC is called beside its own
    addresses. `port` 0 is any that is free.
    """

    enabled: Annotated[bool, kinds.SWITCH] = True
    host: Annotated[str, kinds.TEXT] = LOOPBACK
    port: Annotated[int, kinds.whole(0, 65_535)] = 8466
    lan: Annotated[bool, kinds.SWITCH] = False
    tls_certificate: Annotated[Path | None, kinds.FILE_PATH] = None
    tls_key: Annotated[Path | None, kinds.FILE_PATH] = None
    allowed_hosts: Annotated[tuple[str, ...], kinds.WORDS] = ()

    @property
    def is_encrypted(self) -> bool:
        """Whether it is served by https."""
        return self.tls_certificate is not None

    @property
    def address(self) -> str:
        """The address that is listened at: that of `host`, and with `lan` every one where no other is named."""
        return EVERYWHERE if self.lan and self.host == LOOPBACK else self.host

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        try:
            is_loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            yield "host", f'must be an address of this PC, such as "{LOOPBACK}"'
            return
        if not self.lan and not is_loopback:
            yield "host", "is reached by others of the network; that needs lan = true, with a certificate"
        if self.lan and self.tls_certificate is None:
            yield "lan", "needs tls_certificate and tls_key: without them everybody of the network could read the token"
        if (self.tls_certificate is None) is not (self.tls_key is None):
            yield "tls_key" if self.tls_key else "tls_certificate", "tls_certificate and tls_key go together"
        for name in self.allowed_hosts:
            if not _NAME.issuperset(name.lower()):
                yield "allowed_hosts", 'must be names of hosts, such as ["aula.kampus.ac.id"]'
