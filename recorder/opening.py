"""Sources that are opened each on the thread that reads it, so that one that hangs holds up no other for long."""

import threading
from collections.abc import Callable

from capture.reader import Readable

TURN_S = 1.0
"""How long a source lets the one before it go first: on a bus with room for one, the one asked for first gets it."""


class Opening[Item, Opened]:
    """The reading side of a source, which is opened when it is read first."""

    def __init__(
        self,
        source: Readable[Item],
        opening: Callable[[], Opened],
        go: threading.Event,
        *,
        is_paced: bool,
        keeps: bool = False,
        may_miss: bool = False,
        after: "Opening[Item, Opened] | None" = None,
    ) -> None:
        """Open `after` another one, unless that takes TURN_S. Give nothing before `go` is set.

        A source that `is_paced` is not even read before. A device is: what it gives meanwhile is let go, so that it
        is at the present then, unless this `keeps` it. The session begins without one that `may_miss`.
        """
        self.name = source.name
        self.opened: Opened | None = None
        self.may_miss = may_miss
        self.error: Exception | None = None
        """Why it could not be opened."""
        self._source = source
        self._opening = opening
        self._go = go
        self._is_paced = is_paced
        self._keeps = keeps
        self._after = after
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether it has been opened, or refused."""
        return self._over.is_set()

    def wait(self, timeout_s: float) -> None:
        """Wait until it has been opened, or refused."""
        self._over.wait(timeout_s)

    def read(self, timeout_s: float) -> Item | None:
        """Return the next item, or None; raises what the source raises. The first call takes as long as opening."""
        if not self.is_over:
            if self._after:
                self._after.wait(TURN_S)
            try:
                self.opened = self._opening()
            except Exception as error:  # whoever waits for it decides
                self.error = error
            self._over.set()
        if self._is_paced and not self._go.wait(timeout_s):
            return None
        item = self._source.read(timeout_s)
        return item if self._keeps or self._go.is_set() else None
