"""Checks every request and WebSocket first; also lets browsers in. Pure ASGI.

Order: host name (421), origin (403), rate (429), token (401), length (413).
"""

import math
import re
from collections.abc import Callable, Collection
from html import escape
from urllib.parse import parse_qs, quote

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.http.limits import (
    LONGEST_HEAD,
    MOST_ADDRESSES,
    MOST_SOCKETS,
    REQUESTS_AT_ONCE,
    REQUESTS_PER_S,
    Client,
    is_loopback,
    longest_body,
    plain_address,
)
from agent.web.http.responses import HttpRefusal, error_response
from agent.web.http.token import COOKIE_S, TICKET_S, Auth
from devices.host.throttle import TokenBuckets

PATH = "/api/v1/tickets"


class Ticket(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ticket"):
    """An address that lets one browser in once, within `good_s` seconds."""

    url: str
    good_s: float


def ticket(call: ApiCall) -> Ticket:
    """Make a ticket. Pages get none: a tricked browser must not let others in."""
    if not bearer_of(call.request.headers.get("authorization", "")):  # the guard has checked it
        raise HttpRefusal(403, "tickets need the token; a page cannot get one")
    base = str(call.request.base_url).rstrip("/")
    return Ticket(url=f"{base}{OPEN}?ticket={call.house.gate.ticket()}", good_s=TICKET_S)


ENDPOINTS = [Endpoint("POST", PATH, ticket, "An address that opens the page once", errors=())]

OPEN = "/open"  # path of the form for the token

_CLOSED = """<!doctype html>
<html lang="id"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Liput</title>
<main><h1>Liput</h1>
<p>{said}
<p>Jalankan <code>liput</code> di PC ini: halaman terbuka otomatis. Dari perangkat lain, atau bila Liput adalah
layanan sistem, masukkan token dari <code>liput token</code>; IT memilikinya.
<p lang="en">Run <code>liput</code> on this PC: it opens the page. From another device, or where Liput is a service of
the system, enter the token of <code>liput token</code>; IT has it.
<form method="post" action="/open?to={to}">
<label>Token <input type="password" name="token" autocomplete="off" required></label>
<button>Buka / Open</button></form></main></html>
"""
_PAGE = re.compile(r"/(?!/)[\w./-]*")


def login_page(scope: Scope, said: str = "", status: int = 401) -> Response:
    """Return the form for the token; programs see its status."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    wanted = scope["path"] if scope["path"] != OPEN else _page_after(Request(scope))
    shown = "" if scope.get("method") == "HEAD" else _CLOSED.format(said=escape(said), to=quote(wanted))
    return HTMLResponse(shown, status, headers)


async def login(request: Request) -> Response:
    """Let a browser in by ticket or token, or out; show the form to others."""
    gate: Auth = request.app.state.house.gate
    if request.method == "POST" and "leave" in request.query_params:
        left = RedirectResponse(OPEN, 303)
        left.delete_cookie(cookie_name(request.scope))
        return left
    if request.method == "POST":
        is_valid = gate.is_token(_token(await request.body()))
    elif tickets := request.query_params.getlist("ticket"):
        is_valid = gate.use_ticket(tickets[0])
    else:
        return login_page(request.scope, status=200)
    if not is_valid:
        return login_page(request.scope, "Tiket atau token itu tidak berlaku. / That ticket or token is not valid.")
    response = RedirectResponse(_page_after(request), 303)
    response.set_cookie(
        cookie_name(request.scope), gate.cookie(), max_age=COOKIE_S, path="/", httponly=True, samesite="strict",
        secure=request.scope["scheme"] == "https",
    )  # fmt: skip
    return response


def _page_after(request: Request) -> str:
    """Return the page that was asked for before the form; never an address of another site."""
    wanted = request.query_params.get("to", "/")
    return wanted if _PAGE.fullmatch(wanted) else "/"


def _token(form: bytes) -> str:
    """Return the token of the form, or "" if it cannot be read. Blanks around it were pasted with it."""
    try:
        return "".join(parse_qs(form.decode("latin-1"), max_num_fields=4).get("token", [])).strip()
    except ValueError:
        return ""


def cookie_name(scope: Scope) -> str:
    """Return our cookie's name. It has the port: two users of a PC may each serve a page."""
    return f"liput-{(scope.get('server') or ('', 0))[1]}"


def bearer_of(authorization: str) -> str:
    """Return the token of an Authorization header, or ""."""
    scheme, _, word = authorization.partition(" ")
    return word.strip() if scheme.lower() == "bearer" else ""


def cookies_of(scope: Scope) -> list[str]:
    """Return all values of our cookie; browsers also send those of other servers on this host."""
    jar = b";".join(value for key, value in scope["headers"] if key == b"cookie").decode("latin-1")
    pairs = (pair.partition("=") for pair in jar.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == cookie_name(scope)]


API = "/api/"
HEALTHZ, STATIC = "/healthz", "/static/"
POLICY_VIOLATION = 1008
_PORTS = {"http": "80", "https": "443"}

POLICY = (
    "default-src 'self'; img-src 'self' blob:; media-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer, browsers would send "Origin: null" from our forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Defaults; an answer may have its own."""

HOST_HINT = "use the address that `liput` prints; other names belong into allowed_hosts of [web] in the settings"
ORIGIN_HINT = "only the page itself and programs may ask; open the address that `liput` prints"
TOKEN_HINT = "run `liput` on this PC: it opens the page; programs send the header Authorization: Bearer TOKEN"  # noqa: S105 - a sentence


class Guard:
    """Passes a request to `app`, or refuses it."""

    def __init__(
        self, app: ASGIApp, gate: Auth, allowed: Collection[str], now_s: Callable[[], float],
        on_authenticated: Callable[[Client | None], None],
    ) -> None:  # fmt: skip
        """Take further names of this PC (lower case) as `allowed`, and a monotonic clock."""
        self._app = app
        self._gate = gate
        self._allowed = allowed
        self._now_s = now_s
        self._on_authenticated = on_authenticated
        # By address, with and without the token.
        self._rates = TokenBuckets(REQUESTS_AT_ONCE, REQUESTS_PER_S, MOST_ADDRESSES)
        self._sockets = {True: 0, False: 0}  # open WebSockets by `is_near`

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        scope = {**scope, "server": _plain(scope.get("server")), "client": _plain(client)}
        send = _with_headers(send)
        asked = _RequestHead(scope)
        asked.has_token = self._has_token(asked)
        if asked.has_token:
            self._on_authenticated(client)
        try:
            self._check(asked)
        except HttpRefusal as refused:
            await _refuse(refused, scope, receive, send)
            return
        if scope["type"] == "http":
            await self._app(scope, _bounded(receive, scope["path"]), send)
            return
        self._sockets[asked.is_near] += 1
        try:
            await self._app(scope, receive, self._while_authenticated(asked, send))
        finally:
            self._sockets[asked.is_near] -= 1

    def _while_authenticated(self, asked: "_RequestHead", send: Send) -> Send:
        """Return a `send` that closes the WebSocket once the token has changed."""

        async def sending(message: Message) -> None:
            if not self._has_token(asked):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION})
                raise OSError("the token was replaced")
            await send(message)

        return sending

    def _check(self, asked: "_RequestHead") -> None:
        if asked.size > LONGEST_HEAD:
            raise HttpRefusal(431, f"a request's head has {LONGEST_HEAD} bytes at most")
        self._check_origin(asked)
        # Nobody has the token here, and the form is as cheap as a 429.
        path = asked.scope["path"]
        if path != OPEN and (wait_s := self._rates.take((asked.address, asked.has_token), self._now_s())):
            after = {"retry-after": str(math.ceil(wait_s))}
            raise HttpRefusal(429, "too many requests", hint="wait a moment", why="too-many", headers=after)
        is_free = path in {OPEN, HEALTHZ} or (path.startswith(STATIC) and asked.is_read_only)
        if not (is_free or asked.has_token):
            raise HttpRefusal(
                401,
                "the token is missing or wrong",
                hint=TOKEN_HINT,
                why="token",
                headers={"www-authenticate": "Bearer"},
            )
        if asked.is_socket and self._sockets[asked.is_near] >= MOST_SOCKETS:
            raise HttpRefusal(429, f"{MOST_SOCKETS} pages are open already", hint="close one of them", why="too-many")
        length = asked.headers.get("content-length", "")
        if length.isdecimal() and int(length) > longest_body(asked.scope["path"]):
            raise _too_large(asked.scope["path"])

    def _check_origin(self, asked: "_RequestHead") -> None:
        hosts, origins = asked.headers.getlist("host"), asked.headers.getlist("origin")
        if len(hosts) != 1 or not self._is_our_host(hosts[0].lower(), asked.scope):
            raise HttpRefusal(421, "this PC does not have that name", hint=HOST_HINT)
        own = f"{_web_scheme(asked.scope)}://{hosts[0]}".lower()
        if any(origin.lower() != own for origin in origins):
            raise HttpRefusal(403, "other sites may not use this API", hint=ORIGIN_HINT)
        sites = asked.headers.getlist("sec-fetch-site")
        if any(site not in {"same-origin", "none"} for site in sites) and not asked.is_plain_navigation:
            raise HttpRefusal(403, "other sites may not use this API", hint=ORIGIN_HINT)
        if not origins and asked.cookies and not asked.bearer and not asked.is_read_only:
            raise HttpRefusal(403, "a browser must name its page (Origin)", hint=ORIGIN_HINT)

    def _is_our_host(self, host: str, scope: Scope) -> bool:
        """Whether a Host header names this PC: an allowed name, or the address reached."""
        name, port = _split(host, _PORTS[_web_scheme(scope)])
        address, own_port = scope.get("server") or ("", None)
        own = {"localhost", "127.0.0.1", "[::1]", f"[{address}]" if ":" in address else address}
        return host in self._allowed or (port == str(own_port) and name in own.union(self._allowed))

    def _has_token(self, asked: "_RequestHead") -> bool:
        if asked.bearer:
            return self._gate.is_token(asked.bearer)
        return any(map(self._gate.is_cookie_valid, asked.cookies))


