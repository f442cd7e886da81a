"""Pictures that are as hard to encode as a bit rate needs: a pattern that moves, with noise, and a cut now and then."""

import av
import numpy as np


class Moving:
    """`picture(n)` is always the same for the same n."""

    def __init__(self, width: int, height: int, *, cut_every: int = 150) -> None:
        self.width, self.height = width, height
        self._cut_every = cut_every
        random = np.random.default_rng(1)
        blocks = random.integers(0, 255, (height // 8 + 60, width // 8 + 60), dtype=np.uint8)
        self._pattern = np.kron(blocks, np.ones((8, 8), np.uint8))
        self._noise = [random.integers(0, 24, (height, width), dtype=np.uint8) for _ in range(7)]

    def picture(self, number: int) -> av.VideoFrame:
        x, y = (number * 5) % 200, (number * 3) % 200
        luma = self._pattern[y : y + self.height, x : x + self.width] // 2 + self._noise[number % 7]
        planes = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        planes[: self.height] = 255 - luma if number // self._cut_every % 2 else luma
        return av.VideoFrame.from_ndarray(planes, format="yuv420p")
