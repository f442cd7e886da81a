"""Why a server cannot be reached, or does not answer as it should: stable codes for programs."""

from enum import StrEnum

from config.errors import LiputError


class Trouble(StrEnum):
    """What is wrong; never renamed: a contract."""

    NO_CABLE = "no-cable"
    """No network interface of this PC has a link."""
    NO_ADDRESS = "no-address"
    """One has a link, and none an address."""
    NO_ROUTE = "no-route"
    """This PC knows no way there, or somebody on the way knows none."""
    NO_DNS = "no-dns"
    """No server answers that knows the addresses of hosts."""
    UNKNOWN_HOST = "unknown-host"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    """Nothing comes back from its address."""
    PORTAL = "portal"
    """Somebody else answers, who wants people to log in first."""
    INTERCEPTED = "intercepted"
    """The certificate is not one that this server should have."""
    CERTIFICATE_DATE = "certificate-date"
    """The certificate is out of date, or this PC's clock is."""
    NO_TLS = "no-tls"
    SILENT = "silent"
    """It takes connections, and says nothing."""
    STALLS = "stalls"
    """It began to answer, or to take what it was sent, and stopped."""
    CLOSED = "closed"
    FOREIGN = "foreign"
    """What answers is not what was looked for."""
    SERVER_ERROR = "server-error"
    """It answers that it will not, or cannot."""
    BUSY = "busy"
    """It measures for somebody else now."""


class NetworkTrouble(LiputError):
    """A server that cannot be used, and why; `detail` is what more is known, such as who answers in its place."""

    def __init__(self, trouble: Trouble, detail: str = "") -> None:
        super().__init__(f"{trouble} ({detail})" if detail else str(trouble))
        self.trouble = trouble
        self.detail = detail


class Stopped(Exception):
    """Nobody waits for an answer any more."""
