"""Payloads of cameras become pictures; H.264 in order, for any selection of frames."""

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.media.camera_decoder import CameraDecoder, H264Decoder, decoder_for
from capture.media.h264 import has_keyframe
from capture.media.pictures import plane_views
from capture.source import ColorMatrix, Frame
from config.errors import MediaError

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


def luma(decoder: CameraDecoder, frame: Frame) -> float:
    return float(samples(decoder.decode(frame))[0].mean())


def samples(picture: av.VideoFrame) -> tuple[NDArray[np.uint8], ...]:
    """Return the planes unchanged: a conversion to gray would change the range."""
    return plane_views(picture)


def test_every_picture_of_a_sequence_is_decoded_when_it_is_asked_for() -> None:
    decoder = h264()
    frames = encoded(25)
    assert [has_keyframe(bytes(frame.payload)) for frame in frames].count(True) == 3  # type: ignore[arg-type] # bytes
    for number, frame in enumerate(frames):
        decoder.enqueue(frame)
        assert luma(decoder, frame) == pytest.approx(level(number), abs=1.5)


@pytest.mark.parametrize("asked", [[7], [0, 4, 9], [3, 12, 24], [19, 20, 21]])
def test_pictures_that_nobody_asked_for_are_decoded_on_the_way(asked: list[int]) -> None:
    decoder = h264()
    frames = encoded(25)
    for frame in frames:
        decoder.enqueue(frame)
    for number in asked:
        assert luma(decoder, frames[number]) == pytest.approx(level(number), abs=1.5)


def test_after_damage_there_is_no_picture_until_a_keyframe() -> None:
    decoder = h264()
    frames = encoded(15)
    damaged = Frame(frames[3].timestamp_ns, b"\x00\x00\x01\x65\xff\xff")
    outcomes = []
    for frame in [*frames[:3], damaged, *frames[4:]]:
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
    frames = encoded(12)
    for frame in frames[4:GOP]:
        decoder.enqueue(frame)
        with pytest.raises(MediaError):
            decoder.decode(frame)
    decoder.enqueue(frames[GOP])
    assert luma(decoder, frames[GOP]) == pytest.approx(level(GOP), abs=1.5)


def test_memory_stays_bounded_while_nobody_decodes() -> None:
    decoder = h264()
    assert isinstance(decoder, H264Decoder)
    frames = encoded(12)
    for round_ in range(100):
        for frame in frames:
            decoder.enqueue(Frame(round_ * 12 + frame.timestamp_ns, frame.payload))
    assert len(decoder._waiting) <= 300
    last = Frame(100 * 12 + GOP, frames[GOP].payload)
    decoder.enqueue(last)
    assert luma(decoder, last) == pytest.approx(level(GOP), abs=1.5)


def test_pictures_are_scaled_down_to_what_is_wanted() -> None:
    decoder = decoder_for("H264", SIZE, (160, 160), matrix=ColorMatrix.BT601, full_range=False)
    frame = encoded(1)[0]
    picture = decoder.decode(frame)
    assert (picture.width, picture.height) == (decoder.width, decoder.height) == (160, 120)


PIXELS = SIZE[0] * SIZE[1]


@pytest.mark.parametrize(
    ("fourcc", "data"),
    [
        ("YUYV", bytes((188, 90, 188, 200)) * (PIXELS // 2)),
        ("UYVY", bytes((90, 188, 200, 188)) * (PIXELS // 2)),
        ("NV12", bytes((188,)) * PIXELS + bytes((90, 200)) * (PIXELS // 4)),
        ("YU12", bytes((188,)) * PIXELS + bytes((90,)) * (PIXELS // 4) + bytes((200,)) * (PIXELS // 4)),
    ],
)
def test_uncompressed_pictures_become_yuv420p_with_the_samples_they_had(fourcc: str, data: bytes) -> None:
    decoder = decoder_for(fourcc, SIZE, SIZE, matrix=ColorMatrix.BT709, full_range=False)
    picture = decoder.decode(Frame(0, data))
    assert (picture.format.name, picture.colorspace) == ("yuv420p", ColorMatrix.BT709)
    assert [np.unique(plane).tolist() for plane in samples(picture)] == [[188], [90], [200]]


def test_a_picture_that_is_cut_off_or_not_bytes_is_damaged() -> None:
    decoder = decoder_for("YUYV", SIZE, SIZE, matrix=ColorMatrix.BT601, full_range=False)
    with pytest.raises(MediaError):
        decoder.decode(Frame(0, b"\x00" * 100))
    with pytest.raises(MediaError):
        decoder.decode(Frame(0, av.VideoFrame(*SIZE, "yuv420p")))


def test_a_format_that_cannot_be_converted_is_refused() -> None:
    with pytest.raises(ValueError, match="RGB3"):
        decoder_for("RGB3", SIZE, SIZE, matrix=ColorMatrix.BT601, full_range=False)
