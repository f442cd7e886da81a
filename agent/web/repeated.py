"""Requests that are sent again: with the same Idempotency-Key the answer is the first one's, and nothing is done twice.

Who does not know whether a request has arrived sends it again, with the same key. While the first is being carried out
the second waits for it. What has failed may be tried again with the same key.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from starlette.responses import Response

from agent.web.answers import CONFLICT, Refused
from config.errors import UsageError

MOST, LONGEST = 256, 128
HOLDS_S = 3600.0


type _Kept = tuple[str, float, "asyncio.Future[Response]"]
"""The digest of what was asked, until when its answer is kept (seconds), and the answer."""


class Repeated:
    """Keeps the answers of the last requests that had a key; used from one event loop."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def once(self, keys: Sequence[str], asked: str, do: Callable[[], Awaitable[Response]]) -> Response:
        """Return the answer of the first request with that key, which `do` carries out; raises what `do` raises.

        `asked` is what is asked for: a key that came with something else before is refused.
        """
        key = _key(keys)
        digest = hashlib.sha256(asked.encode(errors="surrogateescape")).hexdigest()
        self._forget()
        if key not in self._kept:
            return await self._first(key, digest, do)
        before, _, answer = self._kept[key]
        if before != digest:
            raise Refused(CONFLICT, "that Idempotency-Key came with another request", hint="take a new key for each")
        first = await asyncio.shield(answer)
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
                future.exception()  # nobody need wait for it
            else:
                future.cancel()
            raise
        future.set_result(response)
        return response

    def _forget(self) -> None:
        now_s = self._now_s()
        for key in [key for key, (_, end_s, answer) in self._kept.items() if end_s < now_s and answer.done()]:
            del self._kept[key]
        while len(self._kept) >= MOST:
            oldest = next((key for key, (*_, answer) in self._kept.items() if answer.done()), None)
            if oldest is None:
                raise Refused(429, "too many requests wait for their answer", hint="wait a moment")
            del self._kept[oldest]


def _key(keys: Sequence[str]) -> str:
    if len(keys) != 1 or not 0 < len(keys[0]) <= LONGEST or not keys[0].isprintable():
        raise UsageError(f"an Idempotency-Key is one word of {LONGEST} characters at most")
    return keys[0]
