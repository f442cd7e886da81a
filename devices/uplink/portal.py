"""Whether somebody on the way wants people to log in first: a captive portal answers in everybody's name."""

from devices.uplink.channel import Channel
from devices.uplink.connecting import Patience, connect, resolve
from devices.uplink.http import read_head, request, somebody_else
from devices.uplink.trouble import NetworkTrouble

_PORT = 80
"""Where portals answer in the place of every host."""


def portal_before(host: str, patience: Patience) -> str | None:
    """Ask a host for its page; return who sends us to a login in its place, None where nobody does. Raises Stopped."""
    try:
        with Channel(connect(resolve(host, _PORT, patience), patience)) as channel:
            channel.send_all(request("GET", "/", host, "Connection: close"), patience)
            return somebody_else(read_head(channel, patience), host)
    except (NetworkTrouble, OSError):
        return None
