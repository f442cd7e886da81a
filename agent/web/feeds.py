"""What recorders tell at once, taken in once for all who look at the page.

There is a thread for each session's levels, and one for each source that is looked at, as long as somebody wants them.
Of what the event loop has not taken yet only the newest is kept.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from config.errors import LiputError
from devices.host import threads
from recorder.control.client import Connection, PreviewClient
from recorder.control.directory import RecorderFolder
from recorder.control.protocol import SHORTEST_PERIOD_S, Failure, Look, Watch
from recorder.status import SessionResult, SessionStatus

WAIT_S = 1.0
"""How long a feed may not notice that it is not wanted any more."""

type Put[What] = Callable[[What], None]
"""Hands something over to the event loop; never waits."""


class Later(Protocol):
    """How something is called on the event loop, from any thread; raises RuntimeError once that has ended."""

    def __call__(self, callback: Callable[[], None], /) -> object:
        """Call it soon; returns at once."""
        ...


class Newest[What]:
    """Hands the newest of what a thread gives to `put` on the event loop."""

    def __init__(self, later: Later, put: Put[What]) -> None:
        self._later = later
        self._put = put
        self._lock = threading.Lock()
        self._waiting: list[What] = []

    def give(self, what: What) -> None:
        """Give something, in place of what was not taken yet."""
        with self._lock:
            is_called, self._waiting = bool(self._waiting), [what]
        if not is_called:
            with contextlib.suppress(RuntimeError):
                self._later(self._take)

    def _take(self) -> None:
        with self._lock:
            (what,), self._waiting = self._waiting, []
        self._put(what)


class Feed:
    """Follows something on a thread of its own until it is not wanted any more, or is over."""

    problem: str | None = None
    """Why it is over, where that was not asked for."""

    def __init__(self, name: str) -> None:
        """Begin at once. Raises RuntimeError where the system has no further thread to give."""
        self._stop = threading.Event()
        self._thread = threads.start(self._go, name=name)

    def close(self) -> None:
        """Say that it is not wanted any more; it ends within WAIT_S."""
        self._stop.set()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def _go(self) -> None:
        try:
            self._follow()
        except (LiputError, OSError) as error:
            self.problem = str(error)

    def _follow(self) -> None:
        raise NotImplementedError


class LevelFeed(Feed):
    """The statuses of one session, ten a second."""

    def __init__(self, folder: RecorderFolder, newest: Newest[SessionStatus]) -> None:
        self._folder = folder
        self._newest = newest
        super().__init__(f"web-levels-{folder.id}")

    def _follow(self) -> None:
        with Connection(self._folder) as connection:
            connection.request(Watch(every_s=SHORTEST_PERIOD_S))
            while not self._stop.is_set():
                told = connection.told(WAIT_S)
                if isinstance(told, SessionStatus):
                    self._newest.give(told)
                elif isinstance(told, SessionResult | Failure):
                    return


class PictureFeed(Feed):
    """The pictures of one source, as often and as large as anybody wants them."""

    def __init__(self, folder: RecorderFolder, look: Look, newest: Newest[bytes]) -> None:
        self._folder = folder
        self._newest = newest
        self.look = look
        super().__init__(f"web-look-{folder.id}")

    def _follow(self) -> None:
        with PreviewClient(self._folder) as client:
            asked: Look | None = None
            while not self._stop.is_set():
                if (wanted := self.look) != asked:
                    client.look(wanted)
                    asked = wanted
                if picture := client.picture(WAIT_S):
                    self._newest.give(picture)
