"""Pictures as planes: pooled yuv420p frames, planes written straight into them, and the sizes pictures are fitted to.

Everything inside Liput is limited-range yuv420p. Whoever has samples of another range or chroma layout hands
its planes to `store`, which converts them on their way into a frame, without a copy in between. cv2 does the
arithmetic on the planes of the frame itself and lets go of the GIL.
"""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from capture.source import Matrix

type Plane = NDArray[np.uint8]
"""One plane of samples, shape (rows, columns); rows may be padded."""

# One picture at a time is little work: a pool of threads that spin between calls costs more than it gives,
# and the encoder wants the cores.
cv2.setNumThreads(1)

# Full range (0-255) to limited range: luma to 16-235, chroma to 16-240 around 128.
_LUMA_SCALE, _LUMA_OFFSET = 219 / 255, 16.0
_CHROMA_SCALE = 224 / 255
_CHROMA_OFFSET = 128 * (1 - _CHROMA_SCALE)
_NEUTRAL = 128


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of a decoded picture, chroma of any subsampling, or none at all (gray)."""

    y: Plane
    u: Plane | None
    v: Plane | None
    full_range: bool


def fit(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """Return the largest even size of the shape `width` x `height` that fits the limits; never larger than it is.

    An answer given back as the limits yields itself.
    """
    max_width = max(2, min(width, max_width) & ~1)
    max_height = max(2, min(height, max_height) & ~1)
    by_width = _nearest_even(max_width * height / width)
    if by_width <= max_height:
        return max_width, by_width
    return min(max_width, _nearest_even(max_height * width / height)), max_height


def _nearest_even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def plane_views(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Return the planes of a planar 8-bit frame as arrays that share its memory, without the padding of the rows."""
    chroma = frame.format.chroma_width(frame.width), frame.format.chroma_height(frame.height)
    sizes = [(frame.width, frame.height), chroma, chroma]
    views = []
    for plane, (width, height) in zip(frame.planes, sizes, strict=False):
        samples = np.frombuffer(plane, np.uint8)
        views.append(samples.reshape(-1, plane.line_size)[:height, :width])
    return tuple(views)


class PicturePool:
    """Two frames that take turns, so a picture stays unchanged until the next but one is asked for.

    The encoder copies a picture before `encode` returns, so no more are needed, and no memory is
    allocated while a session runs.
    """

    def __init__(self, width: int, height: int, matrix: Matrix) -> None:
        self.width = width
        self.height = height
        self._matrix = matrix
        self._frames = [av.VideoFrame(width, height, "yuv420p") for _ in range(2)]
        self._views = [plane_views(frame) for frame in self._frames]
        self._turn = 0

    def store(self, planes: Planes) -> av.VideoFrame:
        """Convert `planes` into the next frame and return it."""
        self._turn = 1 - self._turn
        store(planes, self._views[self._turn])
        return tagged(self._frames[self._turn], self._matrix)


def tagged(frame: av.VideoFrame, matrix: Matrix) -> av.VideoFrame:
    """Say on the frame what its samples are, and that its encoder chooses its type (MJPEG says: all intra)."""
    frame.color_range = ColorRange.MPEG
    frame.colorspace = matrix
    frame.pict_type = 0
    frame.pts = None
    return frame


def store(planes: Planes, into: tuple[Plane, ...]) -> None:
    """Write `planes` into limited-range 4:2:0 planes, resized where their size differs."""
    _store(planes.y, into[0], (_LUMA_SCALE, _LUMA_OFFSET) if planes.full_range else None)
    scale = (_CHROMA_SCALE, _CHROMA_OFFSET) if planes.full_range else None
    for plane, target in ((planes.u, into[1]), (planes.v, into[2])):
        if plane is None:
            target[:] = _NEUTRAL
        else:
            _store(plane, target, scale)


def _store(source: Plane, target: Plane, scale: tuple[float, float] | None) -> None:
    rows, columns = target.shape
    if source.shape == (rows, columns):
        if scale is None:
            np.copyto(target, source)
        else:
            cv2.convertScaleAbs(source, target, *scale)
    elif source.shape == (2 * rows, columns):
        # 4:2:2 to 4:2:0: the mean of two rows and the change of range in one pass.
        factor, offset = scale or (1.0, 0.0)
        cv2.addWeighted(source[0::2], factor / 2, source[1::2], factor / 2, offset, target)
    else:
        grows = source.shape[0] < rows or source.shape[1] < columns
        cv2.resize(source, (columns, rows), target, interpolation=cv2.INTER_LINEAR if grows else cv2.INTER_AREA)
        if scale is not None:
            cv2.convertScaleAbs(target, target, *scale)
