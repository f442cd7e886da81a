"""Endpoints of the API, for the routes and the OpenAPI document. Unknown fields are refused."""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from agent.web.http.context import ApiContext, WorkerPool
from agent.web.http.limits import is_loopback
from agent.web.http.responses import CONFLICT, HttpRefusal, error_response
from config.errors import LiputError, UsageError
from recorder.model.names import json_bytes, quoted

JSON = "application/json"

MOST_KEPT, LONGEST_KEY = 256, 128
HOLDS_S = 3600.0

type _Kept = tuple[str, float, "asyncio.Future[Response]"]  # digest of the request, end of keeping (seconds), answer


class IdempotentAnswers:
    """Keeps answers by Idempotency-Key, for clients that repeat a request. For one event loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[str, _Kept] = {}

    async def once(self, keys: Sequence[str], asked: str, do: Callable[[], Awaitable[Response]]) -> Response:
        """Return the first answer with this key, or that of `do`. Raises HttpRefusal for a key of another request."""
        key = _key(keys)
        digest = hashlib.sha256(asked.encode(errors="surrogateescape")).hexdigest()
        self._forget()
        if key not in self._kept:
            return await self._first(key, digest, do)
        before, _, coming = self._kept[key]
        if before != digest:
            raise HttpRefusal(
                CONFLICT, "that Idempotency-Key came with another request", hint="take a new key for each"
            )
        first = await asyncio.shield(coming)
        return Response(first.body, first.status_code, {**first.headers, "idempotency-replayed": "true"})

    async def _first(self, key: str, digest: str, do: Callable[[], Awaitable[Response]]) -> Response:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._kept[key] = digest, self._now_s() + HOLDS_S, future
        try:
            response = await do()
        except BaseException as error:
            self._kept.pop(key, None)
            if isinstance(error, Exception):
                future.set_exception(error)
                future.exception()  # avoids asyncio's warning
            else:
                future.cancel()
            raise
        future.set_result(response)
        return response

    def _forget(self) -> None:
        now_s = self._now_s()
        for key in [key for key, (_, end_s, first) in self._kept.items() if end_s < now_s and first.done()]:
            del self._kept[key]
        while len(self._kept) >= MOST_KEPT:
            oldest = next((key for key, (*_, first) in self._kept.items() if first.done()), None)
            if oldest is None:
                raise HttpRefusal(429, "too many requests wait for their answer", hint="wait a moment", why="too-many")
            del self._kept[oldest]


def _key(keys: Sequence[str]) -> str:
    if len(keys) != 1 or not 0 < len(keys[0]) <= LONGEST_KEY or not keys[0].isprintable():
        raise UsageError(f"an Idempotency-Key is one word of {LONGEST_KEY} characters at most")
    return keys[0]


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request with the parameters of its path."""

    house: ApiContext
    path: Mapping[str, str]
    request: Request

    @property
    def is_near(self) -> bool:
        """Whether the client is on this PC."""
        return self.request.client is not None and is_loopback(self.request.client.host)


@dataclass(frozen=True)
class Endpoint:
    """`handler` runs on a thread of `pool`; its signature describes request and answer.

    Keyword-only parameters come from the query of a GET, else from a JSON body. A positional parameter is a struct with
    all of them. A Response is sent unchanged.
    """

    method: str
    path: str
    handler: Callable[..., object]
    summary: str
    _: KW_ONLY
    pool: Literal["light", "slow", "disk"] = "light"
    errors: tuple[int, ...] = (404, 409)  # statuses beside the common ones
    media: str = JSON
    status: int = 200

    @property
    def is_read_only(self) -> bool:
        """Whether it changes nothing and has no body."""
        return self.method == "GET"

    @cached_property
    def parameters_type(self) -> type[msgspec.Struct]:
        if not self._parameters:
            return NoParameters
        if self._takes_struct:
            whole: type[msgspec.Struct] = self._parameters[0].annotation
            return whole
        fields = [
            (one.name, one.annotation) if one.default is one.empty else (one.name, one.annotation, one.default)
            for one in self._parameters
        ]
        return msgspec.defstruct(
            self.handler.__name__, fields, module=self.handler.__module__, kw_only=True, forbid_unknown_fields=True
        )

    @property
    def answer_type(self) -> Any:
        """The type of its JSON answer; None for another kind of answer."""
        kind = inspect.signature(self.handler).return_annotation
        return None if kind is Response else kind

    @cached_property
    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.handler).parameters.values())[1:]

    @property
    def _takes_struct(self) -> bool:
        return self._parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY

    def route(self, house: ApiContext, repeated: IdempotentAnswers) -> BaseRoute:
        async def serve(request: Request) -> Response:
            try:
                return await self._serve(request, house, repeated)
            except LiputError as error:
                return error_response(error)
            except ClientDisconnect:
                return Response(status_code=400)  # the client has gone

        return Route(self.path, serve, methods=[self.method], name=f"{self.method} {self.path}")

    async def _serve(self, request: Request, house: ApiContext, repeated: IdempotentAnswers) -> Response:
        call, raw = ApiCall(house, request.path_params, request), b"" if self.is_read_only else await request.body()
        asked = _query(request, self.parameters_type if self.is_read_only else NoParameters)
        if not self.is_read_only:
            asked = _body(request, raw, self.parameters_type)

        async def do() -> Response:
            pool: WorkerPool = getattr(house, self.pool)
            done = await pool.run(lambda: self._do(call, asked))
            if not self.is_read_only:
                request.app.state.hub.poke()
            return done if isinstance(done, Response) else Response(json_bytes(done), self.status, media_type=JSON)

        if self.method == "POST" and (keys := request.headers.getlist("idempotency-key")):
            return await repeated.once(keys, f"{request.url.path} {raw!r}", do)
        return await do()

    def _do(self, call: ApiCall, asked: msgspec.Struct) -> object:
        if self._parameters and self._takes_struct:
            return self.handler(call, asked)
        return self.handler(call, **{name: getattr(asked, name) for name in asked.__struct_fields__})


@dataclass(frozen=True, eq=False)
class TextRoute:
    """A GET beside the API that answers text; `answers` describes the text of each status."""

    path: str
    handler: Callable[[Request], Awaitable[Response]]
    summary: str
    answers: Mapping[int, str]
    needs_token: bool = True

    def route(self, _house: ApiContext, _repeated: IdempotentAnswers) -> BaseRoute:
        return Route(self.path, self.handler, methods=["GET"])


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
        raise HttpRefusal(415, "a request's body is JSON", hint=f"say so: Content-Type: {JSON}")
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _not_understood("body", error) from None


def _not_understood(what: str, error: Exception) -> UsageError:
    hint = "/openapi.json lists the accepted fields"
    return UsageError(f"the request's {what} is not understood: {quoted(str(error))}", hint=hint)
