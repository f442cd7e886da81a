"""The daemon's part `web`: uvicorn on the part's thread and on our own socket."""

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.daemon.parts import Beat, poll
from agent.web.http.limits import AT_ONCE, HANDSHAKE_S, KEEP_ALIVE_S, LONGEST_BODY, LONGEST_HEAD, LimitedListener
from config.errors import LiputError, StateError
from config.files import file_stamp
from config.settings.serving import WebSettings
from devices.host.clock import Clock
from devices.host.process import process_started
from devices.host.threads import start_thread
from devices.host.throttle import LogOnChange
from recorder.running.access import operators_gid
from recorder.running.runtime_directory import runtime_folder, write_file

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from agent.web.http.context import ApiContext


class RenewableCertificate:
    """Reloads a renewed certificate. A bad one is logged once, and the former one stays in use."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path], tell: Callable[[str], None]) -> None:
        """`make` loads `files`: certificate chain and key. Raises OSError, ssl.SSLError."""
        self.served = self._now = make()  # the context for the server
        self._make = make
        self._files = files
        self._tell = tell
        self._looking = threading.Lock()
        self._seen = self._stamps()
        # A new context: the former one would keep one certificate per kind of key.
        self.served.sni_callback = self._choose

    def look_beside(self) -> None:
        """Look for a new certificate on a thread, since its disk may hang."""
        if self._looking.acquire(blocking=False):
            with contextlib.suppress(RuntimeError):  # try again next time
                start_thread(self._look, name="web-certificate", otherwise=self._looking.release)

    def _look(self) -> None:
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            self._now = self._make()
            self._tell("the certificate of [web] was changed; the page is served with the new one")
        except (OSError, ssl.SSLError) as error:
            self._tell(f"the certificate of [web] was changed and cannot be used: {error}; the one before it stays")
        finally:
            self._looking.release()

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _served: ssl.SSLContext) -> None:
        connection.context = self._now

    def _stamps(self) -> object:
        return [file_stamp(file) for file in self._files]


AGAIN_S = 5.0  # between two attempts to take a busy port
PAGE_ADDRESS_FILE = "web.json"
BACKLOG = 256
LOOPBACKS = {4: "127.0.0.1", 6: "::1"}  # this PC by version of IP
TICKS = 10  # tenths of a second between two beats
CERTIFICATE_TICKS = 600  # tenths of a second between two looks at the certificate

type MakeContext = Callable[["uvicorn.Config", Callable[[], ssl.SSLContext]], ssl.SSLContext]


class PageAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Address of the running daemon's page, in RUNTIME/web.json, for this user and operators; "" with a problem."""

    url: str
    pid: int
    problem: str = ""  # why it is not served


def read_page_address() -> PageAddress | None:
    """Return the address of the page; None if no daemon here serves one."""
    place = _read_place()
    return place if place and place.url else None


def read_page_problem() -> str:
    """Return why the daemon that runs here serves no page; "" if it does, or none runs."""
    place = _read_place()
    return place.problem if place else ""


def _read_place() -> PageAddress | None:
    with contextlib.suppress(OSError, LiputError, msgspec.MsgspecError):
        place = msgspec.json.decode((runtime_folder() / PAGE_ADDRESS_FILE).read_bytes(), type=PageAddress)
        return place if process_started(place.pid) is not None else None
    return None


def _write_place(url: str, problem: str = "") -> None:
    place = msgspec.json.encode(PageAddress(url=url, pid=os.getpid(), problem=problem))
    write_file(runtime_folder(make=True) / PAGE_ADDRESS_FILE, place, operators_gid())


@dataclass(eq=False)
class WebPart:
    settings: WebSettings
    house: Callable[[], "ApiContext"]  # called on the part's thread, so that heavy imports happen there
    clock: Clock
    tell: Callable[[str], None]
    name: str = "web"

    def run(self, stop: threading.Event, beat: Beat) -> None:
        """Serve until `stop` is set; log a failure once, and retry."""
        once = LogOnChange(self.tell)

        def try_to_serve() -> None:
            try:
                self._serve(stop, beat)
            except (LiputError, OSError) as error:
                once(problem := _hindrance(self.settings, error))
                with contextlib.suppress(OSError, LiputError):
                    _write_place("", problem)

        try:
            poll(try_to_serve, AGAIN_S, self.clock, stop, beat)
        finally:
            with contextlib.suppress(OSError, LiputError):
                (runtime_folder() / PAGE_ADDRESS_FILE).unlink(missing_ok=True)

    def _serve(self, stop: threading.Event, beat: Beat) -> None:
        with contextlib.closing(listen(self.settings)) as listener:
            from agent.web.app import make_app
            from agent.web.page.views import routes

            house = self.house()

            def moving() -> None:
                beat()
                house.reap()

            allowed = frozenset(name.lower() for name in self.settings.allowed_hosts)
            app = make_app(house, allowed, routes(), listener.mark_authenticated)
            ready = partial(self._ready, house, url_of(self.settings, listener))
            serve(app, listener, self.settings, stop, moving, ready, self.tell)

    def _ready(self, house: "ApiContext", url: str) -> None:
        house.loop = asyncio.get_running_loop()
        _write_place(url)
        self.tell(f"the page is at {url}")


