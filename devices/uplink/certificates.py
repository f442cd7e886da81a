"""Who has signed a certificate that nobody trusts: that tells who stands in between."""

import ssl
from collections.abc import Sequence

from devices.uplink.connecting import Address, Patience, connect, secure
from devices.uplink.trouble import NetworkTrouble

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
