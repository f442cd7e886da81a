"""MJPEG to limited-range planes: ffmpeg's colours from both decoders, nothing from damage; previews as JPEG."""

import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image as PillowImage

from capture.media import jpeg as jpegs
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import plane_views
from capture.media.preview import JpegEncoder, decode_jpeg, shrink
from capture.source import ColorMatrix
from config.errors import MediaError
from tests.support.bars import Image, bars, ffmpeg, ffmpeg_jpeg, ffmpeg_rgb, middles, simple_jpeg, smooth, tagged_rgb

pytestmark = pytest.mark.computing

WIDTH, HEIGHT = 96, 64


@pytest.fixture(params=["turbo", "libavcodec"])
def use_turbo(request: pytest.FixtureRequest) -> bool:
    assert jpegs.turbojpeg_library() is not None, "libturbojpeg is not installed"
    return bool(request.param == "turbo")


def snapshot(picture: av.VideoFrame) -> tuple[bytes, ...]:
    return tuple(plane.tobytes() for plane in plane_views(picture))


def largest_difference(one: av.VideoFrame, other: tuple[Image, ...]) -> int:
    pairs = zip(plane_views(one), other, strict=True)
    return max(int(np.abs(a.astype(int) - b.astype(int)).max()) for a, b in pairs)


