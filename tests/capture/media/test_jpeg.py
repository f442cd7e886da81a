"""MJPEG to limited-range planes: ffmpeg's colours from both decoders, and nothing from damage."""

import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from capture.media import jpeg as jpegs
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import plane_views
from config.errors import MediaError
from tests.support.bars import (
    Image,
    bars,
    ffmpeg,
    ffmpeg_jpeg,
    ffmpeg_rgb,
    middles,
    simple_jpeg,
    smooth,
    tagged_rgb,
)

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


@pytest.mark.parametrize("maker", ["ffmpeg", "libjpeg"])
@pytest.mark.parametrize("subsampling", ["422", "420"])
def test_colour_bars_are_those_of_ffmpeg_within_two_levels(maker: str, subsampling: str, *, use_turbo: bool) -> None:
    rgb = bars()
    jpeg = ffmpeg_jpeg(rgb, f"yuvj{subsampling}p") if maker == "ffmpeg" else simple_jpeg(rgb, subsampling, 98)
    picture = JpegDecoder((rgb.shape[1], rgb.shape[0]), use_turbo=use_turbo).decode(jpeg)
    assert (picture.format.name, picture.color_range, picture.colorspace, picture.pict_type) == ("yuv420p", 1, 5, 0)
    shown, expected = middles(tagged_rgb(picture)), middles(ffmpeg_rgb(jpeg, rgb.shape))
    assert np.abs(expected - np.array(middles(rgb))).max() < 4  # the judge sees the bars that were drawn
    assert np.abs(shown - expected).max() <= 2


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411", "Gray"])
@pytest.mark.parametrize("size", [(320, 240), (182, 102), (101, 77)])
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


@pytest.mark.parametrize("target", [(320, 180), (160, 90), (200, 200), (90, 400), (64, 36), (4000, 4000)])
@pytest.mark.parametrize("subsampling", ["422", "420", "Gray"])
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
    for order in itertools.product(range(3), repeat=5):
        decoder = JpegDecoder((WIDTH, HEIGHT))
        previous = decoder.decode(jpegs[order[0]])
        for before, now in itertools.pairwise(order):
            picture = decoder.decode(jpegs[now])
            assert snapshot(picture) == alone[now], order
            assert snapshot(previous) == alone[before], order
            previous = picture


def test_the_encoder_takes_a_copy_of_a_picture() -> None:
    """The two frames are reused at once, while x264 holds more."""
    decoder = JpegDecoder((WIDTH, HEIGHT))
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 30), Fraction(30)
    encoder.thread_type, encoder.thread_count = "FRAME", 3
    encoder.options = {"preset": "veryfast", "qp": "0"}
    put_in, packets = [], []
    for number in range(60):
        picture = decoder.decode(simple_jpeg(smooth(WIDTH, HEIGHT, number / 7)))
        picture.pts, picture.time_base = number, Fraction(1, 30)
        put_in.append(snapshot(picture))
        packets += encoder.encode(picture)
    assert len(put_in) - len(packets) > 2
    packets += encoder.encode(None)
    decoded = av.CodecContext.create("h264", "r")
    came_out = [snapshot(frame) for packet in packets for frame in decoded.decode(av.Packet(bytes(packet)))]
    came_out += [snapshot(frame) for frame in decoded.decode(None)]
    assert came_out == put_in


def test_the_standard_huffman_tables_may_be_left_out(*, use_turbo: bool) -> None:
    jpeg = simple_jpeg(smooth(WIDTH, HEIGHT))
    bare = without(jpeg, 0xC4)
    assert len(bare) < len(jpeg) - 400
    whole = snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(jpeg))
    assert snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(bare)) == whole


def damaged(jpeg: bytes) -> dict[str, bytes]:
    half = len(jpeg) // 2
    return {
        "nothing": b"",
        "not a JPEG": b"\0" * 500,
        "cut off": jpeg[:half],
        "cut off, with an end": jpeg[:half] + b"\xff\xd9",
        "a hole": jpeg[:half] + jpeg[half + half // 2 :],
        "only a header": jpeg[:300],
        "another size": simple_jpeg(smooth(WIDTH + 16, HEIGHT)),
    }


@pytest.mark.parametrize("kind", damaged(simple_jpeg(smooth(WIDTH, HEIGHT))))
def test_damage_is_an_error_and_the_next_picture_is_whole(kind: str, *, use_turbo: bool) -> None:
    jpeg = simple_jpeg(smooth(WIDTH, HEIGHT))
    whole = snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(jpeg))
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    with pytest.raises(MediaError, match="JPEG picture"):
        decoder.decode(damaged(jpeg)[kind])
    assert snapshot(decoder.decode(jpeg)) == whole


def test_a_broken_table_does_not_outlive_its_picture(*, use_turbo: bool) -> None:
    jpeg = simple_jpeg(smooth(WIDTH, HEIGHT))
    bare = without(jpeg, 0xC4)
    whole = snapshot(JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo).decode(jpeg))
    broken = bytearray(jpeg)
    luma_codes = jpeg.index(b"\xff\xc4") + 5
    broken[luma_codes : luma_codes + 16] = bytes([0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    with pytest.raises(MediaError):
        decoder.decode(bytes(broken))
    assert snapshot(decoder.decode(bare)) == whole


def test_padding_around_the_end_is_no_damage(*, use_turbo: bool) -> None:
    jpeg = simple_jpeg(smooth(WIDTH, HEIGHT))
    decoder = JpegDecoder((WIDTH, HEIGHT), use_turbo=use_turbo)
    whole = snapshot(decoder.decode(jpeg))
    for padded in (jpeg + b"\0" * 40, jpeg[:-2] + b"\0\0" + jpeg[-2:]):
        assert snapshot(decoder.decode(padded)) == whole


def test_padding_before_a_restart_is_no_damage_while_the_picture_has_its_end() -> None:
    encoded = cv2.imencode(".jpg", smooth(WIDTH, HEIGHT), [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1]
    jpeg = encoded.tobytes()
    restart = jpeg.index(b"\xff\xd1")
    padded = jpeg[:restart] + bytes(20) + jpeg[restart:]
    decoder = JpegDecoder((WIDTH, HEIGHT))
    assert snapshot(decoder.decode(padded)) == snapshot(JpegDecoder((WIDTH, HEIGHT)).decode(jpeg))
    with pytest.raises(MediaError):
        decoder.decode(padded[: len(padded) * 3 // 4])


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


def test_no_program_is_run_to_find_libturbojpeg_where_it_is_called_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("ctypes.util.find_library", asked.append)
    jpegs.turbojpeg_library.cache_clear()
    assert jpegs.turbojpeg_library() is not None
    assert asked == []
