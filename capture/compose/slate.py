"""Pictures that stand for others: the slate in a source's place, with the reason, and the card for the whole program.

They are dark and plain, letters large: to be read in an inset, too. Each is drawn once, when it is needed, and kept
by whoever shows it; it takes about 2 ms of CPU at 640x360, 4 ms at 1080p, 20 ms at 4K.
"""

import av

from capture.compose.letters import draw, fitted
from capture.compose.paint import Canvas, ink
from capture.source import Matrix
from config.messages import Reason, reason_text

_PAPER = (30, 34, 42)
_WHITE, _GREY = (240, 240, 240), (190, 194, 200)
_AMBER, _BLUE = (240, 170, 40), (80, 150, 220)
_MARGIN = 0.07
"""Of the width, left and right."""
_LARGE, _SMALL = 0.14, 0.08
"""Sizes of the letters, as parts of the height."""
_LEAST = 0.5
"""How far letters may shrink where a line is long."""


def slate(width: int, height: int, *, name: str, reason: Reason, language: str, matrix: Matrix) -> av.VideoFrame:
    """Draw what stands in the place of the source called `name`, `width` x `height` (even), with the reason."""
    return _draw(width, height, name, reason_text(reason, language), _AMBER, matrix)


def card(width: int, height: int, *, title: str, line: str, matrix: Matrix) -> av.VideoFrame:
    """Draw a card, such as "Acara segera dimulai" above the title of the session."""
    return _draw(width, height, title, line, _BLUE, matrix)


def _draw(
    width: int, height: int, large: str, small: str, accent: tuple[int, int, int], matrix: Matrix
) -> av.VideoFrame:
    canvas = Canvas(width, height, matrix, ink(*_PAPER, matrix))
    left, room = round(_MARGIN * width), round((1 - 2 * _MARGIN) * width)
    # A portrait picture is as narrow as its letters can be.
    unit = min(height, width * 9 / 16 * 1.34)
    sizes = [round(part * unit) for part in (_LARGE, _SMALL)]
    first, second = (
        fitted(text, room, size, lines=most, least=round(_LEAST * size))
        for text, size, most in zip((large, small), sizes, (2, 3), strict=True)
    )
    rule, gap = max(2, round(0.016 * unit)), round(0.05 * unit)
    top = max(0, round((height - first.height - second.height - rule - gap) / 2))
    canvas.print(draw(first), left, top, ink(*_WHITE, matrix))
    top += first.height
    canvas.fill(left, top, min(room, round(0.24 * unit)), rule, ink(*accent, matrix))
    top += rule + gap
    canvas.print(draw(second), left, top, ink(*_GREY, matrix))
    return canvas.frame
