"""Frames of a session for its previews and its live encode."""

from collections.abc import Callable

import av

from devices.host.clock import NANOSECONDS, Clock
from recorder.program.scene import OfferPreview

PREVIEW_EVERY_S = 1.0
LOOKED_S = 2.0  # a frame wanted within this time means a viewer

type OfferLiveFrame = Callable[[av.VideoFrame, int], object]  # takes a program frame and its pts; True if wanted
type SimplifyLive = Callable[[str, int], object]  # takes x264 parameters, and n where it gets one frame of n


class FrameFanout:
    """Passes frames to previews and the live encode; for the video thread."""

    def __init__(self, offer: OfferPreview, also: OfferLiveFrame, clock: Clock, simplify: SimplifyLive) -> None:
        self.thins_previews = False
        self.thins_encode = False
        self._offer = offer
        self._also = also
        self.simplify = simplify
        self._clock = clock
        self._due_ns: dict[str, int] = {}
        self._is_next_out = False
        self._wanted_ns: int | None = None

    @property
    def are_watching(self) -> bool:
        """Whether anybody watches a preview or the live encode."""
        wanted_ns = self._wanted_ns
        return wanted_ns is not None and self._clock.now_ns() - wanted_ns <= LOOKED_S * NANOSECONDS

    def offer(self, name: str, picture: av.VideoFrame) -> None:
        if self.thins_previews:
            now_ns = self._clock.now_ns()
            if now_ns < self._due_ns.get(name, 0):
                return
        if self._offer(name, picture):
            self._wanted_ns = now_ns = self._clock.now_ns()
            self._due_ns[name] = now_ns + round(PREVIEW_EVERY_S * NANOSECONDS)

    def offer_live(self, picture: av.VideoFrame, pts: int) -> None:
        """Pass on a program frame, shown from `pts` on."""
        self._is_next_out = self.thins_encode and not self._is_next_out
        if not self._is_next_out and self._also(picture, pts):
            self._wanted_ns = self._clock.now_ns()
