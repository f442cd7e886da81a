"""Draws rectangles, coverage masks and overlays on planes; chroma follows luma at half the size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from capture.compose.layout import Rect
from capture.media.pictures import Plane, copy_planes, plane_views, tag_frame
from capture.source import ColorMatrix

type ConvertMatrix = Callable[[tuple[Plane, ...]], tuple[Plane, ...]]

_BT709_WEIGHTS, _BT601_WEIGHTS = (0.2126, 0.0722), (0.299, 0.114)  # of red and blue in luma (ITU-R BT.709, BT.601)
_LUMA, _CHROMA = 219, 224
_MIDDLE = 128


def luma_weights(matrix: int) -> tuple[float, float]:
    """Return the weights of red and blue in luma; all matrices but BT.709 take those of BT.601."""
    return _BT709_WEIGHTS if matrix == ColorMatrix.BT709 else _BT601_WEIGHTS


def same_matrix(one: int, other: int) -> bool:
    """Return whether two matrices (FFmpeg's numbers) encode colours alike."""
    return luma_weights(one) == luma_weights(other)


def matrix_converter(width: int, height: int, source: int, target: int) -> ConvertMatrix:
    """Return a function from limited-range 4:2:0 planes of an even size to new planes; each call overwrites them."""
    (y_by_u, y_by_v), *chroma = _factors(source, target)
    converted = tuple(np.empty((height // part, width // part), np.uint8) for part in (1, 2, 2))
    shift, shift_of_all = np.empty_like(converted[1]), np.empty_like(converted[0])

    def convert(planes: tuple[Plane, ...]) -> tuple[Plane, ...]:
        y, u, v = planes
        # Luma shifts by 60 levels at most, so the shift fits into 8 bits around 128.
        cv2.addWeighted(u, y_by_u, v, y_by_v, _MIDDLE * (1 - y_by_u - y_by_v), shift)
        cv2.resize(shift, (width, height), shift_of_all, interpolation=cv2.INTER_NEAREST)
        cv2.addWeighted(y, 1.0, shift_of_all, 1.0, -_MIDDLE, converted[0])
        for plane, (by_u, by_v) in zip(converted[1:], chroma, strict=True):
            cv2.addWeighted(u, by_u, v, by_v, _MIDDLE * (1 - by_u - by_v), plane)
        return converted

    return convert


@cache
def _factors(source: int, target: int) -> tuple[tuple[float, float], ...]:
    """Return the factors of U and V (from 128) for the shift of luma, and for the new U and V."""
    change = _from_rgb(target) @ np.linalg.inv(_from_rgb(source))
    luma, u, v = change[:, 1:].tolist()
    part = _LUMA / _CHROMA
    return (luma[0] * part, luma[1] * part), (u[0], u[1]), (v[0], v[1])


def _from_rgb(matrix: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    red, blue = luma_weights(matrix)
    luma = np.array([red, 1 - red - blue, blue])
    u = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    v = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    return np.array([luma, u, v])


type Rgb = NDArray[np.uint8]  # shape (rows, columns, 3)

type Mask = NDArray[np.uint8]  # coverage of each pixel, 0 to 255, shape (rows, columns)


type YuvColour = tuple[int, int, int]  # a colour as limited-range Y, U, V of one matrix

BLACK: YuvColour = (16, 128, 128)


def yuv_colour(red: int, green: int, blue: int, matrix: ColorMatrix) -> YuvColour:
    """Return the YUV samples of an RGB colour (0-255 each)."""
    of_red, of_blue = luma_weights(matrix)
    r, g, b = red / 255, green / 255, blue / 255
    luma = of_red * r + (1 - of_red - of_blue) * g + of_blue * b
    u, v = (b - luma) / (2 * (1 - of_blue)), (r - luma) / (2 * (1 - of_red))
    return round(16 + 219 * luma), round(128 + 224 * u), round(128 + 224 * v)


class Canvas:
    """A frame that is drawn once: limited-range yuv420p of `matrix` and even size."""

    def __init__(self, width: int, height: int, matrix: ColorMatrix, paper: YuvColour) -> None:
        self.frame = tag_frame(av.VideoFrame(width, height, "yuv420p"), matrix)
        self.matrix = matrix
        self.planes = plane_views(self.frame)
        self.fill(0, 0, width, height, paper)

    def show(self, rgb: Rgb) -> None:
        """Cover it with an RGB picture of the same size."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(
            format="yuv420p",
            dst_colorspace=self.matrix,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        )
        copy_planes(plane_views(picture), self.planes)

    def fill(self, x: int, y: int, width: int, height: int, colour: YuvColour) -> None:
        """Fill a rectangle; its sides are rounded to even ones."""
        left, top, right, bottom = (2 * round(side / 2) for side in (x, y, x + width, y + height))
        self.planes[0][top:bottom, left:right] = colour[0]
        for plane, level in zip(self.planes[1:], colour[1:], strict=True):
            plane[top // 2 : bottom // 2, left // 2 : right // 2] = level

    def print(self, mask: Mask, x: int, y: int, colour: YuvColour) -> None:
        """Blend `colour` in at (x, y) by the coverage of `mask`, clipped to the canvas."""
        x, y = max(0, x & ~1), max(0, y & ~1)
        rows, columns = self.planes[0][y:, x:].shape
        mask = mask[:rows, :columns]
        mask = np.pad(mask, [(0, length % 2) for length in mask.shape])
        rows, columns = mask.shape
        blend(self.planes[0][y : y + rows, x : x + columns], mask, colour[0])
        small = halve_mask(mask)
        for plane, level in zip(self.planes[1:], colour[1:], strict=True):
            blend(plane[y // 2 : (y + rows) // 2, x // 2 : (x + columns) // 2], small, level)


def halve_mask(mask: Mask) -> Mask:
    """Return a mask of even size at half the size, for chroma."""
    rows, columns = mask.shape
    small = np.empty((rows // 2, columns // 2), np.uint8)
    if small.size:
        cv2.resize(mask, (columns // 2, rows // 2), small, interpolation=cv2.INTER_AREA)
    return small


def blend(target: Plane, mask: Mask, level: int) -> None:
    """Move the samples of `target` towards `level` by the coverage of `mask`."""
    part = mask.astype(np.float32) / 255
    target[:] = np.rint(target + (level - target.astype(np.float32)) * part).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A picture laid over frames: `planes` are premultiplied; `kept` is the share (of 255) of the frame below."""

    place: Rect
    planes: tuple[Plane, ...]
    kept: tuple[Plane, ...]

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Blend the part within `region` into the limited-range 4:2:0 planes of a whole frame."""
        inside = region.moved(self.place.x, self.place.y)
        for number, target in enumerate(planes):
            part, within = target[region.plane_slices(number)], inside.plane_slices(number)
            cv2.multiply(part, self.kept[number][within], part, scale=1 / 255)
            cv2.add(part, self.planes[number][within], part)
