"""Whether this PC is on a network at all, as its kernel sees it; nothing is sent to find out."""

import ipaddress
import socket
from collections.abc import Iterator

import psutil

from devices.uplink.trouble import Trouble

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def missing() -> Trouble | None:
    """Return what this PC lacks of a network: a link (a cable, Wi-Fi), an address, or nothing."""
    linked = {name for name, state in psutil.net_if_stats().items() if state.isup and "running" in state.flags}
    linked -= {name for name in linked if "loopback" in psutil.net_if_stats()[name].flags}
    if not linked:
        return Trouble.NO_CABLE
    addresses = (address for name in linked for address in _addresses(name))
    return None if any(not address.is_link_local for address in addresses) else Trouble.NO_ADDRESS


def interface_to(address: str) -> str | None:
    """Return the network interface by which this PC sends to an IP address, None where nobody knows; sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            own = ipaddress.ip_address(one.getsockname()[0].partition("%")[0])
    except OSError:
        return None
    return next((name for name in psutil.net_if_addrs() if own in _addresses(name)), None)


def _addresses(name: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    for address in psutil.net_if_addrs().get(name, []):
        if address.family in _FAMILIES:
            yield ipaddress.ip_address(address.address.partition("%")[0])
