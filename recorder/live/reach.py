"""Checks whether a live destination can be reached, by its first messages; nothing is published."""

import errno
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.settings.addresses import SCHEMES
from devices.uplink.connecting import Deadline, NetworkError, NetworkFault, resolve, trusted_authorities
from devices.uplink.connection import UplinkConnection, open_connection
from devices.uplink.http import find_portal, receive
from recorder.live.kind import LiveUrl, ReachResult
from recorder.live.url import SrtUrl

PORTAL_S = 2.0  # part of the time for detecting a captive portal

_VERSION = 3
_HELLO_BYTES = 1536
_HTTP = b"HTTP/"
_MAY_BE_A_PORTAL = (
    NetworkFault.REFUSED,
    NetworkFault.TIMEOUT,
    NetworkFault.INTERCEPTED,
    NetworkFault.SILENT,
    NetworkFault.CLOSED,
    NetworkFault.NO_TLS,
)

_NO_PORT: dict[int, ReachResult] = {
    errno.EADDRINUSE: "port-taken",
    errno.EACCES: "port-forbidden",
    errno.EPERM: "port-forbidden",
}

_HANDSHAKE, _INDUCTION, _MAGIC = 0x80000000, 1, 0x4A17
"""SRT's handshake packet, its first kind, and the mark in a listener's answer."""
_AGAIN_S = 0.5
_SRT_HEAD_BYTES = 16


def reach_server(
    url: LiveUrl, ca_file: Path | None, whole: Deadline, greet: Callable[[UplinkConnection, Deadline], object]
) -> ReachResult:
    """Return after a TCP connection, TLS if the scheme has a certificate, and `greet`; finds captive portals.

    Raises NetworkError and Cancelled.
    """
    patience = Deadline(whole.until - PORTAL_S, whole.stop, whole.step_s)
    try:
        addresses = resolve(url.host, url.port, patience)
        with open_connection(url.host, addresses, _tls(url, ca_file), patience) as channel:
            greet(channel, patience)
    except NetworkError as error:
        if error.trouble in _MAY_BE_A_PORTAL and (who := find_portal(url.host, whole)):
            raise NetworkError(NetworkFault.PORTAL, who) from None
        raise
    return "ok"


def _tls(url: LiveUrl, ca_file: Path | None) -> ssl.SSLContext | None:
    if not SCHEMES[url.scheme].certificate:
        return None
    try:
        return ssl.create_default_context(cafile=trusted_authorities(str(ca_file) if ca_file else None))
    except OSError:
        raise NetworkError(NetworkFault.INTERCEPTED, "ca_file") from None


def greet_rtmp(channel: UplinkConnection, patience: Deadline) -> None:
    """Do the beginning of RTMP's handshake. Raises NetworkError and Cancelled."""
    patience = patience.step()
    try:
        channel.send_all(bytes([_VERSION]) + bytes(8) + os.urandom(_HELLO_BYTES - 8), patience)
    except OSError:
        raise NetworkError(NetworkFault.CLOSED) from None
    received = b""
    while len(received) <= _HELLO_BYTES:
        more = receive(channel, patience, has_begun=bool(received))
        if not more:
            raise NetworkError(NetworkFault.CLOSED)
        received += more
        if received.startswith(_HTTP):
            raise NetworkError(NetworkFault.PORTAL if b" 30" in received[:12] else NetworkFault.FOREIGN, "HTTP")
        if received[0] != _VERSION and not _HTTP.startswith(received[: len(_HTTP)]):
            raise NetworkError(NetworkFault.FOREIGN)


def reach_srt(url: SrtUrl, patience: Deadline) -> ReachResult:
    """Return after an SRT listener's cookie, which creates no connection. Raises NetworkError and Cancelled."""
    trouble = NetworkError(NetworkFault.SILENT)
    addresses = resolve(url.host, url.port, patience, socket.SOCK_DGRAM)
    patience = patience.step()  # one step for all addresses, as in srt_publish
    for index, (family, _, _, _, address) in enumerate(addresses):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            try:
                _ask_for_a_cookie(asking, address, patience.share(len(addresses) - index))
            except NetworkError as error:
                trouble = error
            else:
                return "ok"
    raise trouble


def _ask_for_a_cookie(asking: socket.socket, address: tuple[Any, ...], patience: Deadline) -> None:
    asking.settimeout(0)
    number, request = _induction()
    asked_at = 0.0
    try:
        asking.connect(address)
        while patience.slice_s():
            if time.monotonic() - asked_at > _AGAIN_S:
                asking.send(request)
                asked_at = time.monotonic()
            again = Deadline(min(patience.until, asked_at + _AGAIN_S), patience.stop)
            if again.wait_for(asking, select.POLLIN):
                _look_at(asking.recv(2048), number)
                return
    except ConnectionRefusedError:
        raise NetworkError(NetworkFault.REFUSED) from None
    except OSError as error:
        raise NetworkError(NetworkFault.NO_ROUTE, error.strerror or "") from None
    raise NetworkError(NetworkFault.TIMEOUT)


def _induction() -> tuple[int, bytes]:
    """Return a socket id and the packet that asks for a cookie (draft-sharabayko-srt, 3.2.1 and 4.3.1)."""
    number = int.from_bytes(os.urandom(4)) | 1
    head = struct.pack("!IIII", _HANDSHAKE, 0, 0, 0)
    asks = struct.pack("!IHHIIIIII16x", 4, 0, 2, 1, 1500, 8192, _INDUCTION, number, 0)
    return number, head + asks


def _look_at(answer: bytes, number: int) -> None:
    if len(answer) < _SRT_HEAD_BYTES + 32:
        raise NetworkError(NetworkFault.FOREIGN)
    kind, _, _, to = struct.unpack_from("!IIII", answer)
    version, _, extension = struct.unpack_from("!IHH", answer, _SRT_HEAD_BYTES)
    if (kind, to) != (_HANDSHAKE, number) or (version == 5 and extension != _MAGIC):
        raise NetworkError(NetworkFault.FOREIGN)


def check_port(url: SrtUrl, patience: Deadline) -> ReachResult:
    """Return whether an SRT listener can bind its port, or the reason. Raises NetworkError and Cancelled."""
    for host in (url.host,) if url.host else ("::", "0.0.0.0"):  # noqa: S104 - as srt_publish does; no IPv6: IPv4
        family, _, _, _, address = resolve(host, url.port, patience, socket.SOCK_DGRAM)[0]
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as one:
                one.bind(address)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                return _NO_PORT.get(error.errno or 0, "not-here")
        else:
            return "ok-listens"
    return "not-here"
