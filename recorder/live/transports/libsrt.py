"""libsrt 1.5 by ctypes: non-blocking sockets, reject reasons, statistics, with srt.h's names. Callers poll."""

import contextlib
import ctypes
import functools
import socket
import struct
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_double, c_int, c_int32, c_int64, c_uint64, c_void_p
from enum import IntEnum
from typing import Any

_NAMES = ("libsrt-gnutls.so.1.5", "libsrt-openssl.so.1.5", "libsrt.so.1.5")
PAYLOAD = 1316  # bytes of a message: seven packets of MPEG-TS

_ONLY_WHAT_IS_CRITICAL = 2  # LOG_CRIT of syslog.h
_EASYNCSND = 6001
UNMEASURED_RTT_MS = 100.0


class SrtOption(IntEnum):
    """Socket options: SRTO_..."""

    SNDSYN = 1
    RCVSYN = 2
    MAXBW = 16
    LATENCY = 23
    PASSPHRASE = 26
    PBKEYLEN = 27
    SNDDROPDELAY = 32
    CONNTIMEO = 36
    STREAMID = 46
    IPV6ONLY = 54


CONNECTED, BROKEN = 5, 6  # socket states: SRTS_... From BROKEN on it is disconnected

type _Number = type[c_int | c_int64 | c_uint64 | c_double]


def _fields(*groups: tuple[_Number, str]) -> list[tuple[str, _Number]]:
    return [(name, kind) for kind, names in groups for name in names.split()]


class SrtStatistics(ctypes.Structure):
    """SRT_TRACEBSTATS: totals of the connection, and its current state."""

    _fields_ = _fields(
        (c_int64, "msTimeStamp pktSentTotal pktRecvTotal"),
        (c_int, "pktSndLossTotal pktRcvLossTotal pktRetransTotal pktSentACKTotal pktRecvACKTotal"),
        (c_int, "pktSentNAKTotal pktRecvNAKTotal"),
        (c_int64, "usSndDurationTotal"),
        (c_int, "pktSndDropTotal pktRcvDropTotal pktRcvUndecryptTotal"),
        (c_uint64, "byteSentTotal byteRecvTotal byteRcvLossTotal byteRetransTotal byteSndDropTotal"),
        (c_uint64, "byteRcvDropTotal byteRcvUndecryptTotal"),
        (c_int64, "pktSent pktRecv"),
        (c_int, "pktSndLoss pktRcvLoss pktRetrans pktRcvRetrans pktSentACK pktRecvACK pktSentNAK pktRecvNAK"),
        (c_double, "mbpsSendRate mbpsRecvRate"),
        (c_int64, "usSndDuration"),
        (c_int, "pktReorderDistance"),
        (c_double, "pktRcvAvgBelatedTime"),
        (c_int64, "pktRcvBelated"),
        (c_int, "pktSndDrop pktRcvDrop pktRcvUndecrypt"),
        (c_uint64, "byteSent byteRecv byteRcvLoss byteRetrans byteSndDrop byteRcvDrop byteRcvUndecrypt"),
        (c_double, "usPktSndPeriod"),
        (c_int, "pktFlowWindow pktCongestionWindow pktFlightSize"),
        (c_double, "msRTT mbpsBandwidth"),
        (c_int, "byteAvailSndBuf byteAvailRcvBuf"),
        (c_double, "mbpsMaxBW"),
        (c_int, "byteMSS pktSndBuf byteSndBuf msSndBuf msSndTsbPdDelay"),
        (c_int64, " ".join(f"unused{number}" for number in range(32))),  # unused or newer fields
    )
    pktSentTotal: int  # noqa: N815 - srt.h's own names
    pktSndLossTotal: int  # noqa: N815
    pktRetransTotal: int  # noqa: N815
    pktRecvACKTotal: int  # noqa: N815
    pktRecvNAKTotal: int  # noqa: N815
    pktSndDropTotal: int  # noqa: N815
    msRTT: float  # noqa: N815
    pktSndBuf: int  # noqa: N815
    byteSndBuf: int  # noqa: N815
    msSndBuf: int  # noqa: N815
    msSndTsbPdDelay: int  # noqa: N815

    @property
    def heard(self) -> int:
        """The number of acknowledgements and loss reports from the other side."""
        return self.pktRecvACKTotal + self.pktRecvNAKTotal

    @property
    def rtt_ms(self) -> float | None:
        """The round trip; None before the first measurement."""
        return None if self.msRTT == UNMEASURED_RTT_MS else self.msRTT


type AdmitCaller = Callable[[str], int]  # returns 0 for a caller's stream id that is admitted, else its reject code

_HOOK = ctypes.CFUNCTYPE(c_int, c_void_p, c_int32, c_int, c_void_p, c_char_p)


