"""Servers with LibreSpeed's backend: one as its PHP behaves or misbehaves, and nginx."""

import enum
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

from agent.sessions.receiver import free_port, nginx_with_rtmp
from tests.net.lab import LOOPBACK, Place, listening

_NOISE = os.urandom(1 << 20)
_CONFIGURATION = """
daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log";
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    server {{
        listen {host}:{port};
        client_max_body_size 0;
        location = /backend/empty.php {{ return 200; }}
        location = /backend/garbage.php {{ alias "{folder}/garbage"; }}
    }}
}}
"""


class SpeedServer(NamedTuple):
    """One that runs."""

    place: Place
    port: int

    @property
    def address(self) -> str:
        """As it stands in the settings."""
        return f"http://{self.place.address}:{self.port}/backend"


@contextmanager
def serving_nginx(folder: Path, place: Place) -> Iterator[SpeedServer]:
    """Run nginx inside a `with`."""
    found = nginx_with_rtmp()
    assert found, "nginx must be installed (Debian: nginx)"
    folder.mkdir(parents=True)
    (folder / "garbage").write_bytes(_NOISE * 100)
    configuration, port = folder / "nginx.conf", free_port()
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=place.address, port=port))
    words = [found[0], "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(configuration)]
    with listening(words, folder, port, place):
        yield SpeedServer(place, port)


_AT_ONCE = 1 << 18


class How(enum.StrEnum):
    """What it does."""

    WELL = "well"
    CLOSES = "closes"  # it hangs up after each POST, as PHP's own server does
    EARLY = "early"  # it answers before it has read what it is sent, as nginx does
    REDIRECTS = "redirects"  # a captive portal: everything is somewhere else
    PAGE = "page"  # a captive portal with a page in the place of everything
    WRONG = "wrong"  # nothing of LibreSpeed's is there
    REFUSES = "refuses"  # it takes no such POST (413)
    SILENT = "silent"  # it takes connections and says nothing
    STALLS = "stalls"  # it stops reading in the middle of a POST
    STALLS_GIVING = "stalls-giving"  # it stops in the middle of what it gives
    HALF = "half"  # it stops in the middle of the head of its answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    how = How.WELL

    def do_GET(self) -> None:
        if self.how is How.SILENT:
            threading.Event().wait()
        if self.how is How.HALF:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-")
            threading.Event().wait()
        if self.how is How.REDIRECTS:
            return self._say(302, more=(("Location", "http://login.hotel.test/login"),))
        if self.how is How.PAGE:
            return self._say(200, b"<!DOCTYPE html><title>Log in</title>")
        if self.how is How.WRONG:
            return self._say(404, b"nothing here")
        if "garbage.php" in self.path:
            return self._give(int(self.path.partition("ckSize=")[2] or 4))
        return self._say(200)

    def do_POST(self) -> None:
        if self.how is How.REFUSES:
            self.close_connection = True
            return self._say(413)
        if self.how is How.EARLY:
            self._say(200)
        self._take(int(self.headers["Content-Length"]))
        if self.how is not How.EARLY:
            self._say(200)
        self.close_connection = self.how is How.CLOSES
        return None

    def _take(self, count: int) -> None:
        if self.how is How.STALLS:
            self.rfile.read(min(count, 100_000))
            threading.Event().wait()
        while count:
            count -= len(self.rfile.read(min(count, _AT_ONCE)))

    def _give(self, size_mb: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(size_mb):
            self.wfile.write(b"%x\r\n" % len(_NOISE) + _NOISE + b"\r\n")
            if self.how is How.STALLS_GIVING:
                threading.Event().wait()
        self.wfile.write(b"0\r\n\r\n")

    def _say(self, status: int, body: bytes = b"", more: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(status)
        for name, value in (*more, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Say nothing."""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        if Handler.how is How.STALLS:  # what waits to be read shall be little
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        super().server_bind()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up as they like."""


@contextmanager
def serving(folder: Path, how: How = How.WELL, place: Place = LOOPBACK, port: int = 0) -> Iterator[SpeedServer]:
    """Run one inside a `with`."""
    port = port or free_port()
    words = [sys.executable, "-P", "-m", "tests.net.speed_server", place.address, str(port), how]
    with listening(words, folder, port, place):
        yield SpeedServer(place, port)


def main() -> None:
    """Serve until killed."""
    host, port, Handler.how = sys.argv[1], int(sys.argv[2]), How(sys.argv[3])
    with _Server((host, port), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
