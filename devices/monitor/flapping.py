"""Devices that come and go: a loose cable, a bad port, too little power.

From the third unplugging within a minute on, a device flaps, until nothing has happened to it for a minute.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from devices.health.faults import FLAPPING_WINDOW_S
from devices.host.clock import NANOSECONDS, Clock

MOST = 3
_WINDOW_NS = FLAPPING_WINDOW_S * NANOSECONDS


@dataclass(slots=True)
class Episode:
    """A time of flapping: since when, when the last thing happened, how often it was unplugged."""

    key: str
    name: str
    since: datetime
    began_ns: int
    last_ns: int
    told_ns: int
    unplugs: int

    @property
    def lasted_s(self) -> float:
        """Seconds from the first to the last unplugging or plugging in."""
        return (self.last_ns - self.began_ns) / NANOSECONDS


class Flapping:
    """Counts unpluggings by a device's id (or a hub's port)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._recent: dict[str, deque[int]] = {}
        self._episodes: dict[str, Episode] = {}

    def unplugged(self, key: str, name: str, times: int = 1) -> Episode | None:
        """Count unpluggings; return the episode if it should be told now: it begins, or has gone on for a minute."""
        now_ns = self._clock.now_ns()
        episode = self._episodes.get(key)
        if episode:
            episode.unplugs += times
            episode.last_ns = now_ns
            if now_ns - episode.told_ns < _WINDOW_NS:
                return None
            episode.told_ns = now_ns
            return episode
        recent = self._recent.setdefault(key, deque())
        recent.extend([now_ns] * min(times, 1000))
        while recent[0] <= now_ns - _WINDOW_NS:
            recent.popleft()
        if len(recent) < MOST:
            return None
        del self._recent[key]
        began = Episode(key, name, self._clock.now(), recent[0], now_ns, now_ns, len(recent))
        self._episodes[key] = began
        return began

    def plugged(self, key: str) -> None:
        """Say that it came: it is not calm yet."""
        if key in self._episodes:
            self._episodes[key].last_ns = self._clock.now_ns()

    def episode(self, key: str) -> Episode | None:
        """Return the episode that a device is in, if it flaps."""
        return self._episodes.get(key)

    def calmed(self) -> list[Episode]:
        """Return the episodes that are over, once each; what is long past is forgotten."""
        before_ns = self._clock.now_ns() - _WINDOW_NS
        over = [episode for episode in self._episodes.values() if episode.last_ns <= before_ns]
        for episode in over:
            del self._episodes[episode.key]
        self._recent = {key: recent for key, recent in self._recent.items() if recent[-1] > before_ns}
        return over

    def due_ns(self) -> int | None:
        """Return when the next episode may be over, on the session clock."""
        return min((episode.last_ns + _WINDOW_NS for episode in self._episodes.values()), default=None)
