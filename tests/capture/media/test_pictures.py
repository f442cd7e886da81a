"""Frames of all formats become limited-range yuv420p of a fitted size and one matrix, with the same colours."""

import itertools

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given
from hypothesis import strategies as st

from capture.media.convert import FrameConverter, FramePacker, matrix_of
from capture.media.pictures import (
    FramePool,
    Planes,
    RawDecoder,
    SizeCache,
    copy_planes,
    fit_size,
    plane_views,
    rotate,
    tag_frame,
)
from capture.source import ColorMatrix
from config.errors import MediaError
from tests.support.bars import bars, ffmpeg, middles, raw_input, smooth, tagged_rgb

pytestmark = pytest.mark.computing

FORMATS = {"YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p"}
"""Maps V4L2's formats to ffmpeg's."""

lengths = st.integers(2, 8000)


def raw_by_ffmpeg(rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], fourcc: str, *, full_range: bool) -> bytes:
    scale = f"scale=out_range={'full' if full_range else 'limited'}:out_color_matrix=bt601:flags=accurate_rnd"
    return ffmpeg(rgb.tobytes(), raw_input(rgb), "-vf", scale, "-pix_fmt", FORMATS[fourcc], "-f", "rawvideo")


@given(width=lengths, height=lengths, max_width=lengths, max_height=lengths)
def test_fitted_sizes_are_even_within_the_limits_and_of_the_same_shape(
    width: int, height: int, max_width: int, max_height: int
) -> None:
    fitted = fit_size(width, height, max_width, max_height)
    assert fitted[0] % 2 == fitted[1] % 2 == 0
    assert 2 <= fitted[0] <= max(2, min(width, max_width))
    assert 2 <= fitted[1] <= max(2, min(height, max_height))
    assert fit_size(width, height, *fitted) == fitted
    # As large as can be: one side is at its limit, the other within one even step of the shape.
    at_limits = fitted[0] == min(width, max_width) & ~1, fitted[1] == min(height, max_height) & ~1
    assert any(at_limits)
    other = fitted[0] * height / width - fitted[1] if at_limits[0] else fitted[1] * width / height - fitted[0]
    if not all(at_limits):
        assert abs(other) <= 2


@pytest.mark.parametrize(
    ("size", "limits", "expected"),
    [
        ((640, 480), (1280, 400), (534, 400)),
        ((1366, 768), (640, 480), (640, 360)),
        ((101, 77), (101, 77), (100, 76)),
        ((100, 3), (100, 3), (66, 2)),
    ],
)
def test_usual_sizes(size: tuple[int, int], limits: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_size(*size, *limits) == expected


@pytest.mark.parametrize(("fourcc", "full_range"), [("YUYV", False), ("UYVY", True), ("NV12", True), ("YU12", False)])
def test_uncompressed_bars_keep_their_colours(fourcc: str, *, full_range: bool) -> None:
    rgb = bars()
    data = raw_by_ffmpeg(rgb, fourcc, full_range=full_range)
    picture = RawDecoder(fourcc, (rgb.shape[1], rgb.shape[0]), full_range=full_range).decode(data)
    assert (picture.format.name, picture.color_range, picture.colorspace) == ("yuv420p", 1, 5)
    assert np.abs(middles(tagged_rgb(picture)) - middles(rgb)).max() <= 3


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12"])
def test_uncompressed_pictures_are_those_of_ffmpeg(fourcc: str) -> None:
    size = (638, 358)
    data = raw_by_ffmpeg(smooth(*size), fourcc, full_range=False)
    source = ("-f", "rawvideo", "-pix_fmt", FORMATS[fourcc], "-s", f"{size[0]}x{size[1]}")
    for limits in (size, (320, 180)):
        decoder = RawDecoder(fourcc, size, limits)
        scale = f"scale={decoder.width}:{decoder.height}:flags=area+accurate_rnd,format=yuv420p"
        raw = np.frombuffer(ffmpeg(data, source, "-vf", scale, "-f", "rawvideo"), np.uint8)
        shown = np.concatenate([plane.ravel() for plane in plane_views(decoder.decode(data))])
        assert np.abs(shown.astype(int) - raw).max() <= 3


def test_rows_may_be_padded_in_the_frame() -> None:
    pool = FramePool(70, 6, ColorMatrix.BT709)
    y = np.arange(70 * 6, dtype=np.uint8).reshape(6, 70)
    u, v = (np.full((3, 35), level, np.uint8) for level in (90, 200))
    picture = pool.store(Planes(y, u, v, full_range=False))
    assert picture.planes[0].line_size > picture.width
    assert picture.colorspace == ColorMatrix.BT709
    assert picture.to_ndarray().tobytes() == y.tobytes() + u.tobytes() + v.tobytes()


def test_a_used_frame_brings_nothing_of_its_last_use() -> None:
    decoder = RawDecoder("YU12", (64, 48))
    data = bytes(64 * 48 * 3 // 2)
    first = decoder.decode(data)
    first.pts, first.pict_type = 77, av.video.frame.PictureType.I
    decoder.decode(data)
    again = decoder.decode(data)
    assert (again.pts, again.pict_type) == (None, 0)


def test_a_picture_with_bytes_missing_is_damaged_and_spare_ones_are_not() -> None:
    decoder = RawDecoder("YUYV", (64, 48))
    with pytest.raises(MediaError, match="6143 bytes where 6144"):
        decoder.decode(bytes(64 * 48 * 2 - 1))
    assert decoder.decode(bytes(64 * 48 * 2 + 100)).width == 64


@pytest.mark.parametrize(("fourcc", "size"), [("RGB3", (64, 48)), ("YUYV", (63, 48)), ("NV12", (64, 47))])
def test_what_cannot_be_converted_is_refused_at_once(fourcc: str, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=fourcc):
        RawDecoder(fourcc, size)


LAYOUTS = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1), "yuv440p": (1, 2), "yuv411p": (4, 1), "gray": None}
"""Luma samples of a chroma sample, across and down."""


