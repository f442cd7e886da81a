"""The page's server for tests: a real one, on loopback, on a port that is free; and requests, well-formed and not."""

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from agent.daemon.parts import Part, Parts
from agent.web.http.context import ApiContext
from agent.web.http.token import Auth, read_token
from agent.web.server import WebPart, read_page_address
from config.settings.schema import CurrentSettings
from config.settings.serving import WebSettings
from devices.host.clock import SystemClock
from recorder.running.runtime_directory import runtime_folder
from tests.support import recorders
from tests.support.waiting import PATIENCE_S, wait_for

ANY_PORT = WebSettings(port=0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Page:
    port: int
    token: str
    told: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def ask(self, method: str, path: str, body: object = None, *, token: str | None = "", **headers: str) -> Answer:
        """Ask with the token (None: without one); of `headers` an underscore stands for a hyphen."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None and "Content-Type" not in sent:
            sent["Content-Type"] = "application/json"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, content, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def ticket(self) -> str:
        """Return an address that lets a browser in."""
        return str(self.post("/api/v1/tickets", {}).json["url"])

    def raw(self, sent: bytes) -> bytes:
        """Send bytes as they are; return all that comes until the server hangs up or is silent."""
        got = b""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20.0) as connection,
            contextlib.suppress(TimeoutError, ConnectionResetError),
        ):
            connection.sendall(sent)
            while piece := connection.recv(65_536):
                got += piece
        return got

    def status_of(self, method: str, path: str, *lines: str) -> int:
        """Return the status of a request whose head is these lines and nothing else."""
        head = "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", ""))
        return int(self.raw(head.encode("latin-1")).split(b" ", 2)[1])


def house(told: list[str], config_file: Path | None = None, **more: Any) -> ApiContext:
    """Return what the API works with, on this PC's own clock."""
    clock = SystemClock()
    return ApiContext(gate=Auth(clock), clock=clock, settings=CurrentSettings(config_file), tell=told.append, **more)


@contextlib.contextmanager
def serving(
    settings: WebSettings = ANY_PORT, config_file: Path | None = None, beside: Sequence[Part] = (), **more: Any
) -> Iterator[Page]:
    """Serve the page while the body runs, as the daemon does, with other parts of it beside."""
    told: list[str] = []
    clock = SystemClock()
    made = house(told, config_file, **more)
    parts = Parts([WebPart(settings, lambda: made, clock, told.append), *beside], clock, told.append)
    parts.start()
    try:
        yield found(told)
    finally:
        assert parts.stop() == []
        recorders.kill_recorders(runtime_folder(make=True))
        assert all(recorder.wait(30.0) for recorder in made.recorders)


def found(told: list[str] | None = None) -> Page:
    """Wait for the page of a daemon that runs."""
    place = wait_for(read_page_address, what="a page")
    assert place
    return Page(int(place.url.rstrip("/").rpartition(":")[2]), read_token(), [] if told is None else told)


def upgrade(page: Page, **headers: str) -> bytes:
    """Return a wish for a WebSocket."""
    wanted = {"Host": page.host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    lines = [f"{name}: {value}" for name, value in (wanted | headers).items()]
    head = ("GET /api/v1/live HTTP/1.1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    return "\r\n".join((*head, *lines, "", "")).encode()


def wish(page: Page, **headers: str) -> int:
    """Return the status that a wish for a WebSocket is answered with."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=PATIENCE_S) as connection:
        connection.sendall(upgrade(page, **headers))
        return int(connection.recv(65_536).split(b" ", 2)[1])


@contextlib.contextmanager
def opened(page: Page) -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {page.token}"}
    address = f"ws://{page.host}/api/v1/live"
    with connect(address, additional_headers=headers, max_size=8 << 20, close_timeout=1.0) as made:
        yield made


def received(looking: ClientConnection) -> Any:
    """Return the next message: JSON decoded, a picture as it is."""
    message = looking.recv(timeout=PATIENCE_S)
    return json.loads(message) if isinstance(message, str) else message


def until(looking: ClientConnection, wanted: Callable[[Any], bool]) -> Any:
    """Return the first message that is wanted."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not wanted(said := received(looking)):
        assert time.monotonic() < deadline_s, "it did not come"
    return said


def is_kind(kind: str) -> Callable[[Any], bool]:
    return lambda said: isinstance(said, dict) and said["type"] == kind


def signed(folder: Path, key: str = "rsa:2048") -> tuple[Path, Path]:
    """Make a self-signed certificate of this PC, and its key; return their places."""
    certificate, private = folder / "liput.pem", folder / "liput.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key.split(), "-nodes", "-keyout", private, "-out", certificate,
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, private
