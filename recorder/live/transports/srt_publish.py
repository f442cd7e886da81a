"""The child's work for SRT: FLV from standard input, as MPEG-TS by non-blocking libsrt (docs/decisions/0028)."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import av
from av.error import FFmpegError

from devices.uplink.connecting import Deadline, routable
from recorder.live.flv import add_streams, demuxed_packets
from recorder.live.kind import (
    AttemptOutcome,
    ChildReport,
    DestinationError,
    DestinationFault,
    LinkReport,
    SendReport,
    StreamRequest,
    unreachable,
)
from recorder.live.transports.libsrt import BROKEN, CONNECTED, PAYLOAD, AdmitCaller, SrtOption, SrtSocket, SrtStatistics
from recorder.live.transports.srt_rate import SrtRateLimiter
from recorder.live.url import SrtUrl, redact

SILENT_S = 4.0  # a peer without acknowledgements for this long is gone. libsrt's own limit cannot be below 4.8 s
HELD_MS = 1000  # most media in SRT's buffer, beyond the latency
OVERHEAD = 2.0
"""The bandwidth limit as a multiple of the rate: the same again for resends.

libsrt has no limit by default, and its own estimate of the input rate lags: packets wait in it until they are too late.
"""

QUIET_S = 0.25  # libsrt averages its buffer's duration: without acknowledgements the buffer seems to shrink

_LOOK_S = 0.02
_STILL_LISTENING_S = 1.0
_TO_DRAIN_S = 1.0
_LONGEST_PLAYOUT_S = 1.5
_CONFLICT, _FORBIDDEN = 1409, 1403  # access_control.h
_MUXER = {"flush_packets": "1", "max_interleave_delta": "1000000", "mpegts_flags": "resend_headers"}

_NEXT_AFTER = (DestinationFault.REFUSED, DestinationFault.UNREACHABLE, DestinationFault.TIMEOUT)
"""The next address of a host is tried after these; after other reasons it would answer the same."""


def publish(request: StreamRequest, url: SrtUrl, report: SendReport) -> ChildReport:
    """Stream until the input or the connection ends; return the last report."""
    step = "listen" if url.listens else "connect"
    try:
        connection = _answer(request, url, report) if url.listens else _call(request, url, report)
        step = "live"
        report("live")
        _Stream(connection, request, url, report).copy()
        connection.close()
    except DestinationError as lost:
        return AttemptOutcome(lost.reason, lost.detail)
    except (FFmpegError, OSError, EOFError, ValueError, LookupError) as error:
        said = error.strerror if isinstance(error, FFmpegError) else str(error)
        return AttemptOutcome(DestinationFault.FAILED, redact(f"{step}: {said}", url.secrets)[:200])
    return AttemptOutcome()


# To a connection


def _prepared(url: SrtUrl, family: int, request: StreamRequest) -> SrtSocket:
    one = SrtSocket()
    one.set(SrtOption.LATENCY, url.latency_ms)
    one.set(SrtOption.SNDDROPDELAY, HELD_MS + 500)
    one.set(SrtOption.CONNTIMEO, round(request.connect_timeout_s * 1000))
    if url.passphrase:
        one.set(SrtOption.PBKEYLEN, url.key_bytes)
        one.set(SrtOption.PASSPHRASE, url.passphrase)
    if family == socket.AF_INET6:
        one.set(SrtOption.IPV6ONLY, int(bool(url.host)))
    return one


def _call(request: StreamRequest, url: SrtUrl, report: SendReport) -> SrtSocket:
    """Return a connection to the first address that answers; the addresses share the time."""
    report("connect")
    patience = Deadline.of(request.connect_timeout_s, threading.Event())
    lost = DestinationError(DestinationFault.UNREACHABLE)
    addresses = routable(socket.getaddrinfo(url.host, url.port, type=socket.SOCK_DGRAM))
    for index, (family, _, _, _, address) in enumerate(addresses):
        one = _prepared(url, family, request)
        try:
            _call_at(one, family, address, url, patience.share(len(addresses) - index))
        except DestinationError as why:
            one.close()  # else it keeps calling
            if why.reason is not DestinationFault.UNREACHABLE:  # other addresses' reasons say more
                lost = why
            if why.reason not in _NEXT_AFTER:
                break
        else:
            return one
    raise lost


def _call_at(one: SrtSocket, family: int, address: Any, url: SrtUrl, patience: Deadline) -> None:
    if url.stream_id:
        one.set(SrtOption.STREAMID, url.stream_id)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0)
        _ask(probe, lambda: probe.connect(address))
        one.connect(family, address)
        turn = 0
        while (state := one.state) != CONNECTED:
            if state >= BROKEN or not patience.slice_s():
                raise _turned_away(*one.reject_reason)
            # libsrt ignores ICMP port unreachable; a plain socket reports it.
            _ask(probe, lambda: probe.send(b"\0") if turn % 20 == 0 else probe.recv(1))  # noqa: B023 - called here
            turn += 1
            time.sleep(_LOOK_S)


def _ask(probe: socket.socket, what: Callable[[], object]) -> None:
    try:
        what()
    except BlockingIOError:
        pass
    except ConnectionRefusedError:
        raise DestinationError(DestinationFault.REFUSED) from None
    except OSError as error:
        probe.close()
        raise unreachable(error.errno) from None


def _turned_away(code: int, word: str) -> DestinationError:
    known = {
        5: (DestinationFault.ALREADY_PUBLISHING, "it takes no further connection"),
        10: (DestinationFault.REJECTED, "wrong passphrase"),
        11: (DestinationFault.REJECTED, "only one side has a passphrase"),
        17: (DestinationFault.REJECTED, "the two sides encrypt differently"),
        0: (DestinationFault.TIMEOUT, ""),
        16: (DestinationFault.TIMEOUT, ""),
        1401: (DestinationFault.REJECTED, "the stream id was not accepted"),
        1403: (DestinationFault.REJECTED, "the stream id was not accepted"),
        1404: (DestinationFault.REJECTED, "the stream id is not known there"),
        1402: (DestinationFault.REJECTED, "it has too much to do"),
        1409: (DestinationFault.ALREADY_PUBLISHING, ""),
        1423: (DestinationFault.ALREADY_PUBLISHING, ""),
    }
    return DestinationError(*known.get(code, (DestinationFault.REJECTED, f"{word} {code}")))


def _answer(request: StreamRequest, url: SrtUrl, report: SendReport) -> SrtSocket:
    """Return the first admitted caller's connection; later callers are rejected."""
    served: list[SrtSocket] = []

    def admits(stream_id: str) -> int:
        if url.stream_id and stream_id != url.stream_id:
            return _FORBIDDEN
        return _CONFLICT if served else 0

    listener = _listener(request, url, admits)
    told_s = 0.0
    while (caller := listener.accept()) is None:
        if time.monotonic() - told_s > _STILL_LISTENING_S:
            report("listen")
            told_s = time.monotonic()
        time.sleep(_LOOK_S)
    served.append(caller)
    caller.listener = listener  # stays open, to reject other callers
    return caller


