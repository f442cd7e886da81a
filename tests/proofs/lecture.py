"""A lecture for the watches: what its camera and its capture card send, as JPEGs, the same for each seed."""

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from capture.media.pictures import Plane
from capture.synthetic.marks import Bgr
from capture.synthetic.slides import SLIDES, draw_slide
from capture.synthetic.speaker import Speaker
from tests.support.scenes import Shot, jpeg, plain, titled

WIDTH, HEIGHT, RATE = 640, 360, 30
SIZE: Final = (WIDTH, HEIGHT)

STAYS_S = 25 * 60
_FADE_FRAMES = 15
_MARGIN = 64


_FULL_RANGE = np.clip((np.arange(256) - 16) * 255 / 219, 0, 255).round().astype(np.uint8)[None]


def camera(seconds: float, seed: int, size: tuple[int, int] = SIZE) -> Iterator[Shot]:
    """Give a talking head and what else a camera at a lectern sees, in scenes of 20 to 90 s."""
    random_ = random.Random(seed)
    pictures = _CameraPictures(random_, size)
    scenes: list[Callable[[float, int, float], bytes]] = [
        pictures.speaking, pictures.denoised, pictures.empty, pictures.dim, pictures.lights,
    ]  # fmt: skip
    scene, began_s, ends_s = scenes[0], 0.0, 20.0
    for number in count():
        at_s = number / RATE
        if at_s >= seconds:
            return
        if at_s >= ends_s:
            scene, began_s, ends_s = random_.choice(scenes), at_s, at_s + random_.uniform(20, 90)
        picture = scene(at_s, number, at_s - began_s)
        if random_.random() > 0.002:  # some are lost on the way
            yield at_s + min(max(random_.gauss(0, 0.0015), -0.01), 0.01), picture


class _CameraPictures:
    """Draws the pictures of a camera, with noise that is never the same."""

    def __init__(self, random_: random.Random, size: tuple[int, int]) -> None:
        self._random = random_
        self._size = size
        self._speaker = Speaker(*size)
        generator = np.random.default_rng(random_.randrange(1 << 30))
        shape = size[1] + _MARGIN, size[0] + _MARGIN
        self._noise = {sd: generator.normal(0, sd, shape).round().astype(np.int8) for sd in (0.35, 1.2, 2.5)}
        self._still = tuple(plane.copy() for plane in self._speaker.draw(1.0, 0))

    def speaking(self, at_s: float, number: int, _since_s: float) -> bytes:
        return self._sent(*self._speaker.draw(at_s, number), noise=1.2)

    def denoised(self, at_s: float, number: int, _since_s: float) -> bytes:
        """Draw somebody who hardly moves, by a camera with heavy noise reduction."""
        y, u, v = self._speaker.draw(at_s / 20, 0)
        return self._sent(cv2.medianBlur(y, 3), u, v, noise=0.35)  # type: ignore[arg-type]

    def empty(self, _at_s: float, _number: int, _since_s: float) -> bytes:
        """Draw what does not move at all, but for the noise of the sensor."""
        y, u, v = self._still
        return self._sent(y, u, v, noise=1.2)

    def dim(self, at_s: float, number: int, _since_s: float) -> bytes:
        """Draw a hall without light, the gain turned up."""
        return self._darker(at_s, number, 0.25)

    def lights(self, at_s: float, number: int, since_s: float) -> bytes:
        """Draw the light going down and up again, every ten seconds."""
        return self._darker(at_s, number, 0.2 + 0.8 * abs(1 - since_s % 10 / 5))

    def _darker(self, at_s: float, number: int, light: float) -> bytes:
        y, u, v = self._speaker.draw(at_s, number)
        dark = cv2.convertScaleAbs(y, None, light, 16 * (1 - light))
        return self._sent(dark, u, v, noise=2.5)  # type: ignore[arg-type]

    def _sent(self, y: Plane, u: Plane, v: Plane, *, noise: float) -> bytes:
        top, left = self._random.randrange(_MARGIN), self._random.randrange(_MARGIN)
        grain = self._noise[noise][top : top + self._size[1], left : left + self._size[0]]
        seen = cv2.LUT(cv2.add(y, grain, dtype=cv2.CV_8U), _FULL_RANGE)
        return bytes(simplejpeg.encode_jpeg_yuv_planes(seen, u, v, 82))


def card(seconds: float, seed: int, size: tuple[int, int] = SIZE) -> Iterator[Shot]:
    """Give slides: some change quickly, then one stays for 25 minutes, or for most of the time if there is less."""
    random_ = random.Random(seed)
    slides = _slides(size)
    stays_from_s = max(seconds - STAYS_S, seconds * 0.2)
    shown, until_s = 0, 0.0
    pictures: Iterator[bytes] = iter(())
    for number in count():
        at_s = number / RATE
        if at_s >= seconds:
            return
        if at_s >= until_s:
            before, shown = shown, random_.randrange(len(slides) - 1)
            # A black slide is for a moment, a picture that nobody touches for as long as it takes.
            until_s = min(at_s + random_.uniform(4, 25), stays_from_s) if at_s < stays_from_s else seconds
            shown = 0 if until_s == seconds else shown
            pictures = _shown(slides[before], slides[shown])
        yield at_s + random_.uniform(-0.002, 0.002), next(pictures)


def _shown(before: Bgr, slide: Bgr) -> Iterator[bytes]:
    """Fade from one slide to the next, which then stays."""
    for step in range(1, _FADE_FRAMES):
        share = step / _FADE_FRAMES
        yield jpeg(np.asarray(cv2.addWeighted(before, 1 - share, slide, share, 0), np.uint8))
    last = jpeg(slide)
    while True:
        yield bytes(bytearray(last))  # equal bytes, and another object each time, as from a driver


def _slides(size: tuple[int, int]) -> list[Bgr]:
    """Return RGB slides; the first is an ordinary one."""
    drawn = [np.ascontiguousarray(draw_slide(slide, *size)[:, :, ::-1]) for slide in SLIDES]
    colours = [(0, 0, 255), (0, 0, 170), (0, 60, 140), (255, 255, 255), (0, 0, 0), (10, 10, 14)]
    titles = [titled(plain(*colour, size), "Terima kasih", (200, 200, 60)) for colour in colours]
    return [*drawn, *titles, plain(255, 255, 255, size), plain(0, 112, 192, size), plain(0, 0, 0, size)]
