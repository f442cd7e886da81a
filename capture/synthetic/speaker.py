"""A speaker at a lectern, as a camera sees them; a pure function of time."""

import math
from typing import Final

import cv2
import numpy as np

from capture.media.pictures import Plane, split_planes
from capture.synthetic.audio import mouth_opening
from capture.synthetic.marks import Bgr, Colour

_SHIFT: Final = 4  # cv2 draws at sixteenths of a pixel, so slow movements are smooth
_NOISE_LEVELS = 6
_NOISE_MARGIN = 32

_SKIN: Colour = (112, 150, 196)
_SHADE: Colour = (92, 126, 170)
_CAP: Colour = (34, 30, 30)
_JACKET: Colour = (104, 62, 40)
_SLEEVE: Colour = (92, 54, 34)
_SHIRT: Colour = (228, 226, 222)
_TIE: Colour = (58, 40, 150)
_EYE: Colour = (30, 26, 26)
_MOUTH: Colour = (60, 52, 110)
_WOOD: Colour = (52, 84, 124)
_WOOD_EDGE: Colour = (66, 104, 150)


class Speaker:
    """Draws frames as planes; (0, 0) is the middle of the lower edge, y points up, 1 is the frame's height."""

    def __init__(self, width: int, height: int) -> None:
        self._room = _draw_room(width, height)
        self._picture = self._room.copy()
        self._width, self._height = width, height
        self._i420 = np.empty((height * 3 // 2, width), np.uint8)
        self._planes = split_planes(self._i420, width, height)
        random = np.random.default_rng(5)
        normal = random.normal(_NOISE_LEVELS / 2, 1.1, (height + _NOISE_MARGIN, width + _NOISE_MARGIN))
        self._noise = np.clip(np.round(normal), 0, _NOISE_LEVELS).astype(np.uint8)

    def draw(self, seconds: float, number: int) -> tuple[Plane, Plane, Plane]:
        """Return the planes of frame `number`, at `seconds` of media time; the next call overwrites them."""
        np.copyto(self._picture, self._room)
        sway = 0.03 * math.sin(0.9 * seconds) + 0.012 * math.sin(2.3 * seconds)
        _draw_body(self, seconds, sway)
        _draw_head(self, seconds, sway)
        _draw_lectern(self)
        cv2.cvtColor(self._picture, cv2.COLOR_BGR2YUV_I420, self._i420)
        y, u, v = self._planes
        # Another part of the same noise for each frame looks like fresh noise and costs one addition.
        top, left = number * 13 % _NOISE_MARGIN, number * 29 % _NOISE_MARGIN
        cv2.add(y, self._noise[top : top + y.shape[0], left : left + y.shape[1]], y)
        return y, u, v

    def _point(self, x: float, y: float) -> tuple[int, int]:
        scale = 1 << _SHIFT
        return round((self._width / 2 + x * self._height) * scale), round((1 - y) * self._height * scale)

    def _length(self, length: float) -> int:
        return max(1, round(length * self._height * (1 << _SHIFT)))

    def ellipse(self, x: float, y: float, across: float, up: float, colour: Colour, *, angle: float = 0) -> None:
        """Fill an ellipse, turned by `angle` (degrees, clockwise)."""
        axes = self._length(across), self._length(up)
        cv2.ellipse(self._picture, self._point(x, y), axes, angle, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        corners = np.array([self._point(x, y) for x, y in points], np.int32)
        cv2.fillPoly(self._picture, [corners], colour, cv2.LINE_AA, _SHIFT)

    def limb(self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
        """Draw a thick line with round ends."""
        thickness = max(1, round(width * self._height))
        cv2.line(self._picture, self._point(*start), self._point(*end), colour, thickness, cv2.LINE_AA, _SHIFT)


def _draw_body(canvas: Speaker, seconds: float, sway: float) -> None:
    lean = sway * 0.7
    canvas.polygon(
        [
            (lean - 0.3, 0),
            (lean - 0.29, 0.36),
            (lean - 0.2, 0.45),
            (lean + 0.2, 0.45),
            (lean + 0.29, 0.36),
            (lean + 0.3, 0),
        ],
        _JACKET,
    )
    canvas.polygon([(lean - 0.09, 0.46), (lean + 0.09, 0.46), (lean, 0.2)], _SHIRT)
    canvas.polygon(
        [(lean - 0.02, 0.42), (lean + 0.02, 0.42), (lean + 0.025, 0.26), (lean, 0.22), (lean - 0.025, 0.26)], _TIE
    )
    for side, speed, phase in ((-1, 1.7, 0.0), (1, 1.3, 1.1)):
        lift = 0.5 + 0.5 * math.sin(speed * seconds + phase) * math.sin(0.37 * seconds + phase)
        shoulder = (lean + side * 0.26, 0.37)
        elbow = (lean + side * (0.37 + 0.03 * lift), 0.17 + 0.03 * lift)
        angle = math.radians(20 + 75 * lift)
        hand = (elbow[0] - side * 0.2 * math.cos(angle) * 0.8, elbow[1] + 0.22 * math.sin(angle))
        canvas.limb(shoulder, elbow, 0.11, _SLEEVE)
        canvas.limb(elbow, hand, 0.085, _SLEEVE)
        canvas.ellipse(*hand, 0.045, 0.05, _SKIN)


def _draw_head(canvas: Speaker, seconds: float, sway: float) -> None:
    """Draw neck, face and cap; the mouth follows the speech, the eyes blink."""
    turn = 0.02 * math.sin(0.7 * seconds + 0.4)
    nod = 0.008 * math.sin(2.9 * seconds)
    x, y = sway, 0.61 + nod
    canvas.limb((sway * 0.8, 0.44), (x, y - 0.08), 0.1, _SHADE)
    for side in (-1, 1):
        canvas.ellipse(x + side * 0.118, y, 0.022, 0.035, _SHADE)
    canvas.ellipse(x, y, 0.118, 0.15, _SKIN)
    canvas.polygon([(x - 0.12, y + 0.075), (x - 0.108, y + 0.185), (x + 0.108, y + 0.185), (x + 0.12, y + 0.075)], _CAP)
    blinks = seconds % 3.7 < 0.13
    for side in (-1, 1):
        eye_x, eye_y = x + turn + side * 0.045, y + 0.025
        canvas.ellipse(eye_x, eye_y, 0.02, 0.003 if blinks else 0.012, _EYE if blinks else _SHIRT)
        if not blinks:
            canvas.ellipse(eye_x + turn * 0.3, eye_y, 0.009, 0.011, _EYE)
        canvas.limb((eye_x - 0.022, eye_y + 0.026), (eye_x + 0.022, eye_y + 0.026), 0.008, _CAP)
    canvas.ellipse(x + turn * 1.3, y - 0.025, 0.014, 0.02, _SHADE)
    opening = mouth_opening(seconds)
    canvas.ellipse(x + turn, y - 0.078, 0.036 - 0.01 * opening, 0.005 + 0.022 * opening, _MOUTH)


def _draw_lectern(canvas: Speaker) -> None:
    canvas.limb((0.14, 0.16), (0.1, 0.36), 0.014, _CAP)
    canvas.ellipse(0.097, 0.375, 0.022, 0.03, _CAP, angle=-12)
    canvas.polygon([(-0.3, 0.16), (0.3, 0.16), (0.26, 0), (-0.26, 0)], _WOOD)
    canvas.polygon([(-0.33, 0.185), (0.33, 0.185), (0.32, 0.15), (-0.32, 0.15)], _WOOD_EDGE)


def _draw_room(width: int, height: int) -> Bgr:
    """Draw the background: a wall lit from the left, a panelled dado, the edge of a screen."""
    light = np.outer(np.linspace(1.05, 0.85, height), np.linspace(1.08, 0.72, width))
    dado = round(height * 0.66)
    picture: Bgr = np.empty((height, width, 3), np.uint8)
    for channel, (wall, panels) in enumerate(((168.0, 0.55), (178.0, 0.66), (184.0, 0.78))):
        lit = np.clip(light * wall, 0, 255).astype(np.uint8)
        lit[dado:] = lit[dado:] * panels
        picture[..., channel] = lit
    cv2.line(picture, (0, dado), (width, dado), (96, 116, 134), max(1, height // 80))
    for panel in range(1, 6):
        x = width * panel // 6
        cv2.line(picture, (x, dado), (x, height), (76, 96, 116), max(1, height // 160))
    screen = (round(width * 0.72), round(height * 0.08)), (width - 1, round(height * 0.5))
    cv2.rectangle(picture, *screen, (222, 214, 206), -1)
    cv2.rectangle(picture, *screen, (60, 56, 54), max(1, height // 60))
    return picture
