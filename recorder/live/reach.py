"""Checks whether a live destination can be reached, by the first messages of RTMP or SRT; nothing is published."""

import errno
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devices.uplink.channel import Channel
from devices.uplink.connecting import (
    Address,
    NetworkTrouble,
    Patience,
    Trouble,
    connect,
    resolve,
    secure,
    trusted_authorities,
)
from devices.uplink.http import portal_before, receive
from devices.uplink.server import signed_by
from recorder.live.kind import Reached
from recorder.live.url import RtmpUrl, SrtUrl

PORTAL_S = 2.0
"""The part of the time for detecting a captive portal."""

_VERSION = 3
_HELLO_BYTES = 1536
_HTTP = b"HTTP/"
_MAY_BE_A_PORTAL = (
    Trouble.REFUSED,
    Trouble.TIMEOUT,
    Trouble.INTERCEPTED,
    Trouble.SILENT,
    Trouble.CLOSED,
    Trouble.NO_TLS,
)

_NO_PORT: dict[int, Reached] = {
    errno.EADDRINUSE: "port-taken",
    errno.EACCES: "port-forbidden",
    errno.EPERM: "port-forbidden",
}

_HANDSHAKE, _INDUCTION, _MAGIC = 0x80000000, 1, 0x4A17
"""SRT's handshake packet, its first kind, and the mark in a listener's answer."""
_AGAIN_S = 0.5
_SRT_HEAD_BYTES = 16


def reach_rtmp(url: RtmpUrl, ca_file: Path | None, whole: Patience) -> Reached:
    """Return after an RTMP server's handshake. Raises NetworkTrouble and Stopped."""
    patience = Patience(whole.until - PORTAL_S, whole.stop, whole.step_s)
    try:
        addresses = resolve(url.host, url.port, patience)
        with _open(url, addresses, ca_file, patience) as channel:
            _say_hello(channel, patience)
    except NetworkTrouble as error:
        if error.trouble in _MAY_BE_A_PORTAL and (who := portal_before(url.host, whole)):
            raise NetworkTrouble(Trouble.PORTAL, who) from None
        raise
    return "ok"


def _open(url: RtmpUrl, addresses: Sequence[Address], ca_file: Path | None, patience: Patience) -> Channel:
    plain = connect(addresses, patience)
    if url.scheme != "rtmps":
        return Channel(plain)
    try:
        context = ssl.create_default_context(cafile=trusted_authorities(str(ca_file) if ca_file else None))
    except OSError:
        plain.close()
        raise NetworkTrouble(Trouble.INTERCEPTED, "ca_file") from None
    try:
        return Channel(secure(plain, url.host, context, patience))
    except NetworkTrouble as error:
        if error.trouble is not Trouble.INTERCEPTED:
            raise
        signer = signed_by(url.host, addresses, patience)
        raise NetworkTrouble(Trouble.INTERCEPTED, signer or error.detail) from None


def _say_hello(channel: Channel, patience: Patience) -> None:
    patience = patience.step()
    try:
        channel.send_all(bytes([_VERSION]) + bytes(8) + os.urandom(_HELLO_BYTES - 8), patience)
    except OSError:
        raise NetworkTrouble(Trouble.CLOSED) from None
    received = b""
    while len(received) <= _HELLO_BYTES:
        more = receive(channel, patience, has_begun=bool(received))
        if not more:
            raise NetworkTrouble(Trouble.CLOSED)
        received += more
        if received.startswith(_HTTP):
            raise NetworkTrouble(Trouble.PORTAL if b" 30" in received[:12] else Trouble.FOREIGN, "HTTP")
        if received[0] != _VERSION and not _HTTP.startswith(received[: len(_HTTP)]):
            raise NetworkTrouble(Trouble.FOREIGN)


def reach_srt(url: SrtUrl, patience: Patience) -> Reached:
    """Return after an SRT listener's cookie, which creates no connection. Raises NetworkTrouble and Stopped."""
    trouble = NetworkTrouble(Trouble.SILENT)
    addresses = resolve(url.host, url.port, patience, socket.SOCK_DGRAM)
    patience = patience.step()  # one step for all addresses, as in srt_publish
    for index, (family, _, _, _, address) in enumerate(addresses):
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            try:
                _ask_for_a_cookie(asking, address, patience.share(len(addresses) - index))
            except NetworkTrouble as error:
                trouble = error
            else:
                return "ok"
    raise trouble


def _ask_for_a_cookie(asking: socket.socket, address: tuple[Any, ...], patience: Patience) -> None:
    asking.settimeout(0)
    number, request = _induction()
    asked_at = 0.0
    try:
        asking.connect(address)
        while patience.slice_s():
            if time.monotonic() - asked_at > _AGAIN_S:
                asking.send(request)
                asked_at = time.monotonic()
            again = Patience(min(patience.until, asked_at + _AGAIN_S), patience.stop)
            if again.wait_for(asking, select.POLLIN):
                _look_at(asking.recv(2048), number)
                return
    except ConnectionRefusedError:
        raise NetworkTrouble(Trouble.REFUSED) from None
    except OSError as error:
        raise NetworkTrouble(Trouble.NO_ROUTE, error.strerror or "") from None
    raise NetworkTrouble(Trouble.TIMEOUT)


def _induction() -> tuple[int, bytes]:
    """Return a socket id and the packet that asks for a cookie (draft-sharabayko-srt, 3.2.1 and 4.3.1)."""
    number = int.from_bytes(os.urandom(4)) | 1
    head = struct.pack("!IIII", _HANDSHAKE, 0, 0, 0)
    asks = struct.pack("!IHHIIIIII16x", 4, 0, 2, 1, 1500, 8192, _INDUCTION, number, 0)
    return number, head + asks


def _look_at(answer: bytes, number: int) -> None:
    if len(answer) < _SRT_HEAD_BYTES + 32:
        raise NetworkTrouble(Trouble.FOREIGN)
    kind, _, _, to = struct.unpack_from("!IIII", answer)
    version, _, extension = struct.unpack_from("!IHH", answer, _SRT_HEAD_BYTES)
    if (kind, to) != (_HANDSHAKE, number) or (version == 5 and extension != _MAGIC):
        raise NetworkTrouble(Trouble.FOREIGN)


def try_port(url: SrtUrl, patience: Patience) -> Reached:
    """Return whether an SRT listener can bind its port, or the reason. Raises NetworkTrouble and Stopped."""
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
