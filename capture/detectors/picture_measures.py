"""Measures frames: black, no-signal slates, standstill, exposure and blur; checks a source by them before a session.

Frames are compared ten times a second on a small copy of single samples: means would hide sensor noise, which tells a
live picture from a still one.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from capture.detectors.source_health import FaultHysteresis
from capture.media.pictures import Plane, plane_views
from devices.health.faults import Fault, HealthTracker
from devices.host.clock import NANOSECONDS

_BARS = (8, 7)
_TOP = 0.6  # share of the height that bars must fill: SMPTE bars have others below
_CORE = 0.25  # half width of the part of a bar that is judged, as a share of the bar: edges are blurred
_FLAT = 10  # levels between the darkest and brightest sample of a plain area, at most
_STEP = 5  # levels that a bar is darker than the one before, at least
_BLUE_U, _BLUE_V, _BLUE_Y = 190, (90, 128), 90
_EMPTY = 4


class SignalSlate(StrEnum):
    """A picture that capture devices show without a signal."""

    BARS = "bars"
    BLUE = "blue"
    EMPTY = "green"


def signal_slate(y: Plane, u: Plane, v: Plane) -> SignalSlate | None:
    """Return the slate that a limited-range frame shows, None for a picture; planes of 64 columns or more."""
    if _is_plain(y):
        luma, blueness, redness = (float(cv2.mean(plane)[0]) for plane in (y, u, v))
        if not (_is_plain(u) and _is_plain(v)):
            return None
        if max(luma, blueness, redness) <= _EMPTY:
            return SignalSlate.EMPTY
        is_blue = blueness >= _BLUE_U and _BLUE_V[0] <= redness <= _BLUE_V[1] and luma <= _BLUE_Y
        return SignalSlate.BLUE if is_blue else None
    return SignalSlate.BARS if any(_has_bars(y, count) for count in _BARS) else None


def _is_plain(plane: Plane) -> bool:
    darkest, brightest, *_ = cv2.minMaxLoc(plane)
    return brightest - darkest <= _FLAT


def _has_bars(y: Plane, count: int) -> bool:
    rows, columns = y.shape
    width = columns / count
    levels = []
    for bar in range(count):
        middle = (bar + 0.5) * width
        core = y[: round(rows * _TOP), round(middle - _CORE * width) : round(middle + _CORE * width) + 1]
        if not _is_plain(core):
            return False
        levels.append(float(np.mean(core)))
    return all(before - after >= _STEP for before, after in pairwise(levels))


INTERVAL_S = 0.1
WIDTH, HEIGHT = 320, 180  # size of the copy of luma; chroma is half of it

BLACK_MEAN, BRIGHT = 30, 56  # limited-range luma: the highest mean of a black frame, and the level of a bright sample
_BRIGHT_SHARE = 0.001
_BRIGHT_SHARE_OF_ALL = 0.0002
"""Shares of bright samples in a black frame, for the copy and for the whole frame. The whole frame decides: it shows a
clock on a black slide, and ignores a few hot pixels.
"""

STILL_LEVELS, STILL_SHARE = 2, 0.002
"""In a still frame no sample differs by more levels, and no larger share of samples differs at all."""

SLATE_AFTER_S = {SignalSlate.BARS: 3.0, SignalSlate.BLUE: 5.0, SignalSlate.EMPTY: 2.0}
"""How long a slate must stand still."""
_LOOKS_FOR_SLATE_S = 1.0

_SLATE_WORDS = {
    SignalSlate.BARS: "a test picture of bars",
    SignalSlate.BLUE: "plain blue, as sticks do without a signal",
    SignalSlate.EMPTY: "plain green, an empty picture",
}


class PictureDetector:
    """Judges the frames of one source; used by the decoding thread, attributes are readable from any.

    `looked_at` counts the judged frames; `luma` is the mean of the last, 16 to 235. The picture is exactly the same
    since `same_since_ns`, nearly since `still_since_ns`; the last frame was judged at `seen_ns`. `is_explained`: black
    or a slate, which may stand still.
    """

    def __init__(self, tracker: HealthTracker, black_s: float) -> None:
        self.looked_at = 0
        self.luma = 0.0
        self.same_since_ns = 0
        self.still_since_ns = 0
        self.seen_ns: int | None = None
        self.is_explained = False
        self._name = tracker.name
        self._black_s = black_s
        self._due_ns = 0
        self._y, self._anchor, self._difference = (np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(3))
        self._u, self._v = (np.zeros((HEIGHT // 2, WIDTH // 2), np.uint8) for _ in range(2))
        self._size = 0, 0
        self._black_since_ns: int | None = None
        self._slate: SignalSlate | None = None
        self._has_looked_for_slate = False
        self._black = FaultHysteresis(tracker, Fault.BLACK)
        self._no_signal = FaultHysteresis(tracker, Fault.NO_SIGNAL)

    def see(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Judge a limited-range yuv420p frame of any size captured at `at_ns`, at most every 0.1 s."""
        if self.seen_ns is not None and self.seen_ns <= at_ns < self._due_ns:
            return
        # 5 % early, so that jitter costs no frame of a camera at 10 or 30 fps.
        self._due_ns = at_ns + round(INTERVAL_S * 0.95 * NANOSECONDS)
        self.looked_at += 1
        planes = plane_views(picture)
        cv2.resize(planes[0], (WIDTH, HEIGHT), self._y, interpolation=cv2.INTER_NEAREST)
        self.luma = float(cv2.mean(self._y)[0])
        if (picture.width, picture.height) == self._size:
            self._judge_stillness(at_ns)
        else:
            self._restart(picture, at_ns)
        self._judge_black(planes[0], at_ns)
        self._judge_slate(planes, at_ns)
        self.is_explained = self._black_since_ns is not None or self._slate is not None
        self.seen_ns = at_ns

    def _judge_stillness(self, at_ns: int) -> None:
        """Compare with the frame in which the standstill began, not the previous one: slow changes add up."""
        cv2.absdiff(self._y, self._anchor, self._difference)
        is_same, is_still = _stillness(self._difference)
        if not is_same:
            self.same_since_ns = at_ns
        if not is_still:
            np.copyto(self._anchor, self._y)
            self.still_since_ns = at_ns
            self._slate, self._has_looked_for_slate = None, False

    def _restart(self, picture: av.VideoFrame, at_ns: int) -> None:
        """Take the first frame of a new size as the previous one: scaling alone changes every sample."""
        self._size = picture.width, picture.height
        np.copyto(self._anchor, self._y)
        if self.seen_ns is None:
            self.same_since_ns = self.still_since_ns = at_ns

    def _judge_black(self, luma: Plane, at_ns: int) -> None:
        if self.luma > BLACK_MEAN or _share_of_bright(self._y) > _BRIGHT_SHARE:
            self._is_not_black(at_ns)
            return
        if self._black_since_ns is None:
            self._black_since_ns = at_ns
        black_for_s = (at_ns - self._black_since_ns) / NANOSECONDS
        if self._black.is_on or black_for_s < self._black_s:
            self._black.unsure()
        elif _share_of_bright(luma) > _BRIGHT_SHARE_OF_ALL:
            self._is_not_black(at_ns)
        else:
            self._black.bad(
                f"{self._name} has sent black frames for {black_for_s:.0f} s: check the lens cap, the privacy"
                " shutter or the light; for a capture card, whether the computer sends a picture",
                began_ns=self._black_since_ns,
                luma=round(self.luma, 1),
            )

    def _is_not_black(self, at_ns: int) -> None:
        self._black_since_ns = None
        self._black.good(at_ns)

    def _judge_slate(self, planes: tuple[Plane, ...], at_ns: int) -> None:
        still_s = (at_ns - self.still_since_ns) / NANOSECONDS
        if still_s >= _LOOKS_FOR_SLATE_S and not self._has_looked_for_slate:
            self._has_looked_for_slate = True
            for plane, copy in ((planes[1], self._u), (planes[2], self._v)):
                cv2.resize(plane, (WIDTH // 2, HEIGHT // 2), copy, interpolation=cv2.INTER_NEAREST)
            # The copy may miss small letters on a plain picture: judge the whole frame.
            found = signal_slate(self._y, self._u, self._v)
            self._slate = found if found in {None, SignalSlate.BARS} else signal_slate(*planes)
        if self._slate is None:
            self._no_signal.good(at_ns)
        elif still_s >= SLATE_AFTER_S[self._slate]:
            self._no_signal.bad(
                f"{self._name} shows {_SLATE_WORDS[self._slate]}: it seems to get no signal. Check the HDMI cable"
                " at both ends and the computer's display settings",
                began_ns=self.still_since_ns,
                slate=self._slate,
            )
        else:
            self._no_signal.unsure()


def _stillness(difference: Plane) -> tuple[bool, bool]:
    """Return whether two frames are the same, and whether nearly, by the difference of their luma."""
    changed = cv2.countNonZero(difference)
    is_still = changed <= STILL_SHARE * difference.size and cv2.minMaxLoc(difference)[1] <= STILL_LEVELS
    return not changed, is_still


def is_black(luma: Plane) -> bool:
    """Return whether a whole frame is black, by its limited-range luma."""
    return float(cv2.mean(luma)[0]) <= BLACK_MEAN and _share_of_bright(luma) <= _BRIGHT_SHARE_OF_ALL


def _share_of_bright(luma: Plane) -> float:
    return float(np.count_nonzero(luma > BRIGHT)) / luma.size


PICTURE_CHECK_SIZE = (1280, 720)  # frames of this size are large enough
SETTLES_S = 0.7  # cameras find their exposure in this time; frames in it count only if there are no others
BURNT = 232  # limited-range luma (235 is white) from which all detail is lost

_BLUR_WIDTH = 640  # width at which sharpness is judged: blur at this width shows on every screen
_BLUR_KERNEL = 9  # size of the second blur, in pixels
_NOISE_LEVELS = 2  # levels between neighbours that are no detail: residual sensor noise, or the shading of a wall
_MIN_DETAIL = 0.05  # mean detail in levels, at least: a bare wall has less, and is never sharp
_LIGHT_PERCENTILE = 95


@dataclass(frozen=True, slots=True)
class PictureCheckResult:
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
    slate: SignalSlate | None
    is_same: bool


class PictureCheck:
    """Checks the frames of a source for two seconds before a session, by PictureDetector's rules; for one thread."""

    def __init__(self) -> None:
        self._measures: list[tuple[int, float, float, float, bool]] = []
        """Per frame: capture time, luma, light luma, burnt share, and whether it is black."""
        self._first = self._copy = np.zeros((HEIGHT, WIDTH), np.uint8)
        self._is_same = self._is_still = True
        self._slate: SignalSlate | None = None
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
        is_same, is_still = _stillness(np.asarray(cv2.absdiff(copy, self._first), np.uint8))
        self._is_same, self._is_still = self._is_same and is_same, self._is_still and is_still
        self._add(luma, has_settled=at_ns >= self._settles_ns)
        self._slate = signal_slate(*planes) if self._is_still else None
        light_luma = float(np.percentile(copy, _LIGHT_PERCENTILE))
        burnt = float(np.count_nonzero(copy >= BURNT)) / copy.size
        self._measures.append((at_ns, float(cv2.mean(luma)[0]), light_luma, burnt, is_black(luma)))

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

    def seen(self) -> PictureCheckResult | None:
        """Return the verdict, None without a frame."""
        if self._shown is None or self._settles_ns is None:
            return None
        looks = [look for look in self._measures if look[0] >= self._settles_ns] or self._measures
        _, lumas, light_lumas, burnt, are_black = zip(*looks, strict=True)
        return PictureCheckResult(
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
    if columns <= _BLUR_WIDTH:
        return luma
    size = _BLUR_WIDTH, rows * _BLUR_WIDTH // columns
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def blur(shown: NDArray[np.float32]) -> float | None:
    """Return the blur of a frame, 0 to 1: the share of its detail that a second blur keeps; None without detail.

    The measure of Crete et al. ("The blur effect", 2007) depends on neither content nor contrast.
    """
    amounts = []
    for axis, kernel in ((1, (_BLUR_KERNEL, 1)), (0, (1, _BLUR_KERNEL))):
        detail = _detail(shown, axis)
        whole = float(detail.sum())
        if whole >= _MIN_DETAIL * detail.size:
            kept = _detail(np.asarray(cv2.blur(shown, kernel), np.float32), axis)
            amounts.append(1 - float(np.maximum(0, detail - kept).sum()) / whole)
    return max(amounts) if amounts else None


def _detail(shown: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    return np.asarray(np.maximum(0, np.abs(np.diff(shown, axis=axis)) - _NOISE_LEVELS), np.float32)