NOT_INSTALLED = "libsrt is not installed (Debian: libsrt1.5-gnutls)"


def find() -> Any | None:
    """Return the loaded libsrt; None where it is not installed."""
    for name in _NAMES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    return None


@functools.cache
def library() -> Any | None:
    """Return the initialized libsrt; None where it is not installed."""
    found = find()
    if found is None:
        return None
    found.srt_bstats.argtypes = [c_int32, POINTER(SrtStatistics), c_int]
    found.srt_send.argtypes = [c_int32, c_char_p, c_int]
    found.srt_getlasterror_str.restype = found.srt_rejectreason_str.restype = c_char_p
    found.srt_startup()
    found.srt_setloglevel(_ONLY_WHAT_IS_CRITICAL)
    return found


class SrtSocket:
    """A non-blocking libsrt socket. Needs `library()`."""

    def __init__(self, number: int | None = None) -> None:
        """Create a socket, or wrap an existing one."""
        found = library()
        if found is None:
            raise OSError(NOT_INSTALLED)
        self._lib: Any = found
        self._number = self._lib.srt_create_socket() if number is None else number
        self._hook: Any = None
        self.listener: SrtSocket | None = None
        """The listener that accepted it, kept open so that other callers get an answer."""
        for option in (SrtOption.SNDSYN, SrtOption.RCVSYN):
            self.set(option, value=0)

    def set(self, option: SrtOption, value: int | str) -> None:
        """Set an option, in the type that srt.h requires."""
        if isinstance(value, str):
            raw = value.encode()
        elif option in (SrtOption.SNDSYN, SrtOption.RCVSYN):
            raw = struct.pack("?", value)
        elif option is SrtOption.MAXBW:
            raw = struct.pack("q", value)
        else:
            raw = struct.pack("i", value)
        self._check(self._lib.srt_setsockflag(self._number, int(option), raw, len(raw)))

    def connect(self, family: int, address: tuple[Any, ...]) -> None:
        """Begin to connect; `state` has the progress."""
        raw = _sockaddr(family, address)
        self._check(self._lib.srt_connect(self._number, raw, len(raw)))

    def listen(self, family: int, address: tuple[Any, ...], admits: AdmitCaller) -> None:
        """Listen at an address of this PC; a libsrt thread calls `admits`."""
        raw = _sockaddr(family, address)
        self._check(self._lib.srt_bind(self._number, raw, len(raw)))

        def hook(_opaque: int, caller: int, _version: int, _address: int, stream_id: bytes) -> int:
            code = admits((stream_id or b"").decode(errors="replace"))
            if code:
                self._lib.srt_setrejectreason(caller, code)
            return -1 if code else 0

        self._hook = _HOOK(hook)
        self._check(self._lib.srt_listen_callback(self._number, self._hook, None))
        self._check(self._lib.srt_listen(self._number, 1))

    def accept(self) -> "SrtSocket | None":
        """Return a caller's socket, or None."""
        number = self._lib.srt_accept(self._number, None, None)
        return SrtSocket(number) if number >= 0 else None

    def send(self, message: bytes) -> bool:
        """Send a message; False while the buffer is full. Raises OSError when disconnected."""
        if self._lib.srt_send(self._number, message, len(message)) >= 0:
            return True
        if self._lib.srt_getlasterror(None) == _EASYNCSND:
            return False
        raise OSError(self._last_error())

    @property
    def state(self) -> int:
        """Its state: SRTS_... of srt.h."""
        return int(self._lib.srt_getsockstate(self._number))

    @property
    def reject_reason(self) -> tuple[int, str]:
        """The other side's reject code (srt.h or access_control.h), and libsrt's text for it."""
        code = int(self._lib.srt_getrejectreason(self._number))
        return code, (self._lib.srt_rejectreason_str(code) or b"").decode(errors="replace")

    def statistics(self) -> SrtStatistics:
        """Return libsrt's statistics; all 0 when disconnected."""
        statistics = SrtStatistics()
        self._lib.srt_bstats(self._number, ctypes.byref(statistics), 0)
        return statistics

    def close(self) -> None:
        """Close the connection, and notify the other side."""
        self._lib.srt_close(self._number)

    def _check(self, result: int) -> None:
        if result < 0:
            raise OSError(self._last_error())

    def _last_error(self) -> str:
        return bytes(self._lib.srt_getlasterror_str()).decode(errors="replace")


def _sockaddr(family: int, address: tuple[Any, ...]) -> bytes:
    host, port = address[:2]
    head = struct.pack("=H", family) + struct.pack("!H", port)
    if family == socket.AF_INET:
        return head + socket.inet_pton(family, host) + bytes(8)
    flow, scope = (*address[2:], 0, 0)[:2]
    return head + struct.pack("!I", flow) + socket.inet_pton(family, host.partition("%")[0]) + struct.pack("=I", scope)
