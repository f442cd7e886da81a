"""How long each picture of x264's lasts in decoding order, which it knows and does not say.

FFmpeg's MP4 muxer ends a fragment before it has seen what comes next, and believes a packet's duration until then. If
that was a guess, it moves the next picture to where the guess ends, by as much as a whole picture where pictures come
unevenly. x264 gives each packet the time of a picture that went in as its decoding time, in their order; those before
the first are as far before it as the delay of its B-frames. So the decoding time of the next packet is known.
"""

from bisect import bisect_right


class DecodingSteps:
    """Follows one encoder: what goes in, and what comes out; all times in the same units."""

    def __init__(self) -> None:
        self._times: list[int] = []  # decoding times that are still to come, growing
        self._first: int | None = None
        self._ahead: int | None = None  # how far decoding runs ahead of what is shown, at the start

    def given(self, pts: int) -> None:
        """Take note of a picture that goes in; `pts` grows."""
        if self._first is None:
            self._first = pts
        self._times.append(pts)
        if self._ahead is not None and (early := pts - self._ahead) < self._first:
            self._insert(early)

    def after(self, dts: int) -> int | None:
        """Return how long it is from `dts`, of a packet that has come out, to the next one's; None if unknown."""
        if self._first is None:
            return None
        if self._ahead is None:
            self._ahead = self._first - dts
            for pts in list(self._times):
                if self._ahead and (early := pts - self._ahead) < self._first:
                    self._insert(early)
        position = bisect_right(self._times, dts)
        del self._times[:position]
        return self._times[0] - dts if self._times else None

    def _insert(self, dts: int) -> None:
        position = bisect_right(self._times, dts)
        self._times.insert(position, dts)
