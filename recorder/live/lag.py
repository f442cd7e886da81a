"""Whether a live destination keeps up: it does not once pictures were dropped, until it has been close for a while."""

from dataclasses import dataclass

from devices.clock import NANOSECONDS

CLOSE_S = 1.5
"""How far behind the session one that keeps up may be: an encoder, a round trip and a report or two."""
FOR_S = 10.0
"""How long it must have been close, and have dropped nothing, to keep up again."""


@dataclass(frozen=True, slots=True)
class KeepsUp:
    """The end of a time in which it did not: how long that was, and how many frames it cost."""

    slow_s: float
    frames: int


class Lag:
    """Judges one stream while it is live; `begin` says that it is from now on."""

    def __init__(self) -> None:
        self.is_slow = False
        self._dropped = 0
        self._before = 0
        self._since_ns = 0
        self._behind_ns = 0

    def begin(self, dropped: int) -> None:
        """Judge what comes from now on; `dropped` frames had been dropped by then."""
        self.is_slow = False
        self._dropped = dropped

    def look(self, now_ns: int, dropped: int, delay_s: float) -> bool | KeepsUp:
        """Return whether it is slow from now on, or keeps up again; False when nothing has changed.

        `dropped` frames were dropped so far, and it is `delay_s` seconds behind.
        """
        has_dropped, before, self._dropped = dropped > self._dropped, self._dropped, dropped
        if has_dropped or delay_s > CLOSE_S:
            self._behind_ns = now_ns
        if has_dropped and not self.is_slow:
            self.is_slow, self._since_ns, self._before = True, now_ns, before
            return True
        if self.is_slow and now_ns - self._behind_ns >= FOR_S * NANOSECONDS:
            self.is_slow = False
            return KeepsUp((now_ns - self._since_ns) / NANOSECONDS, dropped - self._before)
        return False
