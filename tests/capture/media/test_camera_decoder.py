"""Payloads of cameras become pictures of any size; H.264 in order, for any selection of frames."""

import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from capture.media import jpeg as jpegs
from capture.media.camera_decoder import CameraDecoder, decoder_for
from capture.media.h264 import (
    IDR,
    PICTURE_SET,
    SEQUENCE_SET,
    SLICE,
    has_keyframe,
    is_annex_b,
    nal_type,
    nal_units,
    parameter_sets,
)
from capture.media.pictures import plane_views
from capture.source import ColorMatrix, Frame, Size
from config.errors import MediaError
from tests.support.bars import ffmpeg, raw_input, simple_jpeg, smooth

SIZE = (320, 240)
GOP = 10


def level(number: int) -> int:
    """Return the luma of picture `number`."""
    return 32 + 6 * number


def encoded(count: int) -> list[Frame]:
    """Return `count` H.264 access units like a camera's: no B-frames, a keyframe every GOP frames."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = *SIZE, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={GOP}:scenecut=0"}
    packets = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8), format="yuv420p")
        np.frombuffer(picture.planes[0], np.uint8)[:] = level(number)
        picture.pts = number
        packets += context.encode(picture)
    packets += context.encode(None)
    return [Frame(number, bytes(packet)) for number, packet in enumerate(packets)]


def h264() -> CameraDecoder:
    return decoder_for("H264", SIZE, SIZE, matrix=ColorMatrix.BT601, full_range=False)


def luma(decoder: CameraDecoder, frame: Frame, within: Size | None = None) -> float:
    return float(plane_views(decoder.decode(frame, within))[0].mean())


FRAMES = encoded(25)


@pytest.mark.parametrize("asked", [[7], [3, 12, 24], [*range(25)]])
def test_pictures_that_nobody_asked_for_are_decoded_on_the_way(asked: list[int]) -> None:
    decoder = h264()
    for frame in FRAMES:
        decoder.enqueue(frame)
    for number in asked:
        within = (160, 90) if number % 2 else None
        assert luma(decoder, FRAMES[number], within) == pytest.approx(level(number), abs=1.5)


def test_after_damage_there_is_no_picture_until_a_keyframe() -> None:
    decoder = h264()
    damaged = Frame(FRAMES[3].timestamp_ns, b"\x00\x00\x01\x65\xff\xff")
    outcomes = []
    for frame in [*FRAMES[:3], damaged, *FRAMES[4:15]]:
        decoder.enqueue(frame)
        try:
            outcomes.append(round(luma(decoder, frame)))
        except MediaError:
            outcomes.append(-1)
    assert outcomes[:3] == [level(number) for number in range(3)]
    assert outcomes[3] == -1
    assert outcomes[GOP:] == [level(number) for number in range(GOP, 15)]


def test_a_stream_that_begins_between_keyframes_waits_for_one() -> None:
    decoder = h264()
    for frame in FRAMES[4:GOP]:
        decoder.enqueue(frame)
        with pytest.raises(MediaError):
            decoder.decode(frame)
    decoder.enqueue(FRAMES[GOP])
    assert luma(decoder, FRAMES[GOP]) == pytest.approx(level(GOP), abs=1.5)


def test_memory_stays_bounded_while_nobody_decodes() -> None:
    decoder = h264()
    for round_ in range(100):
        for frame in FRAMES[:12]:
            decoder.enqueue(Frame(round_ * 12 + frame.timestamp_ns, frame.payload))
    assert sys.getrefcount(FRAMES[0].payload) < 40, "of 100"
    last = Frame(100 * 12 + GOP, FRAMES[GOP].payload)
    decoder.enqueue(last)
    assert luma(decoder, last) == pytest.approx(level(GOP), abs=1.5)


def test_uncompressed_pictures_become_yuv420p_with_the_samples_they_had() -> None:
    decoder = decoder_for("YUYV", SIZE, SIZE, matrix=ColorMatrix.BT709, full_range=False)
    picture = decoder.decode(Frame(0, bytes((188, 90, 188, 200)) * (SIZE[0] * SIZE[1] // 2)))
    assert (picture.format.name, picture.colorspace) == ("yuv420p", ColorMatrix.BT709)
    assert [np.unique(plane).tolist() for plane in plane_views(picture)] == [[188], [90], [200]]


def test_a_picture_that_is_not_bytes_is_damaged() -> None:
    with pytest.raises(MediaError):
        h264().decode(Frame(0, av.VideoFrame(*SIZE, "yuv420p")))


WIDTH, HEIGHT = 640, 360
FITTED = {(320, 180): (320, 180), (214, 120): (214, 120), (640, 90): (160, 90), (100, 1000): (100, 56)}
"""`WIDTH` x `HEIGHT` within each size."""


def camera(fourcc: str) -> CameraDecoder:
    return decoder_for(fourcc, (WIDTH, HEIGHT), (WIDTH, HEIGHT), matrix=ColorMatrix.BT601, full_range=False)


@pytest.mark.parametrize("kind", ["MJPG", "MJPG libavcodec", "YUYV", "H264"])
def test_a_smaller_picture_shows_the_same_and_leaves_the_whole_one_as_it_is(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "MJPG libavcodec":
        monkeypatch.setattr(jpegs, "turbojpeg_library", lambda: None)
    rgb = smooth(WIDTH, HEIGHT)
    raw = ffmpeg(rgb.tobytes(), raw_input(rgb), "-pix_fmt", "yuyv422", "-f", "rawvideo")
    coded = ffmpeg(rgb.tobytes(), raw_input(rgb), "-pix_fmt", "yuv420p", "-tune", "zerolatency", "-f", "h264")
    frame = Frame(0, {"YUYV": raw, "H264": coded}.get(kind, simple_jpeg(rgb)))
    decoder = camera(kind.partition(" ")[0])
    whole = [plane.copy() for plane in plane_views(decoder.decode(frame))]
    assert whole[0].shape == (HEIGHT, WIDTH)
    for within, size in FITTED.items():
        picture = decoder.decode(frame, within)
        assert (picture.width, picture.height, picture.format.name) == (*size, "yuv420p")
        assert (picture.color_range, picture.pict_type, picture.pts) == (1, 0, None)
        for plane, meant in zip(plane_views(picture), whole, strict=True):
            scaled = cv2.resize(meant.astype(np.float32), plane.shape[::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(plane - scaled).mean() < 1.5
    small = [plane.copy() for plane in plane_views(picture)]
    for limits in ((WIDTH, HEIGHT), (9999, 9999), None):
        again = plane_views(decoder.decode(frame, limits))
        assert all(np.array_equal(plane, old) for plane, old in zip(again, whole, strict=True))
    assert all(np.array_equal(plane, old) for plane, old in zip(plane_views(picture), small, strict=True))


@pytest.mark.parametrize("use_turbo", [True, False])
def test_damage_is_found_in_smaller_pictures_too(use_turbo: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not use_turbo:
        monkeypatch.setattr(jpegs, "turbojpeg_library", lambda: None)
    data = simple_jpeg(smooth(WIDTH, HEIGHT))
    decoder = camera("MJPG")
    with pytest.raises(MediaError):
        decoder.decode(Frame(0, data[: len(data) // 2]), (160, 90))
    assert decoder.decode(Frame(0, data), (160, 90)).width == 160


# NAL units

SHORT, LONG = b"\x00\x00\x01", b"\x00\x00\x00\x01"
SPS, PPS = b"\x67\x42\x00\x1f", b"\x68\xce\x3c\x80"
KEY, BETWEEN = b"\x65\x88\x84", b"\x41\x9a\x21"
DELIMITER, MESSAGE = b"\x09\xf0", b"\x06\x05\x01"


def test_units_lie_between_start_codes_without_zeros_behind_them() -> None:
    assert list(nal_units(LONG + SPS + SHORT + PPS + SHORT + KEY)) == [SPS, PPS, KEY]
    assert list(nal_units(LONG + KEY + b"\x00\x00\x00" + SHORT + BETWEEN + b"\x00")) == [KEY, BETWEEN]
    assert list(nal_units(LONG + b"\x00\x00" + LONG + KEY + SHORT)) == [KEY]
    assert list(nal_units(KEY + LONG + BETWEEN)) == [BETWEEN]
    assert list(nal_units(KEY)) == []


def test_the_type_of_a_unit_is_told_from_its_importance() -> None:
    units = (SPS, PPS, KEY, b"\x25\x88", BETWEEN)
    assert [nal_type(unit) for unit in units] == [SEQUENCE_SET, PICTURE_SET, IDR, IDR, SLICE]


def test_a_stream_begins_with_a_start_code() -> None:
    assert is_annex_b(LONG + KEY)
    assert is_annex_b(SHORT + KEY)
    assert not is_annex_b(KEY + LONG)
    assert not is_annex_b(b"\x00\x00\x00\x00\x01" + KEY)
    assert not is_annex_b(b"\x00\x00")


def test_parameter_sets_are_taken_out_in_their_order_with_long_start_codes() -> None:
    assert parameter_sets(SHORT + DELIMITER + SHORT + SPS + SHORT + MESSAGE + SHORT + PPS + SHORT + KEY) == (
        LONG + SPS + LONG + PPS
    )
    assert parameter_sets(LONG + KEY) == b""


def test_a_keyframe_is_found_behind_what_comes_before_it() -> None:
    assert has_keyframe(LONG + DELIMITER + LONG + SPS + LONG + PPS + SHORT + KEY)
    assert has_keyframe(SHORT + b"\x25")
    assert not has_keyframe(LONG + DELIMITER + LONG + SPS + LONG + PPS + LONG + BETWEEN)
    assert not has_keyframe(KEY)
    assert not has_keyframe(LONG + BETWEEN + LONG), "a start code at the end begins nothing"
