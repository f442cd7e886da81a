"""Draws slates, cards, the title line and the logo once, with Pillow."""

from pathlib import Path

import av
import numpy as np
from PIL import Image, UnidentifiedImageError

from capture.compose.canvas import Canvas, Mask, Overlay, halve_mask, yuv_colour
from capture.compose.layout import Rect, letterbox
from capture.compose.text import draw_text, fit_text
from capture.source import ColorMatrix
from config.errors import MediaError
from config.settings.layouts import corner_position, nearest_even

_WHITE, _GREY = (240, 240, 240), (190, 194, 200)
_AMBER, _BLUE = (240, 170, 40), (80, 150, 220)
_BAND = (16, 18, 24)
_DARKNESS = 190  # coverage of the band behind a title line, of 255
_EDGE = 0.04  # margin of a logo or title line, as a share of the frame's height
_LETTERS = 0.05


def make_overlay(canvas: Canvas, coverage: Mask, x: int, y: int) -> Overlay:
    """Return `canvas` as an overlay at (x, y), with `coverage` (0-255) of the same size."""
    masks = coverage, halve_mask(coverage), halve_mask(coverage)
    planes = tuple(
        np.rint(plane * (mask / np.float32(255))).astype(np.uint8)
        for plane, mask in zip(canvas.planes, masks, strict=True)
    )
    return Overlay(Rect(x, y, canvas.frame.width, canvas.frame.height), planes, tuple(255 - mask for mask in masks))


def draw_title_line(width: int, height: int, *, text: str, matrix: ColorMatrix) -> Overlay:
    """Draw one line of text in a dark band at the lower left of a frame of `width` x `height`."""
    margin, size = nearest_even(_EDGE * height), max(8, round(_LETTERS * min(height, width * 9 / 16)))
    padding = nearest_even(size * 0.6)
    line = fit_text(text, max(2, width - 2 * margin - 3 * padding), size, lines=1, least=max(8, round(size * 0.6)))
    mask = draw_text(line)
    across = min(nearest_even(mask.shape[1] + 2.5 * padding), (width - 2 * margin) & ~1)
    down = min(nearest_even(line.height + padding * 0.6), (height - 2 * margin) & ~1)
    canvas = Canvas(across, down, matrix, yuv_colour(*_BAND, matrix))
    canvas.fill(0, 0, max(2, nearest_even(padding / 3)), down, yuv_colour(*_BLUE, matrix))
    canvas.print(mask, padding, (down - line.height) // 2, yuv_colour(*_WHITE, matrix))
    # Letters and the accent are opaque, the band is not: lighter than the paper means drawn.
    lighter = canvas.planes[0].astype(np.float32) - yuv_colour(*_BAND, matrix)[0]
    coverage = np.clip(_DARKNESS + lighter * (255 - _DARKNESS) / 60, _DARKNESS, 255).astype(np.uint8)
    return make_overlay(canvas, coverage, margin, height - margin - down)


def draw_logo(path: Path, width: int, height: int, *, corner: str, size: float, matrix: ColorMatrix) -> Overlay:
    """Read a PNG or JPEG file and place it in `corner` of a frame of `width` x `height`; raises MediaError.

    It is `size` (a share of the frame's height) high, at most three times as wide, and keeps its transparency.
    """
    try:
        with Image.open(path) as image:
            picture = image.convert("RGBA")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no PNG or JPEG picture"
        raise MediaError(f"cannot read the logo {path}: {reason}", hint="check `logo` in [program]") from error
    margin, down = nearest_even(_EDGE * height), max(2, nearest_even(size * height))
    room = Rect(0, 0, min(3 * down, max(2, (width - 2 * margin) & ~1)), min(down, max(2, (height - 2 * margin) & ~1)))
    box = letterbox(picture.width, picture.height, room)
    x, y = corner_position(corner, box.size, (width, height), margin)
    # Pillow scales premultiplied: transparent colours do not bleed into the edge.
    rgba = np.array(picture.resize(box.size, Image.Resampling.LANCZOS), np.uint8)
    canvas = Canvas(box.width, box.height, matrix, yuv_colour(0, 0, 0, matrix))
    canvas.show(rgba[..., :3])
    return make_overlay(canvas, np.ascontiguousarray(rgba[..., 3]), x, y)


_PAPER = (30, 34, 42)
_MARGIN = 0.07  # left and right, as a share of the width
_LARGE, _SMALL = 0.14, 0.08  # sizes of the letters, as shares of the height
_MIN_SHRINK = 0.5  # the smallest size of the letters of a long line, as a share


def draw_slate(width: int, height: int, *, name: str, reason: str, matrix: ColorMatrix) -> av.VideoFrame:
    """Draw the slate of source `name`, `width` x `height` (even), with the reason."""
    return _draw(width, height, name, reason, _AMBER, matrix)


def draw_card(width: int, height: int, *, title: str, line: str, matrix: ColorMatrix) -> av.VideoFrame:
    """Draw a card, such as "Acara segera dimulai" above the session's title."""
    return _draw(width, height, title, line, _BLUE, matrix)


def _draw(
    width: int, height: int, large: str, small: str, accent: tuple[int, int, int], matrix: ColorMatrix
) -> av.VideoFrame:
    canvas = Canvas(width, height, matrix, yuv_colour(*_PAPER, matrix))
    left, room = round(_MARGIN * width), round((1 - 2 * _MARGIN) * width)
    # In a portrait frame the width limits the letters.
    unit = min(height, width * 9 / 16 * 1.34)
    sizes = [round(part * unit) for part in (_LARGE, _SMALL)]
    first, second = (
        fit_text(text, room, size, lines=most, least=round(_MIN_SHRINK * size))
        for text, size, most in zip((large, small), sizes, (2, 3), strict=True)
    )
    rule, gap = max(2, round(0.016 * unit)), round(0.05 * unit)
    top = max(0, round((height - first.height - second.height - rule - gap) / 2))
    canvas.print(draw_text(first), left, top, yuv_colour(*_WHITE, matrix))
    top += first.height
    canvas.fill(left, top, min(room, round(0.24 * unit)), rule, yuv_colour(*accent, matrix))
    top += rule + gap
    canvas.print(draw_text(second), left, top, yuv_colour(*_GREY, matrix))
    return canvas.frame
