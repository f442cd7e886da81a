"""Opens connections: look-up, TCP and TLS, each within its time; each failure is a NetworkFault."""

import errno
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from config.errors import LiputError
from devices.host.deadline import DeadlineTask


class NetworkFault(StrEnum):
    """The fault; a contract, never renamed."""

    NO_CABLE = "no-cable"  # no network interface of this PC has a link
    NO_ADDRESS = "no-address"  # an interface has a link, but none has an address
    NO_ROUTE = "no-route"  # this PC or a router on the way has no route
    NO_DNS = "no-dns"
    UNKNOWN_HOST = "unknown-host"
    REFUSED = "refused"
    TIMEOUT = "timeout"  # its address does not answer
    PORTAL = "portal"  # a captive portal answers instead
    INTERCEPTED = "intercepted"  # the certificate is not this server's
    CERTIFICATE_DATE = "certificate-date"  # the certificate is out of date, or this PC's clock is wrong
    NO_TLS = "no-tls"
    SILENT = "silent"  # it accepts connections, and sends nothing
    STALLS = "stalls"  # it stopped after a beginning
    CLOSED = "closed"
    FOREIGN = "foreign"  # another kind of server answers
    SERVER_ERROR = "server-error"
    BUSY = "busy"  # it measures for another client


class NetworkError(LiputError):
    """A server cannot be used; `detail` has more facts, such as the host that answers instead."""

    def __init__(self, trouble: NetworkFault, detail: str = "") -> None:
        super().__init__(f"{trouble} ({detail})" if detail else str(trouble))
        self.trouble = trouble
        self.detail = detail


class Cancelled(Exception):
    """The caller gave up."""


POLL_S = 0.05
STEP_S = 3.5  # the longest time of a step: enough for two lost packets in a row

type Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

_NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)
_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
_OUT_OF_DATE = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Deadline:
    """A deadline (time.monotonic) with at most `step_s` for each step; `stop` ends it."""

    until: float
    stop: threading.Event
    step_s: float = STEP_S

    @classmethod
    def of(cls, seconds: float, stop: threading.Event) -> "Deadline":
        """Return a deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, stop, min(STEP_S, seconds))

    def step(self) -> "Deadline":
        return Deadline(min(self.until, time.monotonic() + self.step_s), self.stop, self.step_s)

    def share(self, count: int) -> "Deadline":
        """Return an equal share of the remaining time for the next of `count`."""
        now = time.monotonic()
        return Deadline(now + max(0.0, self.until - now) / count, self.stop, self.step_s)

    def slice_s(self) -> float:
        """Return the seconds until the next poll; 0 after the deadline. Raises Cancelled."""
        if self.stop.is_set():
            raise Cancelled
        return min(POLL_S, max(0.0, self.until - time.monotonic()))

    def wait_for(self, connection: socket.socket, events: int) -> bool:
        """Wait until poll(2) reports one of `events`; False at the deadline. Raises Cancelled."""
        poll = select.poll()
        poll.register(connection, events)
        while slice_s := self.slice_s():
            if poll.poll(slice_s * 1000):
                return True
        return False


def resolve(
    host: str, port: int, patience: Deadline, kind: socket.SocketKind = socket.SOCK_STREAM
) -> Sequence[Address]:
    """Return the addresses of a host that have a route, or all. Raises NetworkError and Cancelled."""
    look_up = DeadlineTask(lambda: socket.getaddrinfo(host, port, type=kind), f"resolve-{host}")
    patience = patience.step()
    while not look_up.ends_within(patience.slice_s()):
        if not patience.slice_s() and not look_up.wait(0.0):
            raise NetworkError(NetworkFault.NO_DNS)
    try:
        return routable(look_up.result())
    except UnicodeError:  # Python refuses the name itself
        raise NetworkError(NetworkFault.UNKNOWN_HOST) from None
    except OSError as error:
        is_unknown = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
        raise NetworkError(
            NetworkFault.UNKNOWN_HOST if is_unknown else NetworkFault.NO_DNS, error.strerror or ""
        ) from None


def routable(addresses: Sequence[Address]) -> Sequence[Address]:
    """Return the addresses that have a route, or all where none has: trying the others costs time."""
    return [address for address in addresses if _has_way(address)] or addresses


def _has_way(found: Address) -> bool:
    family, _, _, _, address = found
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # UDP: sends nothing
    except OSError:
        return False
    return True


def connect(addresses: Sequence[Address], patience: Deadline) -> socket.socket:
    """Return a non-blocking TCP connection to the first address that accepts it. Raises as `resolve`."""
    patience, trouble = patience.step(), NetworkError(NetworkFault.NO_ROUTE)
    for index, address in enumerate(addresses):
        try:
            return _connect_to(address, patience.share(len(addresses) - index))
        except NetworkError as error:
            trouble = error
    raise trouble


def _connect_to(found: Address, patience: Deadline) -> socket.socket:
    family, kind, protocol, _, address = found
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(0)
        _call(connection, address, patience)
    except BaseException:
        connection.close()
        raise
    return connection


def _call(connection: socket.socket, address: tuple[Any, ...], patience: Deadline) -> None:
    number = connection.connect_ex(address)
    if number == errno.EINPROGRESS:
        if not patience.wait_for(connection, select.POLLOUT):
            raise NetworkError(NetworkFault.TIMEOUT)
        number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number in (errno.ECONNREFUSED, errno.ECONNRESET):
        raise NetworkError(NetworkFault.REFUSED)
    if number:
        trouble = NetworkFault.NO_ROUTE if number in _NO_WAY_THERE else NetworkFault.TIMEOUT
        raise NetworkError(trouble, os.strerror(number))


def start_tls(plain: socket.socket, host: str, context: ssl.SSLContext, patience: Deadline) -> ssl.SSLSocket:
    """Return TLS over the connection `plain`, which it owns from then on. Raises NetworkError and Cancelled."""
    patience = patience.step()
    connection = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                connection.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                events = select.POLLIN if isinstance(wants, ssl.SSLWantReadError) else select.POLLOUT
                if not patience.wait_for(connection, events):
                    raise NetworkError(NetworkFault.SILENT, "TLS") from None
            else:
                return connection
    except ssl.SSLCertVerificationError as error:
        connection.close()
        trouble = NetworkFault.CERTIFICATE_DATE if error.verify_code in _OUT_OF_DATE else NetworkFault.INTERCEPTED
        raise NetworkError(trouble, error.verify_message) from None
    except OSError as error:
        connection.close()
        is_closed = isinstance(error, ssl.SSLEOFError | ConnectionError)
        raise NetworkError(NetworkFault.CLOSED if is_closed else NetworkFault.NO_TLS) from None
    except BaseException:
        connection.close()
        raise


_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def missing_network() -> NetworkFault | None:
    """Return the missing part of this PC's network: link or address; None where both are there."""
    import psutil  # slow to load, and rarely needed

    linked = {name for name, state in psutil.net_if_stats().items() if state.isup and "running" in state.flags}
    linked -= {name for name in linked if "loopback" in psutil.net_if_stats()[name].flags}
    if not linked:
        return NetworkFault.NO_CABLE
    texts = [
        one.address.partition("%")[0]
        for name, several in psutil.net_if_addrs().items()
        for one in several
        if name in linked and one.family in _FAMILIES
    ]
    is_local = all(ipaddress.ip_address(text).is_link_local for text in texts)
    return NetworkFault.NO_ADDRESS if is_local else None


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
)
PATIENCE_S = 2.0


def trusted_authorities(ca_file: str | None) -> str | None:
    """Return the file of trusted certificates: the destination's own, or this system's.

    PyAV's TLS library knows Fedora's path only.
    """
    candidates = (ca_file,) if ca_file else (ssl.get_default_verify_paths().cafile, *_BUNDLES)
    return next((path for path in candidates if path and (ca_file or os.access(path, os.R_OK))), None)


def certificate_problem(host: str, port: int, ca_file: str | None) -> str:
    """Connect to a server again; return OpenSSL's message on its certificate, '' where it finds no fault."""
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
