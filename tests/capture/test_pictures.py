"""Sizes that pictures are fitted to, uncompressed camera formats, and frames written past the padding of their rows."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.pictures import PicturePool, Planes, RawDecoder, fit, plane_views
from capture.source import Matrix
from config.errors import MediaError
from tests.support.bars import bars, ffmpeg, middles, raw_input, smooth, tagged_rgb

FORMATS = {"YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p"}
"""V4L2's names of the formats to ffmpeg's."""

lengths = st.integers(2, 8000)


def raw_by_ffmpeg(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], fourcc: str, *, full_range: bool) -> bytes:
    scale = f"scale=out_range={'full' if full_range else 'limited'}:out_color_matrix=bt601:flags=accurate_rnd"
    return ffmpeg(rgb.tobytes(), raw_input(rgb), "-vf", scale, "-pix_fmt", FORMATS[fourcc], "-f", "rawvideo")


@given(width=lengths, height=lengths, max_width=lengths, max_height=lengths)
def test_fitted_sizes_are_even_within_the_limits_and_of_the_same_shape(
    width: int, height: int, max_width: int, max_height: int
) -> None:
    fitted = fit(width, height, max_width, max_height)
    assert fitted[0] % 2 == fitted[1] % 2 == 0
    assert 2 <= fitted[0] <= max(2, min(width, max_width))
    assert 2 <= fitted[1] <= max(2, min(height, max_height))
    assert fit(width, height, *fitted) == fitted
    # As large as can be: one side is at its limit, the other within one even step of the shape.
    at_limits = fitted[0] == min(width, max_width) & ~1, fitted[1] == min(height, max_height) & ~1
    assert any(at_limits)
    other = fitted[0] * height / width - fitted[1] if at_limits[0] else fitted[1] * width / height - fitted[0]
    if not all(at_limits):
        assert abs(other) <= 2


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((1920, 1080), (1280, 720), (1280, 720)),
        ((1280, 720), (1920, 1080), (1280, 720)),
        ((640, 480), (1280, 400), (534, 400)),
        ((1366, 768), (640, 480), (640, 360)),
        ((101, 77), (101, 77), (100, 76)),
    ],
)
def test_usual_sizes(size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit(*size, *limits) == expected


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("fourcc", FORMATS)
def test_uncompressed_bars_keep_their_colours(fourcc: str, *, full_range: bool) -> None:
    rgb = bars()
    data = raw_by_ffmpeg(rgb, fourcc, full_range=full_range)
    picture = RawDecoder(fourcc, rgb.shape[1], rgb.shape[0], full_range=full_range).decode(data)
    assert (picture.format.name, picture.color_range, picture.colorspace) == ("yuv420p", 1, 5)
    assert np.abs(middles(tagged_rgb(picture)) - middles(rgb)).max() <= 3


@pytest.mark.parametrize("fourcc", FORMATS)
@pytest.mark.parametrize("size", [(638, 358), (1280, 720)])
def test_uncompressed_pictures_are_those_of_ffmpeg(fourcc: str, size: tuple[int, int]) -> None:
    data = raw_by_ffmpeg(smooth(*size), fourcc, full_range=False)
    source = ("-f", "rawvideo", "-pix_fmt", FORMATS[fourcc], "-s", f"{size[0]}x{size[1]}")
    for limits in (size, (320, 180)):
        decoder = RawDecoder(fourcc, *size, *limits)
        scale = f"scale={decoder.width}:{decoder.height}:flags=area+accurate_rnd,format=yuv420p"
        raw = np.frombuffer(ffmpeg(data, source, "-vf", scale, "-f", "rawvideo"), np.uint8)
        shown = np.concatenate([plane.ravel() for plane in plane_views(decoder.decode(data))])
        assert np.abs(shown.astype(int) - raw).max() <= 3


def test_rows_may_be_padded_in_the_frame() -> None:
    pool = PicturePool(70, 6, Matrix.BT709)
    y = np.arange(70 * 6, dtype=np.uint8).reshape(6, 70)
    u, v = (np.full((3, 35), level, np.uint8) for level in (90, 200))
    picture = pool.store(Planes(y, u, v, full_range=False))
    assert picture.planes[0].line_size > picture.width
    assert picture.colorspace == Matrix.BT709
    assert picture.to_ndarray().tobytes() == y.tobytes() + u.tobytes() + v.tobytes()


def test_a_used_frame_brings_nothing_of_its_last_use() -> None:
    decoder = RawDecoder("YU12", 64, 48)
    data = bytes(64 * 48 * 3 // 2)
    first = decoder.decode(data)
    first.pts, first.pict_type = 77, av.video.frame.PictureType.I
    decoder.decode(data)
    again = decoder.decode(data)
    assert (again.pts, again.pict_type) == (None, 0)


def test_a_picture_with_bytes_missing_is_damaged_and_spare_ones_are_not() -> None:
    decoder = RawDecoder("YUYV", 64, 48)
    with pytest.raises(MediaError, match="6143 bytes where 6144"):
        decoder.decode(bytes(64 * 48 * 2 - 1))
    assert decoder.decode(bytes(64 * 48 * 2 + 100)).width == 64


@pytest.mark.parametrize(("fourcc", "width", "height"), [("RGB3", 64, 48), ("YUYV", 63, 48), ("NV12", 64, 47)])
def test_what_cannot_be_converted_is_refused_at_once(fourcc: str, width: int, height: int) -> None:
    with pytest.raises(ValueError, match=fourcc):
        RawDecoder(fourcc, width, height)