def planes_by_ffmpeg(jpeg: bytes, width: int, height: int) -> tuple[Image, ...]:
    """Return limited-range yuv420p planes of a JPEG, scaled by ffmpeg."""
    scale = f"scale={width}:{height}:flags=area+accurate_rnd:out_range=limited:out_color_matrix=bt601,format=yuv420p"
    raw = np.frombuffer(ffmpeg(jpeg, ("-f", "mjpeg"), "-vf", scale, "-f", "rawvideo"), np.uint8)
    y, u, v = np.split(raw, [width * height, width * height * 5 // 4])
    return y.reshape(height, width), u.reshape(height // 2, -1), v.reshape(height // 2, -1)


def without(jpeg: bytes, *markers: int) -> bytes:
    """Return a JPEG without header segments of these kinds."""
    kept, position = [jpeg[:2]], 2
    while jpeg[position + 1] != 0xDA:
        length = 2 + int.from_bytes(jpeg[position + 2 : position + 4])
        if jpeg[position + 1] not in markers:
            kept.append(jpeg[position : position + length])
        position += length
    return b"".join(kept) + jpeg[position:]


@pytest.mark.parametrize(("maker", "subsampling"), [("ffmpeg", "422"), ("libjpeg", "420")])
def test_colour_bars_are_those_of_ffmpeg_within_two_levels(maker: str, subsampling: str, *, use_turbo: bool) -> None:
    rgb = bars()
    jpeg = ffmpeg_jpeg(rgb, f"yuvj{subsampling}p") if maker == "ffmpeg" else simple_jpeg(rgb, subsampling, 98)
    picture = JpegDecoder((rgb.shape[1], rgb.shape[0]), use_turbo=use_turbo).decode(jpeg)
    assert (picture.format.name, picture.color_range, picture.colorspace, picture.pict_type) == ("yuv420p", 1, 5, 0)
    shown, expected = middles(tagged_rgb(picture)), middles(ffmpeg_rgb(jpeg, rgb.shape))
    assert np.abs(expected - np.array(middles(rgb))).max() < 4  # the judge sees the bars that were drawn
    assert np.abs(shown - expected).max() <= 2


@pytest.mark.parametrize(
    ("subsampling", "size"),
    [
        ("444", (320, 240)),
        ("422", (182, 102)),
        ("420", (101, 77)),
        ("440", (182, 102)),
        ("411", (64, 48)),
        ("Gray", (101, 77)),
    ],
)
def test_every_subsampling_and_size_becomes_what_ffmpeg_makes_of_it(
    subsampling: str, size: tuple[int, int], *, use_turbo: bool
) -> None:
    jpeg = simple_jpeg(smooth(*size), subsampling)
    picture = JpegDecoder(size, use_turbo=use_turbo).decode(jpeg)
    assert (picture.width, picture.height) == (size[0] & ~1, size[1] & ~1)
    if size[0] % 2 == 0:
        assert largest_difference(picture, planes_by_ffmpeg(jpeg, *size)) <= 4
    else:  # cut, not scaled
        even = simple_jpeg(smooth(*size)[: size[1] & ~1, : size[0] & ~1], subsampling)
        assert largest_difference(picture, planes_by_ffmpeg(even, picture.width, picture.height)) <= 6


@pytest.mark.parametrize(
    ("target", "subsampling"), [((320, 180), "422"), ((200, 200), "420"), ((90, 400), "Gray"), ((4000, 4000), "422")]
)
def test_pictures_are_scaled_to_fit_in_their_own_shape(
    target: tuple[int, int], subsampling: str, *, use_turbo: bool
) -> None:
    jpeg = simple_jpeg(smooth(640, 360), subsampling)
    decoder = JpegDecoder((640, 360), target, use_turbo=use_turbo)
    assert decoder.width <= target[0]
    assert decoder.height <= target[1]
    assert decoder.width % 2 == decoder.height % 2 == 0
    assert decoder.width / decoder.height == pytest.approx(16 / 9, rel=0.03)
    picture = decoder.decode(jpeg)
    assert (picture.width, picture.height) == (decoder.width, decoder.height)
    assert largest_difference(picture, planes_by_ffmpeg(jpeg, picture.width, picture.height)) <= 4


def test_equal_bytes_are_not_decoded_again(*, use_turbo: bool) -> None:
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    first, other = simple_jpeg(smooth(WIDTH, HEIGHT)), simple_jpeg(smooth(WIDTH, HEIGHT, 1))
    picture = decoder.decode(first)
    assert decoder.decode(bytes(bytearray(first))) is picture
    second = decoder.decode(other)
    assert snapshot(second) != snapshot(picture)
    assert decoder.decode(first) is not second


def test_a_picture_stays_unchanged_until_the_next_call_but_one() -> None:
    jpegs = [simple_jpeg(smooth(WIDTH, HEIGHT, phase)) for phase in range(3)]
    alone = [snapshot(JpegDecoder((WIDTH, HEIGHT)).decode(jpeg)) for jpeg in jpegs]
    for order in itertools.product(range(3), repeat=4):
        decoder = JpegDecoder((WIDTH, HEIGHT))
        previous = decoder.decode(jpegs[order[0]])
        for before, now in itertools.pairwise(order):
            picture = decoder.decode(jpegs[now])
            assert snapshot(picture) == alone[now], order
            assert snapshot(previous) == alone[before], order
            previous = picture


JPEG = simple_jpeg(smooth(WIDTH, HEIGHT))
BARE = without(JPEG, 0xC4)
HALF, TABLE = len(JPEG) // 2, JPEG.index(b"\xff\xc4") + 5


@pytest.mark.parametrize(
    "same",
    [BARE, JPEG + b"\0" * 40, JPEG[:-2] + b"\0\0" + JPEG[-2:]],
    ids=["the standard Huffman tables left out", "padding behind its end", "padding before it"],
)
def test_what_cameras_do_is_no_damage(same: bytes, *, use_turbo: bool) -> None:
    assert len(BARE) < len(JPEG) - 400
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    assert snapshot(decoder.decode(same)) == snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(JPEG))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        JPEG[:HALF],
        JPEG[:HALF] + JPEG[HALF + HALF // 2 :],
        simple_jpeg(smooth(WIDTH + 16, HEIGHT)),
        JPEG[:TABLE] + bytes([0, 0, 0, 0, 0, 12, *[0] * 10]) + JPEG[TABLE + 16 :],
    ],
    ids=["nothing", "cut off", "a hole", "another size", "a broken table"],
)
def test_damage_is_an_error_and_the_next_picture_is_whole(damaged: bytes, *, use_turbo: bool) -> None:
    whole = snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(JPEG))
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    with pytest.raises(MediaError, match="JPEG picture"):
        decoder.decode(damaged)
    assert snapshot(decoder.decode(BARE)) == whole, "a broken table does not outlive its picture"