class _RequestHead:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.is_socket = scope["type"] == "websocket"
        self.is_read_only = not self.is_socket and scope["method"] in {"GET", "HEAD"}
        self.address: str = (scope.get("client") or ("",))[0]
        self.is_near = is_loopback(self.address)
        self.bearer = bearer_of(self.headers.get("authorization", ""))
        self.cookies = cookies_of(scope)
        self.has_token = False

    @property
    def is_plain_navigation(self) -> bool:
        """Whether somebody follows a link to a page, which changes nothing and sends no cookie."""
        said = [self.headers.getlist(f"sec-fetch-{name}") for name in ("mode", "dest")]
        return self.is_read_only and not self.scope["path"].startswith(API) and said == [["navigate"], ["document"]]

    @property
    def size(self) -> int:
        address = len(self.scope["path"]) + len(self.scope["query_string"])
        return address + sum(len(name) + len(value) for name, value in self.headers.raw)


def _plain[Port](place: tuple[str, Port] | None) -> tuple[str, Port] | None:
    return None if place is None else (plain_address(place[0]), place[1])


def _web_scheme(scope: Scope) -> str:
    return "https" if scope["scheme"] in {"https", "wss"} else "http"


def _split(host: str, port: str) -> tuple[str, str]:
    """Return name and port of a Host header; an IPv6 address keeps its brackets."""
    name, colon, after = host.rpartition(":")
    return (name, after) if colon and not after.endswith("]") else (host, port)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            message = {**message, "headers": headers.raw}
        await send(message)

    return sending


def _too_large(path: str) -> HttpRefusal:
    said = f"a request has {longest_body(path)} bytes at most"
    return HttpRefusal(413, said, why="too-large", headers={"connection": "close"})


def _bounded(receive: Receive, path: str) -> Receive:
    """Return a `receive` that raises HttpRefusal for too long a body."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > longest_body(path):
            raise _too_large(path)
        return message

    return receiving


async def _refuse(refused: HttpRefusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the refusal; a WebSocket gets it in place of its acceptance."""
    response = error_response(refused)
    if refused.status == 401 and scope["type"] == "http" and not scope["path"].startswith(API):
        response = login_page(scope)
    if scope["type"] == "websocket":
        await receive()  # the request to connect
    await response(scope, receive, send)
