"""A connection with one deadline for all; a timeout per call would let a slow server hold it."""

import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from config.errors import LiputError, UsageError
from devices.host import threads
from devices.uplink.connecting import Deadline, NetworkError, NetworkFault, connect, resolve


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities, or those of `ca_file`. Raises UsageError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is not None:
            # Python 3.13 requires fields that private authorities often lack.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"[alarms] ca_file {ca_file} cannot be used: {error.strerror or error}") from None
    return context


@contextmanager
def open_connection(host: str, port: int, deadline_s: float) -> Iterator[socket.socket]:
    """Provide a connection for at most `deadline_s` seconds. Raises LiputError for network errors of the body."""
    is_late = threading.Event()
    try:
        with (
            closing(_connect(host, port, deadline_s)) as connection,
            closing(connection.dup()) as twin,  # TLS takes over the first descriptor
            _deadline(twin, deadline_s, is_late),
        ):
            connection.settimeout(2 * deadline_s)  # later than the deadline, which gives the better error
            yield connection
    except Exception as error:  # half an answer raises anything
        is_silent = isinstance(error, NetworkError) and error.trouble is NetworkFault.TIMEOUT
        if is_late.is_set() or is_silent or isinstance(error, TimeoutError):
            raise LiputError(f"{host}:{port} did not answer within {deadline_s:g} s") from None
        raise _translated(error, host, f"{host}:{port}") from None


def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    patience = Deadline(time.monotonic() + timeout_s, threading.Event(), timeout_s)
    return connect(resolve(host, port, patience), patience)


def _translated(error: Exception, host: str, where: str) -> Exception:
    if isinstance(error, ssl.SSLCertVerificationError):
        return LiputError(
            f"the certificate of {where} is not trusted: {error.verify_message}",
            hint="check the name and this PC's date; [alarms] ca_file names the authority of your own server",
        )
    if isinstance(error, ssl.SSLError):
        return LiputError(f"{where} breaks the TLS protocol: {error.reason or 'it broke off'}", hint="check the port")
    if isinstance(error, NetworkError):
        if error.trouble in {NetworkFault.NO_DNS, NetworkFault.UNKNOWN_HOST}:
            return LiputError(f"{host} cannot be looked up", hint="check its spelling and this PC's network")
        return LiputError(f"the connection to {where} failed: {error.detail or os.strerror(errno.ECONNREFUSED)}")
    if isinstance(error, OSError):
        return LiputError(f"the connection to {where} failed: {error.strerror or 'it broke off'}")
    return error


@contextmanager
def _deadline(twin: socket.socket, deadline_s: float, is_late: threading.Event) -> Iterator[None]:
    is_over = threading.Event()

    def end() -> None:
        if not is_over.wait(deadline_s):
            is_late.set()
            with suppress(OSError):
                twin.shutdown(socket.SHUT_RDWR)

    thread = threads.start_thread(end, name="alarm-deadline")
    try:
        yield
    finally:
        is_over.set()
        thread.join()  # the descriptor may soon be another connection's
