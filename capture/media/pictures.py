"""Frames as planes: pooled yuv420p frames, planes written straight into them, and fitted sizes.

All frames inside are limited-range yuv420p: `store` converts range and chroma layout while it writes. cv2 works on the
frame's own planes and releases the GIL.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from capture.source import ColorMatrix, Size
from config.errors import MediaError

type Plane = NDArray[np.uint8]  # one plane of samples, shape (rows, columns); rows may be padded

# One frame is little work: threads that spin between calls cost more than they give, and the encoder needs the cores.
cv2.setNumThreads(1)

# Full range (0-255) to limited range: luma to 16-235, chroma to 16-240 around 128.
_LUMA_SCALE, _LUMA_OFFSET = 219 / 255, 16.0
_CHROMA_SCALE = 224 / 255
_CHROMA_OFFSET = 128 * (1 - _CHROMA_SCALE)
_NEUTRAL = 128


_LUMA_PLACE = {"YUYV": 0, "UYVY": 1}  # packed 4:2:2: the index of luma in each pair of bytes

RAW_FORMATS = (*_LUMA_PLACE, "NV12", "YU12")  # V4L2 fourccs of the supported uncompressed formats


_LAYOUTS = {(1, 1): "yuv444p", (2, 1): "yuv422p", (2, 2): "yuv420p", (1, 2): "yuv440p", (4, 1): "yuv411p"}
"""Maps the luma samples of a chroma sample, across and down, to FFmpeg's format."""


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of a decoded frame; chroma of any subsampling, None for gray."""

    y: Plane
    u: Plane | None
    v: Plane | None
    full_range: bool


def fit_size(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """Return the largest even size of the shape `width` x `height` within the limits and itself; idempotent."""
    max_width = max(2, min(width, max_width) & ~1)
    max_height = max(2, min(height, max_height) & ~1)
    # Full width or full height, the other side rounded; the larger one within the limits.
    by_width = max_width, _nearest_even(max_width * height / width)
    by_height = _nearest_even(max_height * width / height), max_height
    fitting = [size for size in (by_width, by_height) if size[0] <= max_width and size[1] <= max_height]
    return max(fitting, key=math.prod)


def _nearest_even(length: float) -> int:
    return max(2, 2 * round(length / 2))


def plane_views(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Return the planes of a planar 8-bit frame as arrays that share its memory, without row padding."""
    chroma = frame.format.chroma_width(frame.width), frame.format.chroma_height(frame.height)
    sizes = [(frame.width, frame.height), chroma, chroma]
    views = []
    for plane, (width, height) in zip(frame.planes, sizes, strict=False):
        views.append(np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width])
    return tuple(views)


