"""Something between Liput and an object store that does what networks and full servers do, once it is told to."""

import http.client
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from agent.sessions.receiver import HOST

FULL = b"<Error><Code>InsufficientStorage</Code><Message>There is not enough space.</Message></Error>"


class S3Proxy:
    """Passes requests on to `behind`; `flips` a bit of large answers, or says that it is `full`."""

    def __init__(self, behind: str) -> None:
        self.flips = False
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
                content = bytearray(answer.read())
                if proxy.flips and self.command == "GET" and len(content) > 1_000_000:
                    content[len(content) // 2] ^= 0x10
                self._answer(answer.status, dict(answer.getheaders()), bytes(content))
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