def test_samples_that_are_rgb_are_converted(*, use_turbo: bool) -> None:
    rgb = bars()
    components = np.stack([np.full(rgb.shape[:2], level, np.uint8) for level in (200, 90, 30)], axis=-1)
    jpeg = without(ffmpeg_jpeg(components, "yuvj444p"), 0xE0, 0xFE)
    # The components of this JPEG, told to be red, green and blue by Adobe's marker.
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    relabelled = jpeg[:2] + adobe + jpeg[2:]
    expected = ffmpeg_rgb(relabelled, rgb.shape)
    picture = JpegDecoder((rgb.shape[1], rgb.shape[0]), use_turbo=use_turbo).decode(relabelled)
    assert np.abs(middles(tagged_rgb(picture)) - middles(expected)).max() <= 3


def test_the_rare_limited_range_is_kept(*, use_turbo: bool) -> None:
    rgb = bars()
    jpeg = ffmpeg_jpeg(rgb, "yuv422p", "-color_range", "tv", "-strict", "unofficial")
    picture = JpegDecoder((rgb.shape[1], rgb.shape[0]), use_turbo=use_turbo).decode(jpeg)
    assert np.abs(middles(tagged_rgb(picture)) - middles(rgb)).max() <= 4


def test_without_libturbojpeg_pictures_are_decoded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpegs, "_SONAME", "libnothing.so.0")
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    jpegs.turbojpeg_library.cache_clear()
    try:
        assert jpegs.turbojpeg_library() is None
        picture = JpegDecoder((WIDTH, HEIGHT)).decode(simple_jpeg(smooth(WIDTH, HEIGHT)))
    finally:
        jpegs.turbojpeg_library.cache_clear()
    assert picture.width == WIDTH


# Previews, by another decoder (Pillow)

COLOURS = {"red": (220, 30, 40), "blue": (30, 60, 210), "white": (255, 255, 255)}
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


def seen(jpeg: bytes) -> PillowImage.Image:
    image = PillowImage.open(io.BytesIO(jpeg))
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


@pytest.mark.parametrize(("width", "expected"), [(320, (320, 240)), (1280, (640, 480)), (33, (32, 24)), (1, (2, 2))])
def test_the_shape_stays_and_nothing_is_made_larger(width: int, expected: tuple[int, int]) -> None:
    small = shrink(picture(640, 480, COLOURS["red"], ColorMatrix.BT709), width, VideoReformatter())
    assert seen(JpegEncoder().write(small)).size == expected


def test_it_is_a_copy() -> None:
    frame = picture(320, 180, COLOURS["white"], ColorMatrix.BT709)
    small = shrink(frame, 320, VideoReformatter())
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    assert seen(JpegEncoder().write(small)).getpixel((10, 10)) == (255, 255, 255)


def test_one_writer_takes_every_size_and_any_number_whatever_their_times() -> None:
    scaler, writer = VideoReformatter(), JpegEncoder()
    for width in (320, 160, 320):
        for at in (None, 5, 5, 3, 90_000):
            frame = picture(640, 360, COLOURS["blue"], ColorMatrix.BT709)
            frame.pts, frame.time_base = at, Fraction(1, 90_000)
            assert seen(writer.write(shrink(frame, width, scaler))).width == width


@pytest.mark.parametrize("size", [(320, 180), (33, 17)])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_a_jpeg_of_others_is_read_as_what_it_shows(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    file = io.BytesIO()
    PillowImage.new("RGB", size, colour).save(file, "JPEG", quality=95)
    read = decode_jpeg(file.getvalue())
    assert (read.format.name, read.width, read.height) == ("yuv420p", *size)
    for plane, value in zip(plane_views(read), samples_of(colour, ColorMatrix.BT601), strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 3


@pytest.mark.parametrize("damage", [b"", b"\xff\xd8\xff\xd9"])
def test_what_is_no_jpeg_is_said_to_be_none(damage: bytes) -> None:
    with pytest.raises(MediaError, match="damaged JPEG picture: "):
        decode_jpeg(damage)
