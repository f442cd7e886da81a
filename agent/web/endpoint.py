"""One thing that can be asked of the API: how it is asked, what it takes and answers, and what does it.

The server's routes and the OpenAPI document are both made from the same list of these, so that neither can have what
the other has not. What is asked is decoded strictly: an unknown word is a mistake of the one who sent it, and is said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agent.web.answers import Refused, answer, error_answer
from agent.web.house import House
from agent.web.repeated import Repeated
from agent.web.worker_pool import WorkerPool
from config.errors import LiputError, UsageError
from recorder.archive.names import quoted

JSON = "application/json"


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked with nothing but the address."""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked: the words of the path, the query and the body, as their types have them."""

    house: House
    path: Mapping[str, str]
    query: Any
    body: Any
    request: Request


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What `does` it runs on a thread of `pool`, and returns what is answered: `answers`, or a response of its own."""

    method: str
    path: str
    does: Callable[[Call], object]
    summary: str
    answers: Any
    body: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    pool: Callable[[House], WorkerPool] = lambda house: house.light
    errors: tuple[int, ...] = ()
    """Beside those that everything may be answered with."""
    media: str = JSON
    status: int = 200

    @property
    def takes_body(self) -> bool:
        """Whether it is asked with a body."""
        return self.method != "GET"

    def route(self, house: House, repeated: Repeated) -> BaseRoute:
        """Return the route that serves it."""

        async def serve(request: Request) -> Response:
            try:
                return await self._serve(request, house, repeated)
            except LiputError as error:
                return error_answer(error)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody gets it

        return Route(self.path, serve, methods=[self.method], name=f"{self.method} {self.path}")

    async def _serve(self, request: Request, house: House, repeated: Repeated) -> Response:
        raw = await request.body() if self.takes_body else b""
        call = Call(house, request.path_params, _query(request, self.query), _body(request, raw, self.body), request)

        async def do() -> Response:
            done = await self.pool(house).run(lambda: self.does(call))
            if self.method != "GET":
                request.app.state.hub.poke()
            return done if isinstance(done, Response) else answer(done, self.status)

        if self.method == "POST" and (keys := request.headers.getlist("idempotency-key")):
            return await repeated.once(keys, f"{request.url.path} {raw!r}", do)
        return await do()


def _query(request: Request, kind: type[msgspec.Struct]) -> msgspec.Struct:
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise UsageError(f"{quoted(name, 40)} stands in the address twice")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _not_understood("address", error) from None


def _body(request: Request, raw: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    if raw and request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refused(415, "a request's body is JSON", hint=f"say so: Content-Type: {JSON}")
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_understood("body", error) from None


def _not_understood(what: str, error: Exception) -> UsageError:
    hint = "/openapi.json says what it takes"
    return UsageError(f"the request's {what} is not understood: {quoted(str(error))}", hint=hint)
