"""Text as coverage masks, in Pillow's own font; accents are drawn as strokes, other scripts as `?`."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from capture.compose.canvas import Mask

type Stroke = tuple[tuple[float, float], ...]
"""Points in ems, to the right of the letter's middle and down from the mark's top."""

_ABOVE: dict[str, tuple[Stroke, ...]] = {
    "\u0300": (((-0.12, 0.0), (0.04, 0.12)),),  # grave
    "\u0301": (((0.12, 0.0), (-0.04, 0.12)),),  # acute
    "\u0302": (((-0.14, 0.13), (0.0, 0.0), (0.14, 0.13)),),  # circumflex
    "\u0303": (((-0.17, 0.11), (-0.08, 0.03), (0.08, 0.1), (0.17, 0.02)),),  # tilde
    "\u0304": (((-0.15, 0.06), (0.15, 0.06)),),  # macron
    "\u0306": (((-0.14, 0.0), (-0.07, 0.1), (0.07, 0.1), (0.14, 0.0)),),  # breve
    "\u0307": (((0.0, 0.07),),),  # dot
    "\u0308": (((-0.11, 0.07),), ((0.11, 0.07),)),  # diaeresis
    "\u0309": (((-0.06, 0.0), (0.06, 0.0), (0.06, 0.06), (0.0, 0.08), (0.0, 0.13)),),  # hook
    "\u030a": (((0.0, 0.0), (0.07, 0.06), (0.0, 0.12), (-0.07, 0.06), (0.0, 0.0)),),  # ring
    "\u030b": (((-0.02, 0.0), (-0.13, 0.12)), ((0.15, 0.0), (0.04, 0.12))),  # two acutes
    "\u030c": (((-0.14, 0.0), (0.0, 0.13), (0.14, 0.0)),),  # caron
    "\u031b": (((0.2, 0.18), (0.27, 0.12), (0.27, 0.06)),),  # horn
}
_BELOW: dict[str, tuple[Stroke, ...]] = {
    "\u0323": (((0.0, 0.13),),),  # dot
    "\u0326": (((0.03, 0.08), (-0.05, 0.2)),),  # comma
    "\u0327": (((0.0, 0.0), (0.06, 0.1), (0.0, 0.18), (-0.08, 0.18)),),  # cedilla
    "\u0328": (((0.08, 0.0), (0.02, 0.1), (0.06, 0.18), (0.14, 0.17)),),  # ogonek
    "\u0331": (((-0.15, 0.1), (0.15, 0.1)),),  # macron
}
_THROUGH = "\u0335"
_SUBSTITUTES = {
    "\u0141": "L\u0335", "\u0142": "l\u0335", "\u0110": "D\u0335", "\u0111": "d\u0335", "\u00d8": "O\u0335",
    "\u00f8": "o\u0335", "\u0126": "H\u0335", "\u0127": "h\u0335", "\u00d0": "D\u0335", "\u00f0": "d\u0335",
    "\u00df": "ss", "\u00c6": "AE", "\u00e6": "ae", "\u0152": "OE", "\u0153": "oe", "\u00de": "Th", "\u00fe": "th",
    "\u0131": "i", "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "\u02bb": "'", "\u02bc": "'", "\u02bf": "'", "\u02be": "'", "\u2032": "'", "\u00d7": "x",
}  # fmt: skip
"""Replaces letters that Unicode does not decompose, and signs, by characters of the font."""
_MORE_SIGNS = frozenset("\u00ab\u00bb\u2018\u2019\u201c\u201d\u2039\u203a\u00a9\u00b1\u00b7")
"""Quotation marks and a few signs of the font beyond ASCII."""
_UNKNOWN = "?"
_DOTTED = frozenset("ij")
_LINE = 1.42  # line height in ems, with room for marks above capitals and below letters
_BASE = 1.05
_CAPITAL, _SMALL = 0.71, 0.52  # heights of capitals and of small letters without a stem, in ems
_TALL = frozenset("bdfhkltABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_STROKE, _DOT = 0.07, 0.75  # thickness of a mark in ems; radius of a dot as a share of it
_OVERSAMPLING = 4  # marks are drawn so much larger, for smooth edges


type Letter = tuple[str, str]  # a character of the font, and the combining marks on it


@dataclass(frozen=True, slots=True)
class FittedText:
    """Lines fitted into a width; `size` is the size of their letters in pixels."""

    lines: tuple[str, ...]
    size: int

    @property
    def line_height(self) -> int:
        """Pixels from one base line to the next."""
        return round(_LINE * self.size)

    @property
    def height(self) -> int:
        return self.line_height * len(self.lines)


def letters(text: str) -> tuple[Letter, ...]:
    """Split `text` into characters of the font with their marks; an unknown letter becomes "?", an emoji nothing."""
    found: list[Letter] = []
    plain = unicodedata.normalize(
        "NFKD", "".join(_SUBSTITUTES.get(sign, sign) for sign in unicodedata.normalize("NFC", text))
    )
    for sign in plain:
        if sign in _ABOVE or sign in _BELOW or sign == _THROUGH:
            if found:
                base, marks = found[-1]
                found[-1] = base, marks + sign
        elif " " <= sign <= "~" or sign in _MORE_SIGNS:
            found.append((sign, ""))
        elif sign.isspace():
            found.append((" ", ""))
        elif not unicodedata.category(sign).startswith(("M", "C", "So", "Sk")):
            found.append((_UNKNOWN, ""))
    return tuple(found)


def text_width(text: str, size: int) -> int:
    """Return the width of `text` in pixels, at letters of `size`."""
    return round(_font(size).getlength("".join(base for base, _ in letters(text))))


def fit_text(text: str, width: int, size: int, *, lines: int, least: int) -> FittedText:
    """Break `text` into `lines` lines of `width` pixels at most; shrink letters to `least`, then cut with "…"."""
    size, least = max(size, 1), max(min(least, size), 1)
    while True:
        broken = _wrapped(text, width, size)
        if len(broken) <= lines and all(text_width(line, size) <= width for line in broken):
            return FittedText(broken, size)
        if size <= least:
            break
        size = max(least, min(size - 1, round(size * 0.92)))
    kept = [*broken[: lines - 1], " ".join(broken[lines - 1 :])]
    return FittedText(tuple(_ellipsized(line, width, size) for line in kept if line), size)


def draw_text(text: FittedText) -> Mask:
    """Return a mask of the lines, flush left, as wide as the widest."""
    across = max((text_width(line, text.size) for line in text.lines), default=0) + text.size // 3
    image = Image.new("L", (max(across, 1), max(text.height, 1)))
    has_marks = any(marks for line in text.lines for _, marks in letters(line))
    marks = Image.new("L", (image.width * _OVERSAMPLING, image.height * _OVERSAMPLING)) if has_marks else None
    pen, fine_pen = ImageDraw.Draw(image), ImageDraw.Draw(marks) if marks else None
    for number, line in enumerate(text.lines):
        _draw_line(pen, fine_pen, letters(line), number * text.line_height, text.size)
    if marks:
        image = ImageChops.lighter(image, marks.reduce(_OVERSAMPLING))
    return np.array(image, np.uint8)


def _wrapped(text: str, width: int, size: int) -> tuple[str, ...]:
    lines: list[str] = []
    for word in filter(letters, text.split()):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def _ellipsized(line: str, width: int, size: int) -> str:
    if text_width(line, size) <= width:
        return line
    while line and text_width(f"{line}…", size) > width:
        line = line[:-1].rstrip()
    return f"{line}…"


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow was built without FreeType")
    return font


def _draw_line(
    draw: ImageDraw.ImageDraw, marks: ImageDraw.ImageDraw | None, line: tuple[Letter, ...], top: int, size: int
) -> None:
    font, bases = _font(size), "".join(base for base, _ in line)
    base_line = top + round(_BASE * size)
    draw.text((0, base_line), bases, fill=255, font=font, anchor="ls")
    for place, (base, above_and_below) in enumerate(line):
        if marks and above_and_below:
            left, right = (font.getlength(bases[:end]) for end in (place, place + 1))
            if base in _DOTTED and any(mark in _ABOVE for mark in above_and_below):
                # The mark replaces the dot.
                draw.rectangle((left, base_line - size, right, base_line - round((_SMALL + 0.02) * size)), fill=0)
            for stroke, up in _strokes(base, above_and_below, (right - left) / size):
                _draw_stroke(marks, (left + right) / 2, base_line - up * size, size, stroke)


def _strokes(base: str, marks: str, width: float) -> Iterator[tuple[Stroke, float]]:
    """Yield the strokes of a letter's marks and their height above the base line; all in ems, like `width`."""
    height = _CAPITAL if base in _TALL else _SMALL
    above = height + 0.2
    for mark in marks:
        yield from ((stroke, 0.0) for stroke in _BELOW.get(mark, ()))
        yield from ((stroke, above) for stroke in _ABOVE.get(mark, ()))
        if mark in _ABOVE:
            above += 0.17  # the next mark stands above this one
        if mark == _THROUGH:
            yield ((-0.4 * width, 0.08), (0.4 * width, -0.08)), height / 2


def _draw_stroke(draw: ImageDraw.ImageDraw, x: float, y: float, size: int, stroke: Stroke) -> None:
    weight = max(1.0, _STROKE * size) * _OVERSAMPLING
    points = [((x + right * size) * _OVERSAMPLING, (y + down * size) * _OVERSAMPLING) for right, down in stroke]
    draw.line(points, fill=255, width=round(weight), joint="curve")
    # A single point is a dot, larger than a line's end.
    half = weight * (_DOT if len(points) == 1 else 0.5)
    for x_end, y_end in points:
        draw.ellipse((x_end - half, y_end - half, x_end + half, y_end + half), fill=255)
