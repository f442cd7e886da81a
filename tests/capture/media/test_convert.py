"""Frames of all formats become limited-range yuv420p of one size and matrix, with the same colours."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from capture.media.convert import FrameConverter, FramePacker, matrix_of
from capture.media.pictures import RawDecoder, plane_views, tag_frame
from capture.source import ColorMatrix

WIDTH, HEIGHT = 64, 32
BT2020 = 9
LAYOUTS = ("yuv420p", "yuv422p", "yuv444p")


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


def converted(frame: av.VideoFrame, matrix: ColorMatrix = ColorMatrix.BT601) -> list[int]:
    out = FrameConverter(WIDTH, HEIGHT, matrix).convert(frame)
    assert (out.width, out.height, out.colorspace) == (WIDTH, HEIGHT, matrix)
    return colour_of(out)


@pytest.mark.parametrize(
    ("said", "height", "matrix"),
    [
        (0, 720, ColorMatrix.BT709),
        (0, 719, ColorMatrix.BT601),
        (2, 1080, ColorMatrix.BT709),
        (2, 480, ColorMatrix.BT601),
        (3, 480, ColorMatrix.BT601),
        (ColorMatrix.BT709, 480, ColorMatrix.BT709),
        (ColorMatrix.BT601, 1080, ColorMatrix.BT601),
        (ColorMatrix.SMPTE170M, 1080, ColorMatrix.SMPTE170M),
        (BT2020, 480, ColorMatrix.BT709),
        (4, 480, ColorMatrix.BT709),
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


@pytest.mark.parametrize("form", [*LAYOUTS, *(name.replace("yuv", "yuvj") for name in LAYOUTS)])
@pytest.mark.parametrize(("full", "limited"), [((255, 128, 128), (235, 128, 128)), ((0, 0, 255), (16, 16, 240))])
def test_full_range_is_scaled_to_limited_whether_the_format_or_the_frame_says_so(
    form: str, full: tuple[int, int, int], limited: tuple[int, int, int]
) -> None:
    frame = planar(form, full, full=not form.startswith("yuvj"))
    assert converted(frame) == pytest.approx(limited, abs=1)


@pytest.mark.parametrize("form", ["yuv422p", "yuv444p"])
def test_other_layouts_of_chroma_keep_their_colours(form: str) -> None:
    assert converted(planar(form, (100, 90, 160))) == [100, 90, 160]


def test_what_has_no_chroma_is_grey() -> None:
    assert converted(planar("gray", (100, 0, 0), full=True)) == pytest.approx([16 + 100 * 219 / 255, 128, 128], abs=1)


@pytest.mark.parametrize(
    ("matrix", "red"), [(ColorMatrix.BT601, (81, 90, 240)), (ColorMatrix.BT709, (63, 102, 240))], ids=["601", "709"]
)
def test_red_is_the_red_of_the_matrix(matrix: ColorMatrix, red: tuple[int, int, int]) -> None:
    assert converted(rgb((255, 0, 0)), matrix) == pytest.approx(red, abs=2)
    assert converted(rgb((255, 0, 0), (2 * WIDTH, 2 * HEIGHT)), matrix) == pytest.approx(red, abs=2)


def test_a_red_of_one_matrix_is_the_red_of_another() -> None:
    assert converted(planar("yuv420p", (81, 90, 240), matrix=ColorMatrix.BT601), ColorMatrix.BT709) == pytest.approx(
        (63, 102, 240), abs=2
    )
    assert converted(planar("yuv444p", (63, 102, 240), matrix=ColorMatrix.BT709), ColorMatrix.BT601) == pytest.approx(
        (81, 90, 240), abs=2
    )


@pytest.mark.parametrize("size", [(2 * WIDTH, 2 * HEIGHT), (WIDTH // 2, HEIGHT // 2), (WIDTH, 2 * HEIGHT)])
def test_another_size_is_scaled_and_keeps_its_colour_and_its_range(size: tuple[int, int]) -> None:
    assert converted(planar("yuv420p", (100, 90, 160), size)) == pytest.approx([100, 90, 160], abs=1)
    assert converted(planar("yuvj420p", (255, 128, 128), size)) == pytest.approx([235, 128, 128], abs=1)
    assert converted(planar("yuv420p", (255, 128, 128), size, full=True)) == pytest.approx([235, 128, 128], abs=1)
    assert converted(planar("yuv420p", (63, 102, 240), size), ColorMatrix.BT709) == pytest.approx([63, 102, 240], abs=1)
    said = planar("yuv420p", (81, 90, 240), size, matrix=ColorMatrix.BT601)
    assert converted(said, ColorMatrix.BT709) == pytest.approx([63, 102, 240], abs=2)


def test_a_packed_format_is_unpacked() -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuyv422")
    frame.planes[0].update(bytes([100, 90, 100, 160]) * (frame.planes[0].buffer_size // 4))
    frame.color_range = ColorRange.MPEG
    assert converted(frame) == pytest.approx([100, 90, 160], abs=1)


@pytest.mark.parametrize("fourcc", ["YUYV", "NV12", "YU12"])
@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (854, 480), (322, 242)])
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
