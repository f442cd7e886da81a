"""Whether what an encoder in hardware gives can be a stream of what it was given: looked at, not decoded."""

from collections import deque

from capture.h264 import IDR, SLICE, is_stream, kind_of, parameter_sets, units
from recorder.hardware.kinds import Wanted
from recorder.hardware.messages import Coded
from recorder.x264 import VIDEO_TIME_BASE

OVER_S = 2.0
MOST_TIMES = 3
"""The most bits in OVER_S: so many times what is asked for. Hardware keeps to it less closely than x264 does."""


class Sanity:
    """Follows one encoder; pictures come out in the order in which they went in, for none may be a B-frame."""

    def __init__(self, wanted: Wanted, header: bytes) -> None:
        self._header = parameter_sets(header)
        self._picture_bytes = wanted.picture_bytes
        self._most_bytes = MOST_TIMES * wanted.max_rate * OVER_S / 8
        self._given: deque[tuple[int, bool]] = deque()
        self._last_dts: int | None = None
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_bytes = 0

    def given(self, pts: int, *, is_key: bool) -> None:
        """Take note of a picture that goes in, and whether a keyframe was asked for."""
        self._given.append((pts, is_key))

    def problem(self, coded: Coded) -> str | None:
        """Take note of the next one that comes out; return what is wrong with it, if anything is."""
        if not self._given:
            return "a picture more than it was given"
        (pts, is_key), data = self._given.popleft(), coded.data
        kinds = {kind_of(unit) for unit in units(data)}
        sets = parameter_sets(data)
        last_dts, self._last_dts = self._last_dts, coded.dts
        faults = {
            f"a picture of {len(data)} bytes": len(data) >= self._picture_bytes or not is_stream(data),
            "no picture in what it gives": not kinds & {SLICE, IDR},
            "a picture is missing, or out of its order": coded.pts != pts,
            "times that cannot be": coded.dts > coded.pts or (last_dts is not None and coded.dts <= last_dts),
            "no keyframe where one was asked for": is_key and IDR not in kinds,
            "other parameter sets than at first": bool(sets) and sets != self._header,
            "far more bits than were asked for": self._has_too_many(pts, len(data)),
        }
        return next((fault for fault, is_so in faults.items() if is_so), None)

    def _has_too_many(self, pts: int, count: int) -> bool:
        self._recent.append((pts, count))
        self._recent_bytes += count
        while self._recent[0][0] <= pts - OVER_S / VIDEO_TIME_BASE:
            self._recent_bytes -= self._recent.popleft()[1]
        return self._recent_bytes > self._most_bytes
