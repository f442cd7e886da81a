"""Drawing on planes: rectangles, masks of coverage, overlays; chroma follows luma at half the size."""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from capture.compose.geometry import Rect
from capture.compose.recolour import weights
from capture.pictures import Plane, plane_views, tagged
from capture.source import Matrix

type Rgb = NDArray[np.uint8]
"""Shape (rows, columns, 3)."""

type Mask = NDArray[np.uint8]
"""How much of each pixel is ink, 0 to 255, shape (rows, columns)."""


type Ink = tuple[int, int, int]
"""A colour as limited-range samples of one matrix: Y, U, V."""

BLACK: Ink = (16, 128, 128)


def ink(red: int, green: int, blue: int, matrix: Matrix) -> Ink:
    """Return the samples of an RGB colour (0-255 each)."""
    of_red, of_blue = weights(matrix)
    r, g, b = red / 255, green / 255, blue / 255
    luma = of_red * r + (1 - of_red - of_blue) * g + of_blue * b
    u, v = (b - luma) / (2 * (1 - of_blue)), (r - luma) / (2 * (1 - of_red))
    return round(16 + 219 * luma), round(128 + 224 * u), round(128 + 224 * v)


class Canvas:
    """A picture that is drawn once: limited-range yuv420p samples of `matrix`; width and height are even."""

    def __init__(self, width: int, height: int, matrix: Matrix, paper: Ink) -> None:
        self.frame = tagged(av.VideoFrame(width, height, "yuv420p"), matrix)
        self.matrix = matrix
        self.planes = plane_views(self.frame)
        self.fill(0, 0, width, height, paper)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height."""
        return self.frame.width, self.frame.height

    def show(self, rgb: Rgb) -> None:
        """Cover it with an RGB picture of its size."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(
            format="yuv420p",
            dst_colorspace=self.matrix,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        )
        for target, plane in zip(self.planes, plane_views(picture), strict=True):
            target[:] = plane

    def fill(self, x: int, y: int, width: int, height: int, colour: Ink) -> None:
        """Fill a rectangle; its sides are rounded to even ones."""
        left, top, right, bottom = (2 * round(side / 2) for side in (x, y, x + width, y + height))
        self.planes[0][top:bottom, left:right] = colour[0]
        for plane, level in zip(self.planes[1:], colour[1:], strict=True):
            plane[top // 2 : bottom // 2, left // 2 : right // 2] = level

    def print(self, mask: Mask, x: int, y: int, colour: Ink) -> None:
        """Lay `colour` over what is there, as much as `mask` says, its corner at (x, y); what sticks out is cut off."""
        x, y = max(0, x & ~1), max(0, y & ~1)
        rows, columns = (min(have, most) for have, most in zip(mask.shape, self._room(x, y), strict=True))
        mask = np.pad(mask[:rows, :columns], ((0, rows % 2), (0, columns % 2)))
        rows, columns = mask.shape
        blend(self.planes[0][y : y + rows, x : x + columns], mask, colour[0])
        small = halved(mask)
        for plane, level in zip(self.planes[1:], colour[1:], strict=True):
            blend(plane[y // 2 : (y + rows) // 2, x // 2 : (x + columns) // 2], small, level)

    def _room(self, x: int, y: int) -> tuple[int, int]:
        rows, columns = self.planes[0].shape
        return max(0, rows - y), max(0, columns - x)


def halved(mask: Mask) -> Mask:
    """Return a mask of even size at half of it, as chroma has it."""
    rows, columns = mask.shape
    small = np.empty((rows // 2, columns // 2), np.uint8)
    if small.size:
        cv2.resize(mask, (columns // 2, rows // 2), small, interpolation=cv2.INTER_AREA)
    return small


def blend(target: Plane, mask: Mask, level: int) -> None:
    """Move the samples of `target` towards `level`, as far as `mask` says."""
    part = mask.astype(np.float32) / 255
    target[:] = np.rint(target + (level - target.astype(np.float32)) * part).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A picture that lies over the program's, such as a title line; drawn once (capture/compose/drawn.py).

    `planes` have the size of its place, each sample multiplied by its coverage; `kept` is 255 less the coverage.
    """

    place: Rect
    planes: tuple[Plane, ...]
    kept: tuple[Plane, ...]

    def draw(self, planes: tuple[Plane, ...], region: Rect) -> None:
        """Lay the part within `region` over limited-range 4:2:0 planes of a whole picture."""
        inside = region.moved(self.place.x, self.place.y)
        for number, target in enumerate(planes):
            part, within = target[region.of_plane(number)], inside.of_plane(number)
            cv2.multiply(part, self.kept[number][within], part, scale=1 / 255)
            cv2.add(part, self.planes[number][within], part)
