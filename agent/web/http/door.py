"""How a browser is let in: by a ticket of `GET /open?ticket=...`, or by the token typed into the form there."""

from html import escape
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from agent.web.http.answers import Refused
from agent.web.http.endpoint import Call, Endpoint
from agent.web.http.token import COOKIE_S, TICKET_S, Gate

PATH = "/api/v1/tickets"


class Ticket(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ticket"):
    """An address that lets one browser in, once, within `good_s` seconds."""

    url: str
    good_s: float


def ticket(call: Call) -> Ticket:
    """Make one. A page cannot: what a browser was tricked into must not let others in."""
    if not bearer_of(call.request.headers.get("authorization", "")):  # the guard has judged it, if there is one
        raise Refused(403, "a ticket is given to whoever has the token, not to a page")
    base = str(call.request.base_url).rstrip("/")
    return Ticket(url=f"{base}{OPEN}?ticket={call.house.gate.ticket()}", good_s=TICKET_S)


ENDPOINTS = [Endpoint("POST", PATH, ticket, "An address that opens the page once")]


OPEN = "/open"
"""Where the door is."""

_CLOSED = """<!doctype html>
<html lang="id"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Liput</title>
<main><h1>Liput</h1>
<p>{said}
<p>Jalankan <code>liput</code> di PC ini: halaman terbuka dengan sendirinya. Dari perangkat lain, atau bila Liput adalah
layanan sistem, masukkan token dari <code>liput token</code>; IT memilikinya.
<p lang="en">Run <code>liput</code> on this PC: it opens the page. From another device, or where Liput is a service of
the system, enter the token of <code>liput token</code>; IT has it.
<form method="post" action="/open"><label>Token <input type="password" name="token" autocomplete="off" required></label>
<button>Buka / Open</button></form></main></html>
"""
_WRONG = "Tiket atau token itu tidak berlaku. / That ticket or token is not valid."


def closed_page(scope: Scope, said: str = "", status: int = 401) -> Response:
    """Return what a browser sees that has not been let in; programs that ask for the same see its status."""
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    shown = "" if scope.get("method") == "HEAD" else _CLOSED.format(said=escape(said))
    return HTMLResponse(shown, status, headers)


async def open_door(request: Request) -> Response:
    """Let a browser in that has a ticket or the token; show the form to any other."""
    gate: Gate = request.app.state.house.gate
    if request.method == "POST":
        return _let_in(request, gate) if gate.knows(_token(await request.body())) else _closed(request)
    tickets = request.query_params.getlist("ticket")
    if not tickets:
        return closed_page(request.scope, status=200)
    return _let_in(request, gate) if gate.takes(tickets[0]) else _closed(request)


def _token(form: bytes) -> str:
    """Return the token of a form that was filled in; "", which lets nobody in, of one that cannot be read."""
    try:
        return "".join(parse_qs(form.decode("latin-1"), max_num_fields=4).get("token", []))
    except ValueError:
        return ""


def _closed(request: Request) -> Response:
    return closed_page(request.scope, _WRONG)


def _let_in(request: Request, gate: Gate) -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie(
        cookie_name(request.scope), gate.cookie(), max_age=COOKIE_S, path="/", httponly=True, samesite="strict",
        secure=request.scope["scheme"] == "https",
    )  # fmt: skip
    return response


def cookie_name(scope: Scope) -> str:
    """Return the name of our cookie: cookies know no ports, and two users of a PC may each have a page."""
    return f"liput-{(scope.get('server') or ('', 0))[1]}"


def bearer_of(authorization: str) -> str:
    """Return the token of an Authorization header, "" where it holds none."""
    scheme, _, word = authorization.partition(" ")
    return word.strip() if scheme.lower() == "bearer" else ""


def cookies_of(scope: Scope) -> list[str]:
    """Return what cookies of our name say: other servers of this host may set more, and a browser sends all of them."""
    jar = b";".join(value for key, value in scope["headers"] if key == b"cookie").decode("latin-1")
    pairs = (pair.partition("=") for pair in jar.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == cookie_name(scope)]
