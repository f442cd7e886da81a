"""How long a disk will last, and when to say so: for one file, from what its disk has free."""

from collections import deque
from enum import IntEnum

from config.settings.schema import Storage as StorageSettings
from devices.host.clock import NANOSECONDS

WINDOW_NS = 60 * NANOSECONDS
"""Over which the rate is taken at which the disk fills up."""

SOON_NS = 10 * NANOSECONDS
"""Before that, the rate is what the profile asks for: the first seconds of a recording are no measure."""

INDEX_BYTES_PER_S = 3000
"""What a second of recording adds to the index of the closed file: 60 pictures and 47 blocks of sound, at most."""

CLOSING_BYTES = 4_000_000
"""For the description of the package, and the seconds between the decision to leave and the last write."""

AGAIN = 1.2
"""How many times the time of a warning must be left until it is worth a second one."""


class Level(IntEnum):
    """How urgent it is."""

    ENOUGH = 0
    LOW = 1
    CRITICAL = 2
    OVER = 3


class Forecast:
    """Fed with looks at one disk while one file grows on it."""

    def __init__(self, settings: StorageSettings, keep_free: int, bytes_per_s: float) -> None:
        """`keep_free` bytes stay free, beside those that closing takes; `bytes_per_s` is the expected rate."""
        self._settings = settings
        self._keep_free = keep_free
        self._expected = bytes_per_s
        self._looks: deque[tuple[int, int, int]] = deque()  # when, bytes free, bytes written
        self.left_s: float | None = None
        self.level = Level.ENOUGH

    def update(self, now_ns: int, free: int, written: int, media_s: float, planned_s: float | None) -> Level | None:
        """Take a look at the disk; return the level when it has become more urgent, and when an alarm is over."""
        self._looks.append((now_ns, free, written))
        while self._looks[0][0] < now_ns - WINDOW_NS:
            self._looks.popleft()
        room = free - self._keep_free - CLOSING_BYTES - round(media_s * INDEX_BYTES_PER_S)
        self.left_s = max(0.0, room / self._rate())
        level = self._level(room, planned_s, 1.0)
        if level > self.level:
            self.level = level
            return level
        before, self.level = self.level, max(level, min(self.level, self._level(room, planned_s, AGAIN)))
        return self.level if self.level < Level.CRITICAL <= before else None

    def _rate(self) -> float:
        (began_ns, had_free, had_written), (at_ns, free, written) = self._looks[0], self._looks[-1]
        if at_ns - began_ns < SOON_NS:
            return self._expected
        seconds = (at_ns - began_ns) / NANOSECONDS
        return max(1.0, (written - had_written) / seconds, (had_free - free) / seconds)

    def _level(self, room: int, planned_s: float | None, factor: float) -> Level:
        left_s = self.left_s or 0.0
        if room <= 0:
            return Level.OVER
        if planned_s is not None and left_s >= planned_s * factor:
            return Level.ENOUGH
        if left_s < self._settings.critical_s * factor:
            return Level.CRITICAL
        if planned_s is not None or left_s < self._settings.low_s * factor:
            return Level.LOW
        return Level.ENOUGH
