"""Checks the frames of a source for two seconds before a session, by the rules of the session's detectors."""

from dataclasses import dataclass
from statistics import median

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from capture.detectors.picture_figures import HEIGHT, STILL_LEVELS, STILL_SHARE, WIDTH, Slate, is_black, slate
from capture.media.pictures import Plane, plane_views
from devices.host.clock import NANOSECONDS

WITHIN = (1280, 720)  # frames of this size are large enough
SETTLES_S = 0.7  # cameras find their exposure in this time; frames in it count only if there are no others
BURNT = 232  # limited-range luma (235 is white) from which all detail is lost

_ACROSS = 640  # width at which sharpness is judged: blur at this width shows on every screen
_KERNEL = 9  # size of the second blur, in pixels
_NOISE = 2  # levels between neighbours that are no detail: residual sensor noise, or the shading of a wall
_LEAST_DETAIL = 0.05  # mean detail in levels, at least: a bare wall has less, and is never sharp
_LIGHT_PERCENTILE = 95


@dataclass(frozen=True, slots=True)
class Seen:
    """The verdict on `pictures` frames; luma is limited-range, 16 to 235.

    `light_luma` is the 95th percentile; `burnt` is the white share. `blur` is 0 where every pixel differs, 1 without an
    edge, None with too little detail. `is_same`: all frames are equal to the last bit.
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
    """Checks the frames of one source; used by one thread."""

    def __init__(self) -> None:
        self._measures: list[tuple[int, float, float, float, bool]] = []
        """Per frame: capture time, luma, light luma, burnt share, and whether it is black."""
        self._first = self._copy = np.zeros((HEIGHT, WIDTH), np.uint8)
        self._is_same = self._is_still = True
        self._slate: Slate | None = None
        self._settles_ns: int | None = None
        self._shown: NDArray[np.float32] | None = None
        self._added = 0
        self._has_settled = False

    def see(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Take a limited-range yuv420p frame captured at `at_ns`."""
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
        self._measures.append((at_ns, float(cv2.mean(luma)[0]), light_luma, burnt, is_black(luma)))

    def _compare(self, copy: Plane) -> None:
        """Compare with the first frame, as PictureWatch does."""
        difference = cv2.absdiff(copy, self._first)
        changed = cv2.countNonZero(difference)
        self._is_same = self._is_same and not changed
        is_little = changed <= STILL_SHARE * copy.size and cv2.minMaxLoc(difference)[1] <= STILL_LEVELS
        self._is_still = self._is_still and is_little

    def _add(self, luma: Plane, *, has_settled: bool) -> None:
        """Add a frame to the mean: sensor noise looks like detail, and averages out."""
        if has_settled and not self._has_settled:
            self._has_settled, self._shown = True, None
        small = _small(luma).astype(np.float32)
        if self._shown is None or self._shown.shape != small.shape:
            self._shown, self._added = small, 1
            return
        self._added += 1
        self._shown += (small - self._shown) / self._added

    def seen(self) -> Seen | None:
        """Return the verdict, None without a frame."""
        if self._shown is None or self._settles_ns is None:
            return None
        looks = [look for look in self._measures if look[0] >= self._settles_ns] or self._measures
        _, lumas, light_lumas, burnt, are_black = zip(*looks, strict=True)
        return Seen(
            pictures=len(self._measures),
            luma=median(lumas),
            light_luma=median(light_lumas),
            burnt=median(burnt),
            blur=blur(self._shown),
            is_black=all(are_black),
            slate=self._slate,
            is_same=self._is_same and len(self._measures) > 1,
        )


def _small(luma: Plane) -> Plane:
    rows, columns = luma.shape
    if columns <= _ACROSS:
        return luma
    size = _ACROSS, rows * _ACROSS // columns
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def blur(shown: NDArray[np.float32]) -> float | None:
    """Return the blur of a frame, 0 to 1: the share of its detail that a second blur keeps; None without detail.

    The measure of Crete et al. ("The blur effect", 2007) depends on neither content nor contrast.
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
    return np.asarray(np.maximum(0, np.abs(np.diff(shown, axis=axis)) - _NOISE), np.float32)
