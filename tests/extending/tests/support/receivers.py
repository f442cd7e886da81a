"""What takes a stream over TCP, an entry of RECEIVERS."""

import contextlib
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.sessions.receiver import HOST
from config.settings.secrets import StreamTarget, secret_url


class _Takes(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while self.request.recv(65_536):
                pass


@contextmanager
def _tcp(_folder: Path) -> Iterator[StreamTarget]:
    with socketserver.ThreadingTCPServer((HOST, 0), _Takes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield StreamTarget("tcp", secret_url(f"tcp://{HOST}:{server.server_address[1]}"))
        finally:
            server.shutdown()
            thread.join()


RECEIVERS = {
    "tcp": _tcp,
}
