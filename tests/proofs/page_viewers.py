"""Viewers of the session page: real ones in Chromium, and lean ones that ask for what those ask for, word for word."""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from playwright.sync_api import Browser, Page, WebSocket
from websockets.asyncio.client import connect

from recorder.running.protocol import SHORTEST_PERIOD_S
from tests.support import browser as browsers
from tests.support.browser import Served
from tests.support.waiting import wait_for

STATES_PER_S = 1.0
OPEN_S = 60.0
"""Until everybody has got something of all that they asked for."""
TURN_MS = 50.0


def per_second(ask: str) -> dict[str, float]:
    """Return how many messages of each kind a second whoever sends `ask` is to get at least."""
    wanted = json.loads(ask)
    rates = {"state": STATES_PER_S} | ({"levels": 1 / SHORTEST_PERIOD_S} if wanted["levels"] else {})
    return rates | {_picture(index): float(preview["fps"]) for index, preview in enumerate(wanted["previews"])}


def _picture(index: int) -> str:
    return f"picture {index}"


@dataclass(eq=False)
class Viewer:
    """What one viewer asks for, and how many whole messages of each kind it has got."""

    kind: str
    ask: str = ""
    got: Counter[str] = field(default_factory=Counter)

    def take(self, message: str | bytes) -> None:
        """Count a message, and its bytes; what is no whole JPEG is no picture."""
        self.got["bytes"] += len(message)
        if isinstance(message, str):
            self.got[str(json.loads(message)["type"])] += 1
        elif message[1:3] == b"\xff\xd8" and message.endswith(b"\xff\xd9"):
            self.got[_picture(message[0])] += 1

    def follow(self, socket: WebSocket) -> None:
        """Hear what a page sends and gets."""
        socket.on("framesent", self._hear)
        socket.on("framereceived", self.take)

    def _hear(self, sent: str | bytes) -> None:
        self.ask = str(sent)

    @property
    def has_of_all(self) -> bool:
        """Whether it has asked for pictures, and got something of all that it asked for."""
        return _picture(0) in (wanted := per_second(self.ask) if self.ask else {}) and wanted.keys() <= self.got.keys()

    def share(self, got: Mapping[str, int], seconds: float) -> float:
        """Return the least share of what it asked for that `got`, of so many seconds, is: 1 is all."""
        return min(got.get(kind, 0) / (rate * seconds) for kind, rate in per_second(self.ask).items())


class Crowd:
    """Lean viewers, on a thread of their own, from the `with`'s beginning to its end."""

    def __init__(self, served: Served, ask: str, count: int) -> None:
        self.viewers = [Viewer("lean", ask) for _ in range(count)]
        self._url = f"{served.url.replace('http', 'ws', 1)}/api/v1/live"
        self._headers = {"Authorization": f"Bearer {served.token}"}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._enough = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()), name="crowd")

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for(lambda: self._loop, what="the crowd's thread")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop
        with contextlib.suppress(RuntimeError):  # it has ended: all were let go
            self._loop.call_soon_threadsafe(self._enough.set)
        self._thread.join()

    async def _look(self) -> None:
        self._loop = asyncio.get_running_loop()
        looking = [asyncio.create_task(self._one(viewer)) for viewer in self.viewers]
        await self._enough.wait()
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)  # who got too little is found by the counts

    async def _one(self, viewer: Viewer) -> None:
        async with connect(self._url, additional_headers=self._headers, compression=None, max_size=None) as socket:
            await socket.send(viewer.ask)
            async for message in socket:
                viewer.take(message)


@dataclass(frozen=True)
class Looking:
    """The viewers that look at the page now."""

    page: Page
    viewers: Sequence[Viewer]

    def stay(self, seconds: float) -> None:
        """Go on for so long; Playwright counts only meanwhile."""
        self.page.wait_for_timeout(seconds * 1000)

    def until(self, come: Callable[[], bool]) -> None:
        """Go on until something has come."""

        def turn() -> bool:
            self.page.wait_for_timeout(TURN_MS)
            return come()

        wait_for(turn, OPEN_S, "all that was asked for")


@contextlib.contextmanager
def looking(browser: Browser, served: Served, real: int, lean: int) -> Iterator[Looking]:
    """Let so many look at the session page, at least one in Chromium; yield once all get what they ask for."""
    with contextlib.ExitStack() as stack:
        viewers: list[Viewer] = []
        for _ in range(real):
            visit = stack.enter_context(browsers.visit(browser, served))
            viewers.append(viewer := Viewer("Chromium"))
            visit.page.on("websocket", viewer.follow)
            visit.open()
        found = Looking(visit.page, viewers)
        found.until(lambda: all(viewer.has_of_all for viewer in viewers))
        if lean:
            viewers += stack.enter_context(Crowd(served, viewers[0].ask, lean)).viewers
            found.until(lambda: all(viewer.has_of_all for viewer in viewers))
        yield found
