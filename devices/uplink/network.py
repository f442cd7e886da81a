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


def _addresses(name: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    for address in psutil.net_if_addrs().get(name, []):
        if address.family in _FAMILIES:
            yield ipaddress.ip_address(address.address.partition("%")[0])
