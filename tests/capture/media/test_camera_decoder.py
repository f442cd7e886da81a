"""Payloads of cameras become pictures of any size; H.264 in order, for any selection of frames."""

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.media import jpeg as jpegs
from capture.media.camera_decoder import CameraDecoder, H264Decoder, decoder_for
from capture.media.h264 import has_keyframe
from capture.media.pictures import SizeCache, plane_views
from capture.pacing import FastPace
from capture.source import ColorMatrix, Frame, Size, VideoSource
from capture.sources.file import FileVideoSource
from capture.synthetic.video import SyntheticVideo
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


WIDTH, HEIGHT = 640, 360
SMALLER = [(320, 180), (160, 90), (214, 120), (640, 90), (100, 1000)]
EXPECTED = [(320, 180), (160, 90), (214, 120), (160, 90), (100, 56)]
"""`WIDTH` x `HEIGHT` fitted into each of SMALLER."""

type Decode = Callable[[Size | None], av.VideoFrame]


def camera(fourcc: str, data: bytes, size: Size = (WIDTH, HEIGHT)) -> CameraDecoder:
    return decoder_for(fourcc, size, size, matrix=ColorMatrix.BT601, full_range=False)


def raw(pixel_format: str) -> bytes:
    rgb = smooth(WIDTH, HEIGHT)
    return ffmpeg(rgb.tobytes(), raw_input(rgb), "-pix_fmt", pixel_format, "-f", "rawvideo")


@contextmanager
def opened(source: VideoSource) -> Iterator[Decode]:
    source.open()
    frame = source.read(1.0)
    assert frame is not None
    yield lambda within: source.decode(frame, within)
    source.close()


def of_file(tmp_path: Path, *codec: str) -> FileVideoSource:
    rgb = smooth(WIDTH, HEIGHT)
    path = tmp_path / "pictures.mkv"
    path.write_bytes(ffmpeg(rgb.tobytes(), raw_input(rgb), *codec, "-f", "matroska"))
    return FileVideoSource(path, FastPace(("video",)))


@contextmanager
def decoding(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Decode]:
    """Return the decoder of one picture of a source of `kind`."""
    if kind.startswith("MJPG"):
        if kind.endswith("libavcodec"):
            monkeypatch.setattr(jpegs, "turbojpeg_library", lambda: None)
        data = simple_jpeg(smooth(WIDTH, HEIGHT))
        decoder = camera("MJPG", data)
        yield lambda within: decoder.decode(Frame(0, data), within)
    elif kind in {"YUYV", "NV12"}:
        data = raw({"YUYV": "yuyv422", "NV12": "nv12"}[kind])
        decoder = camera(kind, data)
        yield lambda within: decoder.decode(Frame(0, data), within)
    elif kind == "H264":
        rgb = smooth(WIDTH, HEIGHT)
        data = ffmpeg(rgb.tobytes(), raw_input(rgb), "-pix_fmt", "yuv420p", "-tune", "zerolatency", "-f", "h264")
        decoder = camera("H264", data)
        yield lambda within: decoder.decode(Frame(0, data), within)
    else:
        source: VideoSource = SyntheticVideo(WIDTH, HEIGHT, Fraction(30), FastPace(("video",)), threading.Event())
        if kind != "synthetic":
            codec = ("-c:v", "mjpeg", "-q:v", "2") if kind == "file MJPEG" else ("-pix_fmt", "yuv420p")
            source = of_file(tmp_path, *codec)
        with opened(source) as decode:
            yield decode


KINDS = ["MJPG", "MJPG libavcodec", "YUYV", "NV12", "H264", "file MJPEG", "file H.264", "synthetic"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_smaller_picture_shows_the_same(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Synthetic frames have edges; swscale puts chroma a quarter of a sample elsewhere.
    tolerance = {"synthetic": 12.0, "file H.264": 4.0}.get(kind, 1.5)
    with decoding(kind, tmp_path, monkeypatch) as decode:
        whole = [plane.astype(np.float32) for plane in plane_views(decode(None))]
        assert whole[0].shape == (HEIGHT, WIDTH)
        for within, size in zip(SMALLER, EXPECTED, strict=True):
            picture = decode(within)
            assert (picture.width, picture.height, picture.format.name) == (*size, "yuv420p")
            assert (picture.color_range, picture.pict_type, picture.pts) == (1, 0, None)
            for plane, meant in zip(plane_views(picture), whole, strict=True):
                scaled = cv2.resize(meant, plane.shape[::-1], interpolation=cv2.INTER_AREA)
                assert np.abs(plane - scaled).mean() < tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_picture_is_as_if_no_smaller_one_had_been_asked_for(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with decoding(kind, tmp_path, monkeypatch) as decode:
        before = [plane.copy() for plane in plane_views(decode(None))]
        small = decode((160, 90))
        kept = [plane.copy() for plane in plane_views(small)]
        for within in ((WIDTH, HEIGHT), (9999, 9999), None):
            again = decode(within)
            assert all(np.array_equal(plane, old) for plane, old in zip(plane_views(again), before, strict=True))
        assert all(np.array_equal(plane, old) for plane, old in zip(plane_views(small), kept, strict=True))


@pytest.mark.parametrize("use_turbo", [True, False])
def test_damage_is_found_in_smaller_pictures_too(use_turbo: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not use_turbo:
        monkeypatch.setattr(jpegs, "turbojpeg_library", lambda: None)
    data = simple_jpeg(smooth(WIDTH, HEIGHT))
    decoder = camera("MJPG", data)
    with pytest.raises(MediaError):
        decoder.decode(Frame(0, data[: len(data) // 2]), (160, 90))
    assert decoder.decode(Frame(0, data), (160, 90)).width == 160


def test_an_h264_camera_needs_its_other_pictures_whatever_the_size() -> None:
    rgb = np.concatenate([smooth(WIDTH, HEIGHT, phase) for phase in (0.0, 0.4, 0.8)])
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}")
    data = ffmpeg(rgb.tobytes(), source, "-pix_fmt", "yuv420p", "-tune", "zerolatency", "-f", "h264")
    with av.open(io.BytesIO(data), "r") as stream:
        frames = [Frame(number, bytes(packet)) for number, packet in enumerate(stream.demux(video=0)) if packet.size]
    decoder, other = camera("H264", data), camera("H264", data)
    for frame in frames:
        decoder.enqueue(frame)
        other.enqueue(frame)
    sizes = [decoder.decode(frame, within) for frame, within in zip(frames, ((160, 90), None, (320, 180)), strict=True)]
    assert [picture.width for picture in sizes] == [160, 640, 320]
    meant = [plane_views(other.decode(frame))[0].mean() for frame in frames]
    assert [plane_views(picture)[0].mean() for picture in sizes] == pytest.approx(meant, abs=0.5)


def test_only_the_latest_sizes_are_kept() -> None:
    made: list[Size] = []

    def make(size: Size) -> Size:
        made.append(size)
        return size

    sizes = SizeCache((WIDTH, HEIGHT), make)
    for within in ((320, 180), (160, 90), (320, 180), (80, 44), (320, 180), (64, 36), (320, 180), (160, 90)):
        sizes.get(within)
    assert made == [(640, 360), (320, 180), (160, 90), (80, 44), (64, 36), (160, 90)]
