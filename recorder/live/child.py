"""One connection attempt, in a process of its own: `python -m recorder.live.child`.

libavformat's network calls can hang where nothing interrupts them; here they hang alone, and the destination
kills the process. What goes in and out is described in recorder.live.kind. Nothing is ever written to standard
error, and no report holds the address, the key or the path after the host.
"""

import contextlib
import ctypes
import os
import resource
import socket
import sys

import msgspec

from devices.host.child import end_with_parent
from recorder.live.kind import ORDERS, Outcome, Report, Request, kind_of
from recorder.live.reason import Reason

STDIN, STDOUT = 0, 1
PR_SET_DUMPABLE = 4


def main() -> None:
    """Stream standard input to the server that its first line names; the exit status says only that it is over."""
    end_with_parent()
    # What is in this process's memory is in no core dump, and no other process of this user may look at it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    scheme, to, request = ORDERS.decode(_read_line())
    if os.getppid() != request.parent:
        return  # the recorder died before the kernel was told to take us along
    with contextlib.suppress(OSError):  # the recorder does not listen any more
        report(_stream(scheme, to, request))
    os._exit(0)  # no destructor may touch the network again


def report(what: Report) -> None:
    """Tell the destination."""
    os.write(STDOUT, msgspec.json.encode(what) + b"\n")


def _stream(scheme: str, to: msgspec.Raw, request: Request) -> Report:
    kind = kind_of(scheme)
    url = msgspec.json.decode(to, type=kind.url)
    if url.host:
        report("resolve")
        try:
            socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            return Outcome(Reason.UNKNOWN_HOST, error.strerror or "")
    report("load")
    # Only now is libav loaded: that takes 0.1 s of CPU, which a failed look-up need not cost.
    return kind.publish(request, url, report)


def _read_line() -> bytes:
    """Read up to a line end and not one byte further: the rest belongs to libavformat."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(STDIN, 1)
        if not byte:
            sys.exit(0)
        line += byte
    return bytes(line)


if __name__ == "__main__":
    main()
