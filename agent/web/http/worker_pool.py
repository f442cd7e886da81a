"""Threads for work that may wait for a disk or a device.

Not asyncio's own pool: Python waits for its threads at its end, and one may hang.
"""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

from agent.web.http.answers import BUSY, Refused
from devices.host import threads


class WorkerPool:
    """A few threads for one kind of work; used from one event loop."""

    def __init__(self, name: str, most: int, most_waiting: int = 32) -> None:
        self._name = name
        self._most_waiting = most_waiting
        self._places = asyncio.Semaphore(most)
        self._waiting = 0

    async def run[Answer](self, work: Callable[[], Answer]) -> Answer:
        """Return what `work` does, which runs on a thread; raises what it raises, and Refused where too many wait."""
        if self._waiting >= self._most_waiting:
            raise Refused(BUSY, "too much is asked for at once", hint="wait a moment", headers={"retry-after": "2"})
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        return await self._on_a_thread(work)

    async def _on_a_thread[Answer](self, work: Callable[[], Answer]) -> Answer:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()

        def settle(act: Callable[[], None]) -> None:
            self._places.release()
            if not done.cancelled():
                act()

        def go() -> None:
            try:
                answer = work()
            except BaseException as error:  # whoever asked gets it
                act = partial(done.set_exception, error)
            else:
                act = partial(done.set_result, answer)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits for it
                loop.call_soon_threadsafe(settle, act)

        threads.start(go, name=f"web-{self._name}", otherwise=self._places.release)
        return await done
