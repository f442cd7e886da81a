"""The host and port of an address: read, or refused without repeating them."""

import re

from config.errors import UsageError


def host_and_port(place: str, hint: str) -> tuple[str, int | None]:
    """Take HOST, HOST:PORT or [IPV6]:PORT apart; raises UsageError."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/?#]+)(?::(\d{0,5}))?", place)
    if match is None:
        raise UsageError("a live destination's address has no host that could be read", hint=hint)
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        raise UsageError("a live destination's port is not between 1 and 65535", hint=hint)
    try:
        host = match[1].strip("[]").lower().encode("idna").decode()
    except UnicodeError:
        raise UsageError("a live destination's host is not a name that can be looked up", hint=hint) from None
    return host, port


def shown(host: str, port: int) -> str:
    """Return host and port, fit to be shown, and to stand in an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
