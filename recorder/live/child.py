"""One connection attempt, in a process of its own: `python -m recorder.live.child`.

libavformat's network calls can hang where nothing interrupts them; here they hang alone, and the destination
kills the process. What goes in and out is described in recorder.live.protocol. Nothing is ever written to standard
error, and no report holds the address, the key or the path after the host.
"""

import contextlib
import ctypes
import os
import resource
import socket
import sys

import msgspec

from devices.tied import end_with_parent
from recorder.live.protocol import Entered, Failed, Report, Request
from recorder.live.reason import Reason
from recorder.live.srt_url import SrtUrl
from recorder.live.url import FolderUrl, RtmpUrl

STDIN, STDOUT = 0, 1
PR_SET_DUMPABLE = 4


def main() -> None:
    """Stream standard input to the server that its first line names; the exit status says only that it is over."""
    end_with_parent()
    # What is in this process's memory is in no core dump, and no other process of this user may look at it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    request = msgspec.json.decode(_read_line(), type=Request)
    if os.getppid() != request.parent:
        return  # the recorder died before the kernel was told to take us along
    with contextlib.suppress(OSError):  # the recorder does not listen any more
        report(_stream(request))
    os._exit(0)  # no destructor may touch the network again


def report(what: Report) -> None:
    """Tell the destination."""
    os.write(STDOUT, msgspec.json.encode(what) + b"\n")


def _stream(request: Request) -> Report:
    url = request.to
    if not isinstance(url, FolderUrl) and url.host:
        report(Entered("resolve"))
        try:
            socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except OSError as error:
            return Failed(Reason.UNKNOWN_HOST, error.strerror or "")
    report(Entered("load"))
    # Only now: loading libav takes 0.1 s of CPU, which a failed look-up need not cost.
    match url:
        case RtmpUrl():
            from recorder.live import publish

            return publish.publish(request, url, report)
        case SrtUrl():
            from recorder.live import srt

            return srt.publish(request, url, report)
        case FolderUrl():
            from recorder.live import hls

            return hls.publish(request, url, report)


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
