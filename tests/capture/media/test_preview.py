"""Previews are small JPEG files of the right shape and colours, by another decoder (Pillow)."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from capture.media.pictures import plane_views
from capture.media.preview import JpegEncoder, decode_jpeg, shrink
from capture.source import ColorMatrix
from config.errors import MediaError

COLOURS = {
    "red": (220, 30, 40),
    "green": (20, 200, 60),
    "blue": (30, 60, 210),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
KR_KB = {ColorMatrix.BT709: (0.2126, 0.0722), ColorMatrix.BT601: (0.299, 0.114)}


def samples_of(colour: tuple[int, int, int], matrix: ColorMatrix) -> tuple[float, float, float]:
    """Return limited-range luma and chroma of a colour, by the standard's formulas."""
    kr, kb = KR_KB[matrix]
    r, g, b = (value / 255 for value in colour)
    y = kr * r + (1 - kr - kb) * g + kb * b
    return 16 + 219 * y, 128 + 224 * (b - y) / (2 - 2 * kb), 128 + 224 * (r - y) / (2 - 2 * kr)


def picture(width: int, height: int, colour: tuple[int, int, int], matrix: ColorMatrix) -> av.VideoFrame:
    """Return a picture of one colour."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, sample in zip(frame.planes, samples_of(colour, matrix), strict=True):
        plane.update(bytes([round(sample)]) * plane.buffer_size)
    frame.colorspace = int(matrix)
    return frame


def seen(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return image.convert("RGB")


@pytest.mark.parametrize("matrix", KR_KB)
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_colours_stay_what_they_are(colour: tuple[int, int, int], matrix: ColorMatrix) -> None:
    scaler, writer = VideoReformatter(), JpegEncoder()
    small = shrink(picture(1280, 720, colour, matrix), 320, scaler)
    for shown in (small, shrink(small, 160, scaler)):
        middle = np.asarray(seen(writer.write(shown)))[40, 40].astype(int)
        assert np.abs(middle - np.array(colour)).max() <= 4, middle


@pytest.mark.parametrize(
    ("size", "width", "expected"),
    [
        ((1920, 1080), 320, (320, 180)), ((640, 480), 320, (320, 240)), ((320, 240), 1280, (320, 240)),
        ((1080, 1920), 100, (100, 178)), ((1920, 1080), 33, (32, 18)), ((64, 2000), 32, (32, 1000)),
        ((640, 480), 1, (2, 2)), ((4000, 64), 32, (32, 2)),
    ],
)  # fmt: skip
def test_the_shape_stays_and_nothing_is_made_larger(
    size: tuple[int, int], width: int, expected: tuple[int, int]
) -> None:
    small = shrink(picture(*size, COLOURS["red"], ColorMatrix.BT709), width, VideoReformatter())
    assert seen(JpegEncoder().write(small)).size == expected


def test_it_is_a_copy() -> None:
    """The compositor draws the next picture into the same memory."""
    frame = picture(320, 180, COLOURS["white"], ColorMatrix.BT709)
    small = shrink(frame, 320, VideoReformatter())
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    assert seen(JpegEncoder().write(small)).getpixel((10, 10)) == (255, 255, 255)


def test_one_writer_takes_every_size_and_any_number_whatever_their_times() -> None:
    scaler, writer = VideoReformatter(), JpegEncoder()
    for at in (None, 5, 5, 3, 90_000):
        frame = picture(640, 360, COLOURS["blue"], ColorMatrix.BT709)
        frame.pts, frame.time_base = at, Fraction(1, 90_000)
        assert seen(writer.write(shrink(frame, 320, scaler))).width == 320
    for width in (320, 160, 320, 64):
        for _ in range(3):
            assert (
                seen(writer.write(shrink(picture(640, 360, COLOURS["blue"], ColorMatrix.BT709), width, scaler))).width
                == width
            )


@pytest.mark.parametrize("size", [(320, 180), (64, 64), (33, 17)])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_jpeg_of_others_is_read_as_what_it_shows(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=95)
    read = decode_jpeg(file.getvalue())
    assert (read.format.name, read.width, read.height) == ("yuv420p", *size)
    for plane, value in zip(plane_views(read), samples_of(colour, ColorMatrix.BT601), strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 3


@pytest.mark.parametrize("damage", [b"", b"\xff\xd8\xff\xd9", b"GIF89a" * 40])
def test_what_is_no_jpeg_is_said_to_be_none(damage: bytes) -> None:
    with pytest.raises(MediaError, match="damaged JPEG picture: "):
        decode_jpeg(damage)
