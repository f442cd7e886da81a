"""The verdict on a source of pictures after two seconds, before a session, by the rules of the session's watch."""

from dataclasses import dataclass
from statistics import median

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from capture.detectors.picture_figures import HEIGHT, STILL_LEVELS, STILL_SHARE, WIDTH, Slate, is_black, slate
from capture.media.pictures import Plane, plane_views
from devices.host.clock import NANOSECONDS

WITHIN = (1280, 720)
"""Pictures of at most this size are enough."""
SETTLES_S = 0.7
"""In their first moments cameras find their exposure: these pictures count only where there are no others."""
BURNT = 232
"""Limited-range luma (235 is white) from which on nothing is to be seen any more."""

_ACROSS = 640
"""Width in which sharpness is judged: what is blurred there is blurred on every screen."""
_KERNEL = 9
"""Pixels over which a picture is blurred once more, to see what that changes."""
_NOISE = 2
"""Levels between neighbouring pixels that are not detail: what is left of a sensor's noise, or a wall's own shade."""
_LEAST_DETAIL = 0.05
"""Levels more than that, on the average: a wall without anything on it has less, and is never sharp."""
_LIGHT_PERCENTILE = 95


@dataclass(frozen=True, slots=True)
class Seen:
    """The verdict on `pictures` pictures; luma is limited-range, 16 to 235.

    All but the twentieth part of a picture is below `light_luma`; `burnt` is the part that is white. `blur` is 0 where
    every pixel is another, 1 without an edge, None where there is too little to judge. `is_same`: equal to the last
    bit.
    """

    pictures: int
    luma: float
    light_luma: float
    burnt: float
    blur: float | None
    is_black: bool
    slate: Slate | None
    is_same: bool


class Glance:
    """Takes pictures of one source and says what was seen; used by one thread."""

    def __init__(self) -> None:
        self._looks: list[tuple[int, float, float, float, bool]] = []
        """Of each picture its capture time, luma, light luma, the share that is burnt, and whether it is black."""
        self._first = self._copy = np.zeros((HEIGHT, WIDTH), np.uint8)
        self._is_same = self._is_still = True
        self._slate: Slate | None = None
        self._settles_ns: int | None = None
        self._shown: NDArray[np.float32] | None = None
        self._added = 0
        self._has_settled = False

    def see(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Look at a limited-range yuv420p picture captured at `at_ns`."""
        planes = plane_views(picture)
        luma = planes[0]
        copy = np.asarray(cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), np.uint8)
        if self._settles_ns is None:
            self._first, self._settles_ns = copy, at_ns + round(SETTLES_S * NANOSECONDS)
        self._compare(copy)
        self._add(luma, has_settled=at_ns >= self._settles_ns)
        self._slate = slate(*planes) if self._is_still else None
        light_luma = float(np.percentile(copy, _LIGHT_PERCENTILE))
        burnt = float(np.count_nonzero(copy >= BURNT)) / copy.size
        self._looks.append((at_ns, float(cv2.mean(luma)[0]), light_luma, burnt, is_black(luma)))

    def _compare(self, copy: Plane) -> None:
        """Compare with the first picture, as the watch over what pictures show does."""
        difference = cv2.absdiff(copy, self._first)
        changed = cv2.countNonZero(difference)
        self._is_same = self._is_same and not changed
        is_little = changed <= STILL_SHARE * copy.size and cv2.minMaxLoc(difference)[1] <= STILL_LEVELS
        self._is_still = self._is_still and is_little

    def _add(self, luma: Plane, *, has_settled: bool) -> None:
        """Add a picture to the mean of them: a sensor's noise, which looks like detail, is not in that."""
        if has_settled and not self._has_settled:
            self._has_settled, self._shown = True, None
        small = _small(luma).astype(np.float32)
        if self._shown is None or self._shown.shape != small.shape:
            self._shown, self._added = small, 1
            return
        self._added += 1
        self._shown += (small - self._shown) / self._added

    def seen(self) -> Seen | None:
        """Return what was seen, None if nothing was."""
        if self._shown is None or self._settles_ns is None:
            return None
        looks = [look for look in self._looks if look[0] >= self._settles_ns] or self._looks
        _, lumas, light_lumas, burnt, are_black = zip(*looks, strict=True)
        return Seen(
            pictures=len(self._looks),
            luma=median(lumas),
            light_luma=median(light_lumas),
            burnt=median(burnt),
            blur=blur(self._shown),
            is_black=all(are_black),
            slate=self._slate,
            is_same=self._is_same and len(self._looks) > 1,
        )


def _small(luma: Plane) -> Plane:
    """Return luma at most _ACROSS wide."""
    rows, columns = luma.shape
    if columns <= _ACROSS:
        return luma
    size = _ACROSS, rows * _ACROSS // columns
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def blur(shown: NDArray[np.float32]) -> float | None:
    """Return how blurred a picture is, 0 to 1: how little of its detail blurring it once more takes away.

    The measure of Crete and others ("The blur effect", 2007) depends on neither content nor contrast. None where there
    is hardly any detail.
    """
    amounts = []
    for axis, kernel in ((1, (_KERNEL, 1)), (0, (1, _KERNEL))):
        detail = _detail(shown, axis)
        whole = float(detail.sum())
        if whole >= _LEAST_DETAIL * detail.size:
            kept = _detail(np.asarray(cv2.blur(shown, kernel), np.float32), axis)
            amounts.append(1 - float(np.maximum(0, detail - kept).sum()) / whole)
    return max(amounts) if amounts else None


def _detail(shown: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return by how much neighbours differ, what is not detail left out."""
    return np.asarray(np.maximum(0, np.abs(np.diff(shown, axis=axis)) - _NOISE), np.float32)
