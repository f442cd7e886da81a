"""Pictures for those who look beside the recording, previews and the live side's own encode: fewer, where asked."""

from collections.abc import Callable

import av

from devices.host.clock import NANOSECONDS, Clock
from recorder.scene import Offer

PREVIEW_EVERY_S = 1.0
LOOKED_S = 2.0
"""So long after a picture was wanted somebody looks."""

type Also = Callable[[av.VideoFrame, int], object]
"""Takes the program's picture and its time for a second encode; returns at once, True if it was wanted."""
type Simplify = Callable[[str, int], object]
"""Has the second encode look for less: x264 parameters, and of how many pictures of the session it is given one."""


class Viewers:
    """Hands pictures on; used by the picture's thread."""

    def __init__(
        self, offer: Offer | None, also: Also | None, clock: Clock, simplify: Simplify = lambda *_: None
    ) -> None:
        self.thins_previews = False
        """Whether each preview gets at most one picture in PREVIEW_EVERY_S."""
        self.thins_encode = False
        """Whether the second encode gets every second picture only."""
        self._offer = offer
        self._also = also
        self.simplify = simplify
        self._clock = clock
        self._due_ns: dict[str, int] = {}
        self._is_next_out = False
        self._wanted_ns: int | None = None

    @property
    def are_there(self) -> bool:
        """Whether anybody looks, or watches the live side's own encode."""
        wanted_ns = self._wanted_ns
        return wanted_ns is not None and self._clock.now_ns() - wanted_ns <= LOOKED_S * NANOSECONDS

    def offer(self, name: str, picture: av.VideoFrame) -> None:
        """Hand on a picture of the input called `name`."""
        if self._offer is None:
            return
        if self.thins_previews:
            now_ns = self._clock.now_ns()
            if now_ns < self._due_ns.get(name, 0):
                return
        if self._offer(name, picture):
            self._wanted_ns = now_ns = self._clock.now_ns()
            self._due_ns[name] = now_ns + round(PREVIEW_EVERY_S * NANOSECONDS)

    def also(self, picture: av.VideoFrame, pts: int) -> None:
        """Hand on a picture of the program, which is shown from `pts` on."""
        if self._also is None:
            return
        self._is_next_out = self.thins_encode and not self._is_next_out
        if not self._is_next_out and self._also(picture, pts):
            self._wanted_ns = self._clock.now_ns()
