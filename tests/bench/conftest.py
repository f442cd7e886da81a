"""Something small for both sides of a comparison to work on."""

from collections.abc import Iterator

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]  # ships no types

from tests.bench.material import Clip, write


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Three seconds of something that moves."""
    made = Clip(tmp_path_factory.mktemp("clip") / "small.mkv", 320, 180, 30, 90, 500_000)
    write(made, _jpegs(made))
    return made


def _jpegs(clip: Clip) -> Iterator[bytes]:
    across, down = np.meshgrid(np.arange(clip.width), np.arange(clip.height))
    for number in range(clip.pictures):
        planes = (across + 3 * number, down + number, across * down // 100 + 5 * number)
        picture = np.ascontiguousarray(np.stack(planes, axis=2) % 256, np.uint8)
        yield bytes(simplejpeg.encode_jpeg(picture, 85, "BGR", "422"))
