"""One connection attempt in its own process: `python -m recorder.live.child`.

libavformat's network calls can hang uninterruptibly; here they hang alone, and the destination kills the process.
recorder.live.kind describes its input and output. It writes nothing to standard error, and no report holds the address,
the key or the path after the host.
"""

import contextlib
import ctypes
import os
import resource
import socket
import sys

import msgspec

from devices.host.child import end_with_parent
from recorder.live.kind import ORDERS, AttemptOutcome, ChildReport, DestinationFault, StreamRequest, kind_of

STDIN, STDOUT = 0, 1
PR_SET_DUMPABLE = 4


def main() -> None:
    """Stream standard input to the server in its first line. The exit status has no meaning."""
    end_with_parent()
    # No core dump holds this process's memory, and no other process of this user can read it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    scheme, to, request = ORDERS.decode(_read_line())
    if os.getppid() != request.parent:
        return  # the recorder died before PR_SET_PDEATHSIG was set
    with contextlib.suppress(OSError):  # the recorder is gone
        report(_stream(scheme, to, request))
    os._exit(0)  # destructors must not touch the network


def report(what: ChildReport) -> None:
    """Send a report to the destination."""
    os.write(STDOUT, msgspec.json.encode(what) + b"\n")


def _stream(scheme: str, to: msgspec.Raw, request: StreamRequest) -> ChildReport:
    kind = kind_of(scheme)
    url = msgspec.json.decode(to, type=kind.url)
    if url.host:
        report("resolve")
        try:
            socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            return AttemptOutcome(DestinationFault.UNKNOWN_HOST, error.strerror or "")
    report("load")
    # libav loads in 0.1 s of CPU, so not before the look-up.
    return kind.publish(request, url, report)


def _read_line() -> bytes:
    """Read up to a line end and no byte further: libavformat reads the rest."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(STDIN, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
