"""What can be set of the check before a session: against whom the uplink is measured, and what it may cost."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from config import kinds
from config.addresses import NO_HOST, is_host

SCHEMES = {"librespeed": ("http", "https"), "iperf3": ("iperf3",)}
"""The schemes of `server`'s address, by the kind of server."""


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the uplink is measured, what a conference needs of it, and what the operator ticks off.

    `uplink` says against whom: a LibreSpeed-compatible or an iperf3 `server` (an address; "" is none), the `ingest` of
    the destinations themselves, or nobody. `public`: the server is not the campus's own, and is asked only where
    somebody agrees. A measurement moves at most `most_data` bytes, in `streams` connections at once.
    `conference_up` and `conference_down` are what Zoom or Meet take, in bits a second. `equipment` is what no program
    can sense.
    """

    uplink: Annotated[str, kinds.choice((*SCHEMES, "ingest", "none"))] = "librespeed"
    server: Annotated[str, kinds.TEXT] = ""
    public: Annotated[bool, kinds.SWITCH] = False
    streams: Annotated[int, kinds.whole(1, 8)] = 6
    most_data: Annotated[int, kinds.size(1_000_000, 10**11)] = 100_000_000
    conference_up: Annotated[int, kinds.rate(0, 200_000_000)] = 3_800_000
    conference_down: Annotated[int, kinds.rate(0, 200_000_000)] = 3_000_000
    equipment: Annotated[tuple[str, ...], kinds.WORDS] = ("tripod", "cables")

    def problems(self) -> Iterator[tuple[str, str]]:
        """Give the fields that do not go together, each with what is wrong."""
        schemes = SCHEMES.get(self.uplink)
        if schemes and self.server:
            try:
                parts = urlsplit(self.server)
                host, is_address = parts.hostname or "", parts.scheme in schemes and (parts.port or 1) > 0
            except ValueError:
                host, is_address = "", False
            if not host or not is_address:
                yield "server", f"must be an address, {' or '.join(f'{scheme}://HOST' for scheme in schemes)}"
            elif not is_host(host):
                yield "server", NO_HOST