def split_planes(samples: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Return the planes of a yuv420p picture without row padding; they share the memory of `samples`."""
    luma, chroma = np.split(samples.reshape(-1), [width * height])
    u, v = chroma.reshape(2, height // 2, width // 2)
    return luma.reshape(height, width), u, v


class FramePool:
    """Two frames in turn: a frame is valid until the next but one. The encoder copies, so two are enough."""

    def __init__(self, width: int, height: int, matrix: ColorMatrix) -> None:
        self.width = width
        self.height = height
        self._matrix = matrix
        self._frames = [av.VideoFrame(width, height, "yuv420p") for _ in range(2)]
        self._views = [plane_views(frame) for frame in self._frames]
        self._turn = 0
        self._scaler = VideoReformatter()
        self._source: av.VideoFrame | None = None

    def store(self, planes: Planes) -> av.VideoFrame:
        """Convert `planes` into the next frame and return it."""
        if _is_slow_to_shrink(planes.y.shape, (self.height, self.width)):
            return self.scale(self._as_frame(planes), self._matrix, full_range=planes.full_range)
        self._turn = 1 - self._turn
        store_planes(planes, self._views[self._turn])
        return tag_frame(self._frames[self._turn], self._matrix)

    def scale(self, frame: av.VideoFrame, source: int | None, *, full_range: bool) -> av.VideoFrame:
        """Convert a frame of any size and format, with the matrix `source`, by swscale into a new frame."""
        scaled = self._scaler.reformat(
            frame,
            self.width,
            self.height,
            "yuv420p",
            src_colorspace=source,
            dst_colorspace=self._matrix,
            src_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
            threads=1,
        )
        return tag_frame(scaled, self._matrix)

    def _as_frame(self, planes: Planes) -> av.VideoFrame:
        """Copy the planes into a frame, as swscale reads frames only; gray gets neutral chroma."""
        rows, columns = planes.y.shape
        name = _layout(planes)
        source = self._source
        if source is None or (source.format.name, source.width, source.height) != (name, columns, rows):
            source = self._source = av.VideoFrame(columns, rows, name)
        for view, plane in zip(plane_views(source), (planes.y, planes.u, planes.v), strict=True):
            view[:] = _NEUTRAL if plane is None else plane
        return source


def tag_frame(frame: av.VideoFrame, matrix: ColorMatrix) -> av.VideoFrame:
    """Set range, matrix and picture type, and return the frame; MJPEG's type would make every encoded frame intra."""
    frame.color_range = ColorRange.MPEG
    frame.colorspace = matrix
    frame.pict_type = 0
    frame.pts = None
    return frame


def rotate(frame: av.VideoFrame, quarters: int, matrix: ColorMatrix) -> av.VideoFrame:
    """Return a yuv420p frame turned left by quarter turns."""
    size = (frame.height, frame.width) if quarters % 2 else (frame.width, frame.height)
    result = av.VideoFrame(*size, "yuv420p")
    copy_planes((np.rot90(plane, quarters) for plane in plane_views(frame)), plane_views(result))
    return tag_frame(result, matrix)


def copy_planes(source: Iterable[Plane], into: Iterable[Plane]) -> None:
    """Copy planes into others of the same sizes."""
    for plane, target in zip(source, into, strict=True):
        np.copyto(target, plane)


def store_planes(planes: Planes, into: tuple[Plane, ...]) -> None:
    """Write `planes` into limited-range 4:2:0 planes, resized where sizes differ."""
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


def _is_slow_to_shrink(source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Return whether the scale is fractional: cv2 then takes three times as long as swscale."""
    return any(have > want and have % want for have, want in zip(source, target, strict=True))


def _layout(planes: Planes) -> str:
    if planes.u is None:
        return "yuv420p"  # swscale always takes "gray" for full range
    across, down = (-(-planes.y.shape[axis] // planes.u.shape[axis]) for axis in (1, 0))
    return _LAYOUTS[across, down]


class RawDecoder:
    """Decodes one uncompressed stream (V4L2 layout, no row padding) into yuv420p that fits `target`.

    Samples are limited-range unless `full_range`. A frame stays unchanged until the next call but one; its `pts` is the
    caller's.
    """

    def __init__(
        self,
        fourcc: str,
        size: Size,
        target: Size | None = None,
        *,
        matrix: ColorMatrix = ColorMatrix.BT601,
        full_range: bool = False,
    ) -> None:
        width, height = size
        if fourcc not in RAW_FORMATS or width % 2 or height % 2:
            raise ValueError(f"no conversion from {fourcc} of {width}x{height} pixels")
        self.width, self.height = fit_size(*size, *(target or size))
        self._full_range = full_range
        self._pool = FramePool(self.width, self.height, matrix)
        self._fourcc = fourcc
        self._shape = height, width
        self._is_packed = fourcc in _LUMA_PLACE
        self._length = width * height * (4 if self._is_packed else 3) // 2
        if self._is_packed:
            self._luma, self._chroma = (np.empty((height, width), np.uint8) for _ in range(2))
        self._u, self._v = (
            np.empty((height if self._is_packed else height // 2, width // 2), np.uint8) for _ in range(2)
        )

    def decode(self, data: bytes) -> av.VideoFrame:
        """Return the picture; raises MediaError on too few bytes."""
        if len(data) < self._length:
            raise MediaError(f"a picture of {len(data)} bytes where {self._length} were agreed")
        samples = np.frombuffer(data, np.uint8, self._length)
        y, u, v = self._unpacked(samples) if self._is_packed else self._planes(samples)
        return self._pool.store(Planes(y, u, v, self._full_range))

    def _unpacked(self, samples: Plane) -> tuple[Plane, Plane, Plane]:
        height, width = self._shape
        pair = [self._luma, self._chroma] if _LUMA_PLACE[self._fourcc] == 0 else [self._chroma, self._luma]
        cv2.split(samples.reshape(height, width, 2), pair)
        cv2.split(self._chroma.reshape(height, width // 2, 2), [self._u, self._v])
        return self._luma, self._u, self._v

    def _planes(self, samples: Plane) -> tuple[Plane, Plane, Plane]:
        height, width = self._shape
        if self._fourcc != "NV12":
            return split_planes(samples, width, height)
        luma, chroma = np.split(samples, [height * width])
        cv2.split(chroma.reshape(height // 2, width // 2, 2), [self._u, self._v])
        return luma.reshape(height, width), self._u, self._v


_MAX_SMALLER = 3  # small sizes to keep: a layout shows a source once, and a switch may show it twice for a moment


class SizeCache[T]:
    """Caches `make(size)` for the full size, and for the latest few smaller ones."""

    def __init__(self, size: Size, make: Callable[[Size], T]) -> None:
        self._size = size
        self._make = make
        self._whole = make(size)
        self._smaller: dict[Size, T] = {}

    def get(self, within: Size | None = None) -> T:
        """Return the object for the largest size of the full shape within `within`."""
        if within is None:
            return self._whole
        size = fit_size(*self._size, *within)
        if size == self._size:
            return self._whole
        found = self._smaller.pop(size, None) or self._make(size)
        self._smaller[size] = found  # the last entry is the latest
        if len(self._smaller) > _MAX_SMALLER:
            del self._smaller[next(iter(self._smaller))]
        return found
