"""Smaller sizes: every source gives the same contents, and sizes do not disturb each other."""

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

from capture.media import jpeg as jpegs
from capture.media.camera_decoder import CameraDecoder, decoder_for
from capture.media.pictures import SizeCache, plane_views
from capture.pacing import FastPace
from capture.source import ColorMatrix, Frame, Size, VideoSource
from capture.sources.file import FileVideoSource
from capture.synthetic.video import SyntheticVideo
from config.errors import MediaError
from tests.support.bars import ffmpeg, raw_input, simple_jpeg, smooth

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
