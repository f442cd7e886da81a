"""Pictures for people who look, taken from the threads that have them: the newest of each source, small, or none."""

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import av

from capture.preview import Shrinker
from devices.host.clock import NANOSECONDS, Clock


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of one source: one picture in `every_s` seconds, `width` pixels wide."""

    every_s: float
    width: int


@dataclass(frozen=True, slots=True)
class Small:
    """A small picture, and its number: another number is another picture."""

    number: int
    picture: av.VideoFrame


class Previews:
    """Takes pictures while somebody wishes for them. `offer` is called by one thread for each name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wishes: Mapping[str, Wish] = {}
        self._newest: dict[str, Small] = {}
        self._due_ns: dict[str, int] = {}
        self._shrinkers: dict[str, Shrinker] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._on_picture: Callable[[], None] | None = None

    def offer(self, name: str, picture: av.VideoFrame) -> bool:
        """Take a copy of `picture` if somebody looks and it is time, and return whether; never waits, never raises."""
        wish = self._wishes.get(name)
        if wish is None:
            return False
        now_ns, due_ns = self._clock.now_ns(), self._due_ns.get(name, 0)
        if now_ns < due_ns:
            return False
        # From when it was due, not from when it came: else each would be late by a picture's time.
        self._due_ns[name] = max(due_ns + round(wish.every_s * NANOSECONDS), now_ns)
        try:
            small = self._shrinkers.setdefault(name, Shrinker()).shrink(picture, wish.width)
        except Exception:
            traceback.print_exc()  # a preview is worth no recording
            return False
        with self._lock:
            self._number += 1
            self._newest[name] = Small(self._number, small)
        if self._on_picture:
            self._on_picture()
        return True

    # For whoever shows them

    def listen(self, on_picture: Callable[[], None] | None) -> None:
        """Call `on_picture` whenever there is another picture; it must return at once."""
        self._on_picture = on_picture

    def wish(self, wishes: Mapping[str, Wish]) -> None:
        """Say what is wanted from now on; of what is wanted no more nothing is kept."""
        self._wishes = dict(wishes)
        with self._lock:
            for name in self._newest.keys() - wishes.keys():
                del self._newest[name]

    def newest(self, name: str) -> Small | None:
        """Return the newest picture of a source, None if none has come yet."""
        with self._lock:
            return self._newest.get(name)
