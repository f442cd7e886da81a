"""Pictures packed for an output node: what a camera's decoder makes of them is what they were."""

import av
import numpy as np
import pytest

from capture.packing import Packer
from capture.pictures import RawDecoder, plane_views, tagged
from capture.source import Matrix


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12", "YU12"])
@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (854, 480), (322, 242)])
def test_whoever_reads_it_sees_the_picture(fourcc: str, size: tuple[int, int]) -> None:
    width, height = size
    picture = tagged(av.VideoFrame(width, height, "yuv420p"), Matrix.BT601)
    across, down = np.meshgrid(np.linspace(16, 235, width), np.linspace(0, 1, height))
    planes = plane_views(picture)
    planes[0][:] = across * down + 16 * (1 - down)
    planes[1][:] = 90
    planes[2][:] = np.linspace(60, 200, width // 2)[None, :]
    packer = Packer(fourcc, size)
    packed = bytes(packer.pack(picture))
    assert len(packed) == width * height * (4 if fourcc == "YUYV" else 3) // 2
    seen = plane_views(RawDecoder(fourcc, width, height).decode(packed))
    for before, after in zip(planes, seen, strict=True):
        assert np.abs(before.astype(int) - after).max() <= 1
    assert bytes(packer.pack(picture)) == packed
