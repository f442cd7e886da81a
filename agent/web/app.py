"""The web application: guard, routes, error answers."""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import chain

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp

from agent.features import hooked
from agent.web.api import archive, checks, devices, exports, history, sessions, settings, sound, state
from agent.web.api.hub import PATH as LIVE
from agent.web.api.hub import Hub, live
from agent.web.http import guard
from agent.web.http.context import ApiContext
from agent.web.http.endpoint import JSON, Endpoint, IdempotentAnswers, TextRoute
from agent.web.http.guard import HEALTHZ, OPEN, Guard, login
from agent.web.http.limits import Client
from agent.web.http.responses import HttpRefusal, error_response
from agent.web.openapi import PATH as OPENAPI
from agent.web.openapi import document
from agent.web.page.views import missing
from config.errors import LiputError, as_liput_error
from devices.host.clock import seconds_now


async def healthz(request: Request) -> Response:
    """Answer "ok", or 503 with the names of hanging parts."""
    house: ApiContext = request.app.state.house
    standing = house.standing()
    return PlainTextResponse(f"standing: {', '.join(standing)}\n", 503) if standing else PlainTextResponse("ok\n")


_HEALTH = {200: "ok", 503: "the parts that hang"}
ENDPOINTS: tuple[Endpoint | TextRoute, ...] = (
    TextRoute(HEALTHZ, healthz, "Whether the parts of the daemon move", _HEALTH, needs_token=False),
    *state.ENDPOINTS, *sessions.ENDPOINTS, *sound.ENDPOINTS, *devices.ENDPOINTS, *checks.ENDPOINTS, *settings.ENDPOINTS,
    *archive.ENDPOINTS, *exports.ENDPOINTS, *history.ENDPOINTS, *guard.ENDPOINTS,
    *chain.from_iterable(hooked("endpoints")),
)  # fmt: skip


def make_app(
    house: ApiContext,
    allowed: Collection[str] = (),
    pages: Sequence[BaseRoute] = (),
    on_authenticated: Callable[[Client | None], None] = lambda _: None,
) -> ASGIApp:
    """Return the application; `pages` are further routes, which find `house` at `app.state.house`.

    `allowed` has further names of this PC in lower case. `on_authenticated` gets each client with the token.
    """
    now_s = partial(seconds_now, house.clock)
    repeated, hub = IdempotentAnswers(now_s), Hub(house)
    routes: list[BaseRoute] = [
        Route(OPEN, login, methods=["GET", "POST"]),
        Route(OPENAPI, _openapi, methods=["GET"]),
        WebSocketRoute(LIVE, live),
        *(endpoint.route(house, repeated) for endpoint in ENDPOINTS),
        *pages,
    ]
    app = Starlette(
        routes=routes, exception_handlers={HTTPException: _http_error, LiputError: _error, Exception: _error}
    )
    app.state.house, app.state.hub = house, hub
    app.router.redirect_slashes = False
    return Guard(app, house.gate, allowed, now_s, on_authenticated)


async def _openapi(request: Request) -> Response:
    house: ApiContext = request.app.state.house
    return Response(await house.light.run(lambda: document(ENDPOINTS)), media_type=JSON)


async def _http_error(request: Request, error: Exception) -> Response:
    """Answer an error of the router, 404 or 405; a browser that goes somewhere gets a page."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404 and "text/html" in request.headers.get("accept", ""):
        house: ApiContext = request.app.state.house
        return await house.light.run(lambda: missing(request))
    said = {404: "there is no such address", 405: "that cannot be done with this address"}
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return error_response(HttpRefusal(status, said.get(status, "this cannot be done"), headers=headers))


async def _error(request: Request, error: Exception) -> Response:
    if not isinstance(error, LiputError):
        house: ApiContext = request.app.state.house
        house.tell(f"{request.method} {request.url.path} has failed: {as_liput_error(error).message}")
    return error_response(error)
