"""Whose word is taken for a server's certificate, and what is wrong with one that is refused."""

import os
import socket
import ssl

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)
PATIENCE_S = 2.0


def trusted_authorities(ca_file: str | None) -> str | None:
    """Return the file of certificates to check against: the destination's own, or this system's.

    The TLS library inside PyAV's wheels looks only where Fedora has them, so it must be told.
    """
    candidates = (ca_file,) if ca_file else (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in candidates if path and (ca_file or os.access(path, os.R_OK))), None)


def certificate_problem(host: str, port: int, ca_file: str | None) -> str:
    """Ask a server once more, with a library that says what is wrong with a certificate; '' where it cannot tell."""
    try:
        context = ssl.create_default_context(cafile=trusted_authorities(ca_file))
    except OSError:
        return "the file of trusted authorities cannot be read"
    try:
        with (
            socket.create_connection((host, port), timeout=PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""
