"""From a host's name to a connection, step by step within a time; each failure is a Trouble of its own."""

import errno
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devices.host.deadline import DeadlineTask
from devices.uplink.trouble import NetworkTrouble, Stopped, Trouble

POLL_S = 0.05
STEP_S = 3.5
"""The longest that a step takes: long enough for two packets in a row that are lost."""

type Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]

_NO_WAY_THERE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM)
_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)
_OUT_OF_DATE = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when (time.monotonic) an answer is of use; no step takes longer than `step_s` of that."""

    until: float
    stop: threading.Event
    step_s: float = STEP_S

    @classmethod
    def of(cls, seconds: float, stop: threading.Event) -> "Patience":
        """Return one that begins now."""
        return cls(time.monotonic() + seconds, stop, min(STEP_S, seconds))

    def step(self) -> "Patience":
        """Return what a step that begins now has."""
        return Patience(min(self.until, time.monotonic() + self.step_s), self.stop, self.step_s)

    def share(self, count: int) -> "Patience":
        """Return an equal share of what is left for the next of `count`."""
        now = time.monotonic()
        return Patience(now + max(0.0, self.until - now) / count, self.stop, self.step_s)

    def slice_s(self) -> float:
        """Return how long to wait before looking again; 0 when it is over. Raises Stopped."""
        if self.stop.is_set():
            raise Stopped
        return min(POLL_S, max(0.0, self.until - time.monotonic()))

    def wait_for(self, connection: socket.socket, events: int) -> bool:
        """Wait until poll(2) has one of `events` for a connection; False when it took too long. Raises Stopped."""
        poll = select.poll()
        poll.register(connection, events)
        while slice_s := self.slice_s():
            if poll.poll(slice_s * 1000):
                return True
        return False


def resolve(
    host: str, port: int, patience: Patience, kind: socket.SocketKind = socket.SOCK_STREAM
) -> Sequence[Address]:
    """Return the addresses of a host, as `with_a_way` has them; a look-up in vain is left to its thread.

    Raises NetworkTrouble and Stopped.
    """
    look_up = DeadlineTask(lambda: socket.getaddrinfo(host, port, type=kind), f"resolve-{host}")
    patience = patience.step()
    while not look_up.ends_within(patience.slice_s()):
        if not patience.slice_s() and not look_up.wait(0.0):
            raise NetworkTrouble(Trouble.NO_DNS)
    try:
        return with_a_way(look_up.result())
    except UnicodeError:  # the system is not even asked
        raise NetworkTrouble(Trouble.UNKNOWN_HOST) from None
    except OSError as error:
        is_unknown = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
        raise NetworkTrouble(Trouble.UNKNOWN_HOST if is_unknown else Trouble.NO_DNS, error.strerror or "") from None


def with_a_way(addresses: Sequence[Address]) -> Sequence[Address]:
    """Return the addresses that have a route, all where none has: the others would take time."""
    return [address for address in addresses if _has_way(address)] or addresses


def _has_way(found: Address) -> bool:
    family, _, _, _, address = found
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # which sends nothing
    except OSError:
        return False
    return True


def connect(addresses: Sequence[Address], patience: Patience) -> socket.socket:
    """Return a TCP connection to the first address that takes one; it does not block. Raises as `resolve`."""
    patience, trouble = patience.step(), NetworkTrouble(Trouble.NO_ROUTE)
    for index, address in enumerate(addresses):
        try:
            return _connect_to(address, patience.share(len(addresses) - index))
        except NetworkTrouble as error:
            trouble = error
    raise trouble


def _connect_to(found: Address, patience: Patience) -> socket.socket:
    family, kind, protocol, _, address = found
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(0)
        _call(connection, address, patience)
    except BaseException:
        connection.close()
        raise
    return connection


def _call(connection: socket.socket, address: tuple[Any, ...], patience: Patience) -> None:
    number = connection.connect_ex(address)
    if number == errno.EINPROGRESS:
        if not patience.wait_for(connection, select.POLLOUT):
            raise NetworkTrouble(Trouble.TIMEOUT)
        number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise _not_connected(number)


def _not_connected(number: int) -> NetworkTrouble:
    if number in (errno.ECONNREFUSED, errno.ECONNRESET):
        return NetworkTrouble(Trouble.REFUSED)
    return NetworkTrouble(Trouble.NO_ROUTE if number in _NO_WAY_THERE else Trouble.TIMEOUT, os.strerror(number))


def secure(plain: socket.socket, host: str, context: ssl.SSLContext, patience: Patience) -> ssl.SSLSocket:
    """Return TLS over a connection, which it takes over. Raises NetworkTrouble and Stopped."""
    patience = patience.step()
    connection = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                connection.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                events = select.POLLIN if isinstance(wants, ssl.SSLWantReadError) else select.POLLOUT
                if not patience.wait_for(connection, events):
                    raise NetworkTrouble(Trouble.SILENT, "TLS") from None
            else:
                return connection
    except ssl.SSLCertVerificationError as error:
        connection.close()
        trouble = Trouble.CERTIFICATE_DATE if error.verify_code in _OUT_OF_DATE else Trouble.INTERCEPTED
        raise NetworkTrouble(trouble, error.verify_message) from None
    except OSError as error:
        connection.close()
        is_closed = isinstance(error, ssl.SSLEOFError | ConnectionError)
        raise NetworkTrouble(Trouble.CLOSED if is_closed else Trouble.NO_TLS) from None
    except BaseException:
        connection.close()
        raise