def listen(settings: WebSettings) -> LimitedListener:
    """Return a listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listener = LimitedListener(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the former daemon's socket may linger
        listener.bind((settings.address, settings.port))
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(settings: WebSettings, listener: socket.socket) -> str:
    """Return the URL of the page on this PC."""
    port: int = listener.getsockname()[1]
    listened = ipaddress.ip_address(settings.address)
    host = LOOPBACKS[listened.version] if listened.is_unspecified else settings.address
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.is_encrypted else 'http'}://{shown}:{port}/"


def _hindrance(settings: WebSettings, error: LiputError | OSError) -> str:
    if isinstance(error, LiputError):
        return f"the page cannot be served: {error.message}. {error.hint}".rstrip()
    where = f"{settings.address}, port {settings.port}"
    hint = "another program has it, or another user's liput serve; [web] port names another"
    return f"the page cannot be served at {where}: {error.strerror}; {hint}. Everything else goes on."


def serve(
    app: "ASGIApp",
    listener: socket.socket,
    settings: WebSettings,
    stop: threading.Event,
    beat: Beat,
    ready: Callable[[], None],
    tell: Callable[[str], None],
) -> None:
    """Serve until `stop` is set; call `ready` at the start. Raises StateError for a bad certificate."""
    import uvicorn

    from agent.web.http.connections import HttpConnection

    class Server(uvicorn.Server):
        """Beats and ends with the part."""

        async def on_tick(self, counter: int) -> bool:
            if counter % TICKS == 0:
                beat()
            if certificate and counter % CERTIFICATE_TICKS == 0:
                certificate.look_beside()
            return await super().on_tick(counter) or stop.is_set()

        async def startup(self, sockets: object = None) -> None:  # noqa: ARG002 - we have one of our own
            """Start as uvicorn does, with deadlines for TLS, which it has no setting for."""
            tls_s = HANDSHAKE_S if config.ssl else None
            connection = partial(HttpConnection, config, self.server_state, self.lifespan.state)
            server = await asyncio.get_running_loop().create_server(
                connection, sock=listener, backlog=AT_ONCE, ssl=config.ssl,
                ssl_handshake_timeout=tls_s, ssl_shutdown_timeout=tls_s,
            )  # fmt: skip
            listener.listen(BACKLOG)
            self.servers, self.started = [server], True
            ready()

    certificate: RenewableCertificate | None = None

    def context(_config: uvicorn.Config, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        nonlocal certificate
        files = [file for file in (settings.tls_certificate, settings.tls_key) if file]
        certificate = RenewableCertificate(make, files, tell)
        return certificate.served

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # clients' errors need no log
    config = _configured(app, settings, context)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(Server(config).serve(sockets=[listener]))


def _configured(app: "ASGIApp", settings: WebSettings, context: MakeContext) -> "uvicorn.Config":
    """Return uvicorn's configuration; `context` makes the TLS context. Raises StateError."""
    import uvicorn

    from agent.web.http.connections import HttpConnection, WebSocketConnection

    config = uvicorn.Config(
        app, http=HttpConnection, ws=WebSocketConnection, loop="asyncio", lifespan="off", interface="asgi3",
        log_config=None, access_log=False,
        proxy_headers=False, server_header=False, ws_max_size=LONGEST_BODY, ws_per_message_deflate=False,
        ws_ping_interval=20.0, ws_ping_timeout=20.0, timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2, h11_max_incomplete_event_size=LONGEST_HEAD,
        ssl_certfile=settings.tls_certificate, ssl_keyfile=settings.tls_key,
        ssl_context_factory=context if settings.is_encrypted else None,
    )  # fmt: skip
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise StateError(f"the certificate of [web] cannot be used: {error}") from None
    return config