def _listener(request: StreamRequest, url: SrtUrl, admits: AdmitCaller) -> SrtSocket:
    error = ""
    for host in (url.host,) if url.host else ("::", "0.0.0.0"):  # noqa: S104 - no host means all addresses; no IPv6: IPv4
        found = socket.getaddrinfo(host, url.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = _prepared(url, family, request)
        try:
            listener.listen(family, address, admits)
        except OSError as why:
            listener.close()
            error = str(why)
        else:
            return listener
    raise DestinationError(DestinationFault.FAILED, f"waiting for a caller: {error}")


# Over it


class _Stream:
    """Muxes the input, and sends it over a connection."""

    def __init__(self, connection: SrtSocket, request: StreamRequest, url: SrtUrl, report: SendReport) -> None:
        self._connection = connection
        self._request = request
        self._listens = url.listens
        self._report = report
        self._data = bytearray()
        self._pace = SrtRateLimiter(url.latency_ms, request.bit_rate)
        self._allowed = 0.0
        self._held_ms = url.latency_ms + HELD_MS
        self._statistics = connection.statistics()
        self._looked_s = self._heard_s = self._surely_s = time.monotonic()
        """Times of the last look, of the last one with an acknowledgement, and of the one before that."""
        self._heard = self._left = 0
        self._arrived_s = 0.0

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def copy(self) -> None:
        """Copy until the input ends and all of it has arrived; raises DestinationError."""
        sink = av.open(self, "w", format="mpegts", options=_MUXER)
        add_streams(sink, self._request)
        for packet, dts_s in demuxed_packets(sink, lambda dts_s: self._report(self._sent(dts_s))):
            before = len(self._data)
            sink.mux(packet)
            self._pace.add_input(len(self._data) - before, dts_s)
            self._send(PAYLOAD)
        sink.close()
        self._send(1)
        self._drain()

    def _send(self, least: int) -> None:
        began = time.monotonic()
        while len(self._data) >= least:
            self._look()
            wait_s = self._pace.wait_s()
            if self._statistics.msSndBuf > self._held_ms:
                wait_s = _LOOK_S
            if wait_s == 0.0:
                try:
                    if self._connection.send(bytes(self._data[:PAYLOAD])):
                        self._pace.add_sent(min(PAYLOAD, len(self._data)))
                        del self._data[:PAYLOAD]
                        began = time.monotonic()
                        continue
                except OSError:
                    raise self._gone() from None
            if time.monotonic() - began > self._request.io_timeout_s:
                raise DestinationError(DestinationFault.STALLED)
            time.sleep(wait_s or _LOOK_S)

    def _look(self) -> None:
        """Read the connection's statistics now and then; raises DestinationError where it is disconnected."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        before_s, self._looked_s = self._looked_s, now_s
        found = self._connection.statistics()
        if self._connection.state != CONNECTED:  # its statistics may be all 0
            raise self._gone()
        self._statistics = found
        self._pace.update(found)
        if not 0.95 < self._pace.bps / (self._allowed or 1.0) < 1.05:
            self._allowed = self._pace.bps
            self._connection.set(SrtOption.MAXBW, round(self._allowed * OVERHEAD / 8))
        left = found.pktSentTotal + found.pktSndDropTotal
        # With nothing sent since then, there is nothing to acknowledge.
        if found.heard != self._heard or left == self._left:
            self._heard, self._left = found.heard, left
            self._heard_s, self._surely_s = now_s, before_s
        elif now_s - self._heard_s > SILENT_S:
            raise self._gone()

    def _gone(self) -> DestinationError:
        if time.monotonic() - self._surely_s > SILENT_S:  # on a busy PC libsrt may disconnect first
            return DestinationError(DestinationFault.STALLED, f"nothing was acknowledged for {SILENT_S:.0f} s")
        return DestinationError(DestinationFault.CALLER_LEFT if self._listens else DestinationFault.CLOSED)

    def _sent(self, dts_s: float) -> LinkReport:
        """Return a report: media in libsrt's buffer counts as unsent."""
        found: SrtStatistics = self._statistics
        if self._looked_s - self._heard_s <= QUIET_S:
            self._arrived_s = dts_s - found.msSndBuf / 1000
        return LinkReport(self._arrived_s, found.rtt_ms, found.byteSndBuf + len(self._data), self._pace.delivered_bps)

    def _drain(self) -> None:
        """Wait until everything is acknowledged and played: a receiver discards its buffer at the end."""
        deadline = time.monotonic() + _TO_DRAIN_S
        while (found := self._connection.statistics()).pktSndBuf and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        if self._connection.state == CONNECTED:
            time.sleep(min(found.msSndTsbPdDelay / 1000 + 0.1, _LONGEST_PLAYOUT_S))
