"""A real S3-compatible object store, SeaweedFS on loopback, and a proxy with the faults of networks and servers."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from agent.sessions.receiver import HOST, start_server, stop_server, wait_until_listening
from tests.support.waiting import wait_for

WEED = Path(sys.executable).with_name("weed")
START_S = 60.0
"""It is a program of 150 MB, which may have to come from a disk that is busy."""
SOCKETS = Path("/tmp")
"""Where the server makes sockets that it is not asked for, and leaves them."""
ACCESS_KEY, SECRET_KEY = "liput-access", "a-secret/that+nobody=prints"


class Seaweed:
    """The server; `endpoint` is where."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir(parents=True)
        self.folder = folder
        self.port, self._filer, *self._others = free_ports(8)
        self._server: subprocess.Popen[bytes] | None = None
        identity = {
            "name": "liput",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        names = (
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port.grpc",
            "s3.port.grpc",
        )
        ports = dict(zip(names, self._others, strict=True)) | {"filer.port": self._filer, "s3.port": self.port}
        words = [f"-{name}={port}" for name, port in ports.items()]
        self._server = start_server(
            [
                str(WEED), f"-logdir={self.folder}", "server", f"-dir={self.folder / 'data'}", f"-ip={HOST}",
                f"-ip.bind={HOST}", "-filer", "-s3",
                f"-s3.config={self.folder / 's3.json'}", "-master.volumeSizeLimitMB=64", "-volume.max=100",
                "-master.electionTimeout=1s", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                *words,
            ],
            self.folder,
        )  # fmt: skip
        try:
            for port in (self._filer, self.port):
                is_there = wait_until_listening(port, self._server, timeout_s=START_S)
                assert is_there, (self.folder / "output").read_text()
            wait_for(self._answers, what="an answer of the store")
        except AssertionError:
            self.stop()
            raise

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
        except urllib.error.HTTPError:  # nobody is let in without a signature
            return True
        except OSError:
            return False
        return True

    def make_bucket(self, name: str) -> None:
        """Make a bucket, to SeaweedFS a folder; its first file takes seconds, which no test shall wait for."""
        for path, method, content in ((f"{name}/", "POST", None), (f"{name}/first", "PUT", b"-")):
            wait_for(partial(self._asked, path, method, content), what="a bucket")
        self._asked(f"{name}/first", "DELETE", None)

    def _asked(self, path: str, method: str, content: bytes | None) -> bool:
        request = urllib.request.Request(f"http://{HOST}:{self._filer}/buckets/{path}", content, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bool(answer.status < 300)
        except OSError:
            return False

    def hang(self) -> None:
        """Neither take anything nor say anything, until `go_on`."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._server
        self._server.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._server is not None:
            self.go_on()
            stop_server(self._server, signal.SIGKILL)  # asked kindly, it takes five seconds
            self._server = None
        for port in (self.port, self._filer, *self._others):
            for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_ports(count: int) -> list[int]:
    """Return TCP ports of loopback that nobody listens on, no two the same."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


FULL = b"<Error><Code>InsufficientStorage</Code><Message>There is not enough space.</Message></Error>"


class S3Proxy:
    """Passes requests on to `behind`, or says that it is `full`."""

    def __init__(self, behind: str) -> None:
        self.full = False
        address = urlsplit(behind)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy.full and self.command == "PUT":
                    self._answer(507, {"Content-Type": "application/xml"}, FULL)
                    return
                upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
                upstream.request(self.command, self.path, body, dict(self.headers))  # the signature is of this host
                answer = upstream.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())
                upstream.close()

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any  # noqa: N815 - http.server's names

            def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
                length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="s3-proxy").start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