@pytest.mark.parametrize("size", [(64, 48), (32, 24), (128, 96), (40, 30)], ids=["same", "half", "double", "by-parts"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_of_the_full_range_become_those_of_the_limited_one_at_each_size_which_stay(
    layout: str, size: tuple[int, int]
) -> None:
    pool = FramePool(*size, ColorMatrix.BT709)
    for full_range, levels, meant in (
        (True, (0, 0, 255), (16, 16, 240)),
        (True, (255, 255, 128), (235, 240, 128)),
        (False, (17, 18, 239), (17, 18, 239)),
    ):
        planes = plain_planes(levels, LAYOUTS[layout], full_range=full_range)
        shown = [int(value) for plane in plane_views(pool.store(planes)) for value in (plane.min(), plane.max())]
        expected = meant if LAYOUTS[layout] else (meant[0], 128, 128)
        assert shown == [value for value in expected for _ in range(2)]


def plain_planes(values: tuple[int, int, int], shares: tuple[int, int] | None, *, full_range: bool) -> Planes:
    """Return a 64x48 picture of one colour."""
    y = np.full((48, 64), values[0], np.uint8)
    if shares is None:
        return Planes(y, None, None, full_range)
    across, down = shares
    u, v = (np.full((48 // down, 64 // across), value, np.uint8) for value in values[1:])
    return Planes(y, u, v, full_range)


def test_rows_of_422_become_the_mean_of_two() -> None:
    u = np.repeat(np.array([[10], [31]], np.uint8), 24, axis=0)  # 24 rows of each: within one, all are alike
    u[0:2, 0] = 10, 40
    planes = Planes(np.zeros((48, 64), np.uint8), np.repeat(u, 32, axis=1), np.full((48, 32), 9, np.uint8), False)
    shown = plane_views(FramePool(64, 48, ColorMatrix.BT601).store(planes))[1]
    assert shown[0, 0] == 25
    assert (shown[1:12] == 10).all()
    assert (shown[12:] == 31).all()


def test_edges_stay_sharp_to_the_pixel_when_a_picture_shrinks_to_half_and_are_smoothed_when_it_grows() -> None:
    y = np.zeros((48, 64), np.uint8)
    y[:, 32:] = 200
    planes = Planes(y, None, None, full_range=False)
    smaller = plane_views(FramePool(32, 24, ColorMatrix.BT601).store(planes))[0]
    assert set(np.unique(smaller)) == {0, 200}
    larger = plane_views(FramePool(128, 48, ColorMatrix.BT601).store(planes))[0]
    assert set(np.unique(larger)) == {0, 50, 150, 200}
    lines = np.repeat(np.array([[0], [200]], np.uint8), 12, axis=0).repeat(128, axis=1)
    higher = plane_views(FramePool(128, 48, ColorMatrix.BT601).store(Planes(lines, None, None, full_range=False)))[0]
    assert set(np.unique(higher)) == {0, 50, 150, 200}


@pytest.mark.parametrize("is_upright", [False, True])
def test_all_of_a_picture_counts_when_only_one_side_shrinks(*, is_upright: bool) -> None:
    y = np.zeros((48, 64), np.uint8)
    y[:, ::4] = 200
    size, y = ((48, 16), y.T.copy()) if is_upright else ((16, 48), y)
    smaller = plane_views(FramePool(*size, ColorMatrix.BT601).store(Planes(y, None, None, full_range=False)))[0]
    assert (smaller == 50).all()


def test_each_level_of_the_full_range_becomes_the_nearest_of_the_limited_one() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pool = FramePool(16, 16, ColorMatrix.BT601)
    luma, *_ = plane_views(pool.store(Planes(levels, None, None, full_range=True)))
    assert np.array_equal(luma, np.rint(levels / 255 * 219 + 16))
    wide = FramePool(32, 32, ColorMatrix.BT601)
    plain = np.zeros((32, 32), np.uint8)
    _, u, v = plane_views(wide.store(Planes(plain, levels, levels[::-1], full_range=True)))
    exactly = (levels - 128.0) / 255 * 224 + 128
    assert np.array_equal(u, np.rint(exactly))
    assert np.array_equal(v, np.rint(exactly[::-1]))
    below = np.repeat(levels, 2, axis=0)
    below[1::2] = 255 - levels // 3
    _, u, _ = plane_views(wide.store(Planes(plain, below, below, full_range=True)))
    means = ((levels + (255.0 - levels // 3)) / 2 - 128) / 255 * 224 + 128
    assert np.abs(u - means).max() <= 0.5 + 1e-6, "rounded once"


def test_pictures_of_another_size_and_layout_are_shrunk_by_parts_too() -> None:
    pool = FramePool(40, 30, ColorMatrix.BT601)
    for shares in ((2, 2), (1, 1), (2, 2)):
        assert plane_views(pool.store(plain_planes((90, 91, 92), shares, full_range=False)))[2][0, 0] == 92
    larger = Planes(np.full((96, 128), 93, np.uint8), None, None, full_range=False)
    assert plane_views(pool.store(larger))[0][0, 0] == 93


def test_planes_are_copied_into_others_of_the_same_number_and_sizes() -> None:
    source = [np.full((4, 6), 7, np.uint8), np.full((2, 3), 8, np.uint8)]
    into = [np.zeros((4, 6), np.uint8), np.zeros((2, 3), np.uint8)]
    copy_planes(source, into)
    assert [plane.tolist() for plane in into] == [plane.tolist() for plane in source]
    with pytest.raises(ValueError, match="shorter"):
        copy_planes(source, into[:1])


# Frames of other formats

WIDTH, HEIGHT = 64, 32


def planar(
    form: str,
    yuv: tuple[int, int, int],
    size: tuple[int, int] = (WIDTH, HEIGHT),
    *,
    full: bool = False,
    matrix: int = 2,
) -> av.VideoFrame:
    """Return a frame of one colour; `matrix` 2 is unspecified."""
    frame = av.VideoFrame(*size, form)
    for plane, value in zip(frame.planes, yuv, strict=False):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    frame.colorspace = matrix
    return frame


def rgb(colour: tuple[int, int, int], size: tuple[int, int] = (WIDTH, HEIGHT)) -> av.VideoFrame:
    samples = np.full((size[1], size[0], 3), colour, np.uint8)
    return av.VideoFrame.from_ndarray(samples, "rgb24")


def colour_of(frame: av.VideoFrame) -> list[int]:
    """Return the one value of each plane, within one level."""
    assert frame.format.name == "yuv420p"
    assert frame.color_range == ColorRange.MPEG
    views = plane_views(frame)
    assert all(int(view.max()) - int(view.min()) <= 1 for view in views)
    assert [view.shape for view in views[1:]] == [(frame.height // 2, frame.width // 2)] * 2
    return [round(float(view.mean())) for view in views]


@pytest.mark.parametrize(
    ("said", "height", "matrix"),
    [
        (0, 720, ColorMatrix.BT709),
        (0, 719, ColorMatrix.BT601),
        (2, 1080, ColorMatrix.BT709),
        (2, 480, ColorMatrix.BT601),
        (3, 480, ColorMatrix.BT601),
        (ColorMatrix.BT601, 1080, ColorMatrix.BT601),
        (ColorMatrix.SMPTE170M, 1080, ColorMatrix.SMPTE170M),
        (9, 480, ColorMatrix.BT709),  # BT.2020
    ],
)
def test_pictures_keep_their_matrix_where_players_know_it(said: int, height: int, matrix: ColorMatrix) -> None:
    assert matrix_of(said, height) is matrix


def test_what_is_right_already_is_not_copied() -> None:
    frame = planar("yuv420p", (100, 90, 160), matrix=ColorMatrix.BT601)
    assert FrameConverter(WIDTH, HEIGHT, ColorMatrix.BT601).convert(frame) is frame
    unspecified = planar("yuv420p", (100, 90, 160))
    out = FrameConverter(WIDTH, HEIGHT, ColorMatrix.BT709).convert(unspecified)
    assert out is unspecified
    assert out.colorspace == ColorMatrix.BT709


def packed(colour: tuple[int, int, int]) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuyv422")
    y, u, v = colour
    frame.planes[0].update(bytes([y, u, y, v]) * (frame.planes[0].buffer_size // 4))
    frame.color_range = ColorRange.MPEG
    return frame


BT601, BT709 = ColorMatrix.BT601, ColorMatrix.BT709
LARGER, LOWER = (2 * WIDTH, 2 * HEIGHT), (WIDTH, HEIGHT // 2)
RED, RED_601, RED_709 = (255, 0, 0), (81, 90, 240), (63, 102, 240)


@pytest.mark.parametrize(
    ("frame", "matrix", "colour", "within"),
    [
        # Full range, whether the format or the frame says so, at every size.
        (planar("yuv420p", (0, 0, 255), full=True), BT601, (16, 16, 240), 1),
        (planar("yuvj422p", (0, 0, 255)), BT601, (16, 16, 240), 1),
        (planar("yuv444p", (255, 128, 128), full=True), BT601, (235, 128, 128), 1),
        (planar("yuv420p", (255, 128, 128), LARGER, full=True), BT601, (235, 128, 128), 1),
        (planar("yuvj420p", (255, 128, 128), LOWER), BT601, (235, 128, 128), 1),
        # Other layouts of chroma.
        (planar("yuv422p", (100, 90, 160)), BT601, (100, 90, 160), 0),
        (planar("yuv444p", (100, 90, 160)), BT601, (100, 90, 160), 0),
        (planar("gray", (100, 0, 0), full=True), BT601, (102, 128, 128), 1),
        (packed((100, 90, 160)), BT601, (100, 90, 160), 1),
        # Other sizes.
        (planar("yuv420p", (100, 90, 160), LARGER), BT601, (100, 90, 160), 1),
        (planar("yuv420p", (63, 102, 240), LOWER), BT709, (63, 102, 240), 1),
        # Other matrices.
        (rgb(RED), BT601, RED_601, 2),
        (rgb(RED), BT709, RED_709, 2),
        (rgb(RED, LARGER), BT709, RED_709, 2),
        (planar("yuv420p", RED_601, matrix=BT601), BT709, RED_709, 2),
        (planar("yuv420p", RED_601, LARGER, matrix=BT601), BT709, RED_709, 2),
        (planar("yuv444p", RED_709, matrix=BT709), BT601, RED_601, 2),
    ],
)
def test_every_format_is_converted_with_its_colour(
    frame: av.VideoFrame, matrix: ColorMatrix, colour: tuple[int, int, int], within: int
) -> None:
    out = FrameConverter(WIDTH, HEIGHT, matrix).convert(frame)
    assert (out.width, out.height, out.colorspace) == (WIDTH, HEIGHT, matrix)
    assert colour_of(out) == pytest.approx(colour, abs=within)


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12", "YU12"])
@pytest.mark.parametrize("size", [(64, 48), (322, 242)])
def test_a_packed_picture_is_decoded_as_it_was(fourcc: str, size: tuple[int, int]) -> None:
    width, height = size
    picture = tag_frame(av.VideoFrame(width, height, "yuv420p"), ColorMatrix.BT601)
    across, down = np.meshgrid(np.linspace(16, 235, width), np.linspace(0, 1, height))
    planes = plane_views(picture)
    planes[0][:] = across * down + 16 * (1 - down)
    planes[1][:] = 90
    planes[2][:] = np.linspace(60, 200, width // 2)[None, :]
    packer = FramePacker(fourcc)
    packed = bytes(packer.pack(picture))
    assert len(packed) == width * height * (4 if fourcc == "YUYV" else 3) // 2
    seen = plane_views(RawDecoder(fourcc, (width, height)).decode(packed))
    for before, after in zip(planes, seen, strict=True):
        assert np.abs(before.astype(int) - after).max() <= 1
    assert bytes(packer.pack(picture)) == packed


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_frame_is_turned_to_the_left_by_quarters(quarters: int) -> None:
    frame = av.VideoFrame(6, 4, "yuv420p")
    for plane in plane_views(frame):
        plane[:] = np.arange(plane.size).reshape(plane.shape)
    turned = rotate(frame, quarters, ColorMatrix.BT709)
    assert (turned.width, turned.height) == ((6, 4) if quarters == 2 else (4, 6))
    for before, after in zip(plane_views(frame), plane_views(turned), strict=True):
        assert np.array_equal(np.rot90(before, quarters), after)


def test_the_latest_three_smaller_sizes_are_kept_beside_the_full_one() -> None:
    numbers = itertools.count(1)
    cache = SizeCache((1920, 1080), lambda _size: next(numbers))
    sizes = [(1280, 720), (640, 360), (320, 180), (160, 90)]
    assert [cache.get(size) for size in (None, (1920, 1080), *sizes)] == [1, 1, 2, 3, 4, 5]
    assert [cache.get(size) for size in (*sizes[2:], sizes[1], None)] == [4, 5, 3, 1]
    assert cache.get(sizes[0]) == 6, "the oldest was dropped"
    assert cache.get(sizes[1]) == 3, "who was asked for last is kept"
