"""Files as sources: every frame and sample once, in order, on time, in ffmpeg's colours; every loss is reported."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import SAMPLE_RATE, ColorMatrix, Size, Source, SourceEnded
from capture.sources.file import FileAudioSource, FileVideoSource
from config.errors import MediaError
from devices.host.clock import NANOSECONDS
from tests.support import media
from tests.support.bars import bars, middles, raw_input, tagged_rgb
from tests.support.simulated import SimulatedClock

pytestmark = pytest.mark.computing

PICTURES = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=1")
TONE = ("-f", "lavfi", "-i", "sine=440:r=44100:d=1")

type Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(name: str, *arguments: str, data: bytes = b"") -> Path:
        command = ("ffmpeg", "-v", "error", "-y", *arguments, str(tmp_path / name))
        subprocess.run(command, input=data, check=True, timeout=60)
        return tmp_path / name

    return run


def read_out(source: Source[Any, Any]) -> tuple[list[Any], str]:
    """Return the items of a source and its error; "" at the end of a whole file. Close it."""
    given: list[Any] = []
    try:
        while True:
            item = source.read(1.0)
            assert item is not None
            given.append(item)
    except SourceEnded:
        return given, ""
    except MediaError as error:
        return given, error.message
    finally:
        source.close()


def everything(source: Source[Any, Any]) -> list[Any]:
    """Return all items of a source that ends well."""
    given, why = read_out(source)
    assert why == ""
    return given


def film_of(path: Path) -> FileVideoSource:
    """Return the video of a file, open, as fast as it goes."""
    source = FileVideoSource(path, FastPace(("video",)))
    source.open()
    return source


def sound_of(path: Path) -> FileAudioSource:
    """Return the audio of a file, open, as fast as it goes."""
    source = FileAudioSource(path, FastPace(("audio",)))
    source.open()
    return source


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"),
    [
        ("b-frames.mp4", ("-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"), 0),
        ("mjpeg.avi", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p"), 3),
        ("ten-bits.mkv", ("-c:v", "ffv1", "-pix_fmt", "yuv420p10le"), 2),
    ],
)
def test_every_picture_comes_once_in_order_at_its_time(
    make: Make, name: str, codec: tuple[str, ...], tolerance: int
) -> None:
    path = make(name, *PICTURES, *codec)
    source = FileVideoSource(path, FastPace(("video",)))
    opened = source.open()
    assert (opened.width, opened.height, opened.rate) == (320, 180, Fraction(30))
    frames = everything(source)
    times = media.shown(path, "v")
    assert [frame.timestamp_ns / 1e9 for frame in frames] == pytest.approx([t - times[0] for t in times], abs=0.0011)
    assert frames[0].timestamp_ns == 0
    scale = "scale=out_range=limited:flags=area,format=yuv420p"
    command = ("ffmpeg", "-v", "error", "-i", path, "-vf", scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    decoded = subprocess.run(command, capture_output=True, check=True).stdout
    pictures = np.frombuffer(decoded, np.uint8).reshape(30, -1)
    assert isinstance(frames[0].payload, bytes) is name.startswith("mjpeg"), "it stays compressed"
    for frame, expected in zip(frames, pictures, strict=True):
        shown = np.concatenate([plane.ravel() for plane in plane_views(source.decode(frame))])
        assert np.abs(shown.astype(int) - expected).max() <= tolerance
    source.close()


def test_a_varying_frame_rate_is_kept(make: Make) -> None:
    varying = ("-vf", "select='not(mod(n\\,7))+eq(n\\,3)'", "-fps_mode", "vfr", "-c:v", "libx264")
    path = make("vfr.mp4", *PICTURES, *varying)
    source = film_of(path)
    times = [frame.timestamp_ns / 1e9 for frame in everything(source)]
    assert times == pytest.approx([n / 30 for n in (0, 3, 7, 14, 21, 28)], abs=0.001)


@pytest.mark.parametrize(
    ("picture", "options", "limits", "size"),
    [
        ("640x480", ("-c:v", "mjpeg"), (320, 180), (240, 180)),
        ("640x480", ("-c:v", "libx264"), (320, 180), (240, 180)),
        ("720x576", ("-vf", "setsar=64/45", "-c:v", "libx264"), None, (1024, 576)),
    ],
    ids=["JPEG", "H.264", "pixels that are not square"],
)
def test_pictures_are_fitted_in_their_own_shape(
    make: Make, picture: str, options: tuple[str, ...], limits: Size | None, size: Size
) -> None:
    path = make("a.mkv", "-f", "lavfi", "-i", f"testsrc2=s={picture}:d=0.1", *options)
    source = FileVideoSource(path, FastPace(("video",)), limits)
    opened = source.open()
    assert (opened.width, opened.height, opened.matrix) == (*size, ColorMatrix.BT601)
    shown = source.decode(everything(source)[-1])
    assert (shown.width, shown.height) == size


@pytest.mark.parametrize(
    ("codec", "coded", "matrix"),
    [
        (("libx264", "yuv420p"), ("bt709", "bt709", "tv"), ColorMatrix.BT709),
        (("ffv1", "yuv422p10le"), ("bt709", "bt709", "pc"), ColorMatrix.BT709),
        (("ffv1", "yuv420p"), ("bt601", "smpte170m", "pc"), ColorMatrix.SMPTE170M),
        (("libx264", "yuv420p"), ("bt2020", "bt2020nc", "tv"), ColorMatrix.BT709),
        (("png", "rgb24"), None, ColorMatrix.BT601),
    ],
)
def test_colours_are_those_of_the_stream(
    make: Make, codec: tuple[str, str], coded: tuple[str, str, str] | None, matrix: ColorMatrix
) -> None:
    rgb = bars()
    tags: tuple[str, ...] = ()
    if coded:
        scale = f"scale=out_color_matrix={coded[0]}:out_range={coded[2]}:flags=accurate_rnd"
        tags = ("-vf", scale, "-colorspace", coded[1], "-color_range", coded[2])
    quality = ("-qp", "4") if codec[0] == "libx264" else ()
    encode = ("-c:v", codec[0], "-pix_fmt", codec[1], *quality)
    path = make("bars.mkv", *raw_input(rgb), "-i", "-", *tags, *encode, data=rgb.tobytes())
    source = FileVideoSource(path, FastPace(("video",)))
    assert source.open().matrix is matrix
    picture = source.decode(everything(source)[0])
    assert (picture.format.name, picture.color_range, picture.colorspace) == ("yuv420p", 1, matrix)
    assert np.abs(middles(tagged_rgb(picture)) - middles(rgb)).max() <= 4
    source.close()


@pytest.mark.parametrize(
    ("name", "options", "channels"),
    [
        ("mono.wav", ("-ac", "1"), 1),
        ("six.flac", ("-ac", "6"), 2),
        ("other-rate.mka", ("-ac", "2", "-ar", "22050", "-c:a", "pcm_s16le"), 2),
    ],
)
def test_sound_comes_whole_at_48_khz(make: Make, name: str, options: tuple[str, ...], channels: int) -> None:
    source = sound_of(make(name, *TONE, *options))
    assert source.channels == channels
    blocks = everything(source)
    samples = np.concatenate([block.samples for block in blocks])
    assert samples.dtype == np.int16
    assert samples.shape == (pytest.approx(SAMPLE_RATE, abs=1100), channels)  # AAC rounds up to its frames
    assert not any(block.lost or block.jumps for block in blocks)
    count = 0
    for block in blocks:
        assert block.timestamp_ns == count * NANOSECONDS // SAMPLE_RATE
        count += len(block.samples)
    loudest = np.abs(np.fft.rfft(samples[4800:43200, 0].astype(float))).argmax() * SAMPLE_RATE / 38400
    assert loudest == pytest.approx(440, abs=2)
    source.close()


def test_a_gap_in_the_sound_is_told_and_not_closed(make: Make) -> None:
    gap = ("-af", "aselect='lt(t,0.3)+gt(t,0.6)'", "-c:a", "pcm_s16le")
    source = sound_of(make("gap.mka", *TONE, *gap))
    jumps = [block.timestamp_ns / 1e9 for block in everything(source) if block.jumps]
    assert jumps == [pytest.approx(0.6, abs=0.05)]


def test_pictures_and_sound_of_a_file_count_from_its_first_moment(make: Make) -> None:
    late = ("-itsoffset", "0.4", *TONE, "-output_ts_offset", "5", "-c:v", "mjpeg", "-c:a", "pcm_s16le")
    path = make("late.mkv", *PICTURES, *late)
    assert everything(film_of(path))[0].timestamp_ns == 0
    assert everything(sound_of(path))[0].timestamp_ns == pytest.approx(0.4e9, abs=1e6)


def test_pictures_come_when_their_time_has_come(make: Make) -> None:
    clock, stop = SimulatedClock(), threading.Event()
    pace = RealPace(clock, stop)
    source = FileVideoSource(make("a.mkv", *PICTURES, "-c:v", "mjpeg"), pace)
    source.open()
    pace.begin()
    begin_ns = clock.now_ns()
    for number in range(3):
        frame = source.read(1.0)
        assert frame is not None
        assert frame.timestamp_ns - begin_ns == pytest.approx(number / 30 * 1e9, abs=1e6)
        assert clock.now_ns() == pytest.approx(frame.timestamp_ns, abs=2)
    assert source.read(0.001) is None
    stop.set()
    assert source.read(60.0) is None
    source.close()
    with pytest.raises(SourceEnded):
        source.read(1.0)


def test_a_damaged_picture_is_told_at_its_time(make: Make) -> None:
    path = make("a.mkv", *PICTURES, "-c:v", "tiff")
    content = bytearray(path.read_bytes())
    header = content.index(b"II*\0", len(content) // 2)
    content[header : header + 4] = b"????"
    path.write_bytes(content)
    source = film_of(path)
    frames = everything(source)
    assert [frame.timestamp_ns / 1e9 for frame in frames] == pytest.approx([n / 30 for n in range(30)], abs=0.002)
    (damaged,) = [frame for frame in frames if not frame.payload]
    with pytest.raises(MediaError, match="the file is damaged there"):
        source.decode(damaged)


def test_what_is_no_recording_is_refused_in_one_clear_line(tmp_path: Path, make: Make) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a recording " * 100)
    empty = tmp_path / "empty.mkv"
    empty.touch()
    for path in (text, empty, tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(MediaError, match=f"^{path} cannot be opened"):
            FileVideoSource(path, FastPace(("video",))).open()
    sound, pictures = make("a.wav", *TONE), make("a.mkv", *PICTURES)
    with pytest.raises(MediaError, match=r"a\.wav holds no video"):
        FileVideoSource(sound, FastPace(("video",))).open()
    with pytest.raises(MediaError, match=r"a\.mkv holds no sound"):
        FileAudioSource(pictures, FastPace(("audio",))).open()


def test_a_still_picture_is_a_file_of_one_picture(make: Make) -> None:
    source = film_of(make("a.png", "-f", "lavfi", "-i", "testsrc2=s=320x180", "-frames:v", "1", "-update", "1"))
    (frame,) = everything(source)
    assert source.decode(frame).width == 320
    source.close()


def test_a_name_like_an_address_is_a_file_all_the_same(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a.mkv", *PICTURES, "-c:v", "mjpeg").rename(tmp_path / "rtmp:x")
    monkeypatch.chdir(tmp_path)
    source = FileVideoSource(Path("rtmp:x"), FastPace(("video",)))
    assert source.open().width == 320
    source.close()


def test_a_playlist_reaches_out_to_nobody(tmp_path: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n")
        with pytest.raises(MediaError, match="cannot be opened"):
            FileVideoSource(playlist, FastPace(("video",))).open()
        with pytest.raises(BlockingIOError):
            server.accept()


SECONDS = 8
STEP_NS = NANOSECONDS // 30
FILM = (
    "-f", "lavfi", "-i", f"testsrc2=s=320x180:r=30:d={SECONDS}", "-f", "lavfi", "-i", f"sine=440:r=48000:d={SECONDS}",
)  # fmt: skip
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-c:a", "aac")
FORMATS = {
    "film.mp4": (*H264, "-movflags", "+faststart"),
    "film.mkv": H264,
    "film.avi": ("-c:v", "mjpeg", "-c:a", "pcm_s16le"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_one_that_was_cut_off_before_is_not_ended_but_broken_off(make: Make, name: str) -> None:
    path = make(name, *FILM, *FORMATS[name])
    assert [read_out(source)[1] for source in (film_of(path), sound_of(path))] == ["", ""]
    os.truncate(path, path.stat().st_size // 2 + 11)  # which is in the middle of a picture
    (pictures, why), (blocks, of_sound) = (read_out(source) for source in (film_of(path), sound_of(path)))
    assert "is not whole: the video in it ends after 0:00:0" in why or ".avi is not whole: the sound" in of_sound
    assert 2 < pictures[-1].timestamp_ns / 1e9 < 6
    assert 2 < blocks[-1].timestamp_ns / 1e9 < 6


def test_one_that_is_cut_off_while_it_is_read_is_broken_off(make: Make) -> None:
    path = make("film.mkv", *FILM, *H264)
    for source in (film_of(path), sound_of(path)):
        for _ in range(3):
            assert source.read(1.0) is not None
        os.truncate(path, path.stat().st_size // 2)
        _, why = read_out(source)
        assert f"{path} is not whole" in why


@pytest.mark.parametrize("name", ["slides.mp4", "slides.mkv"])
def test_a_last_picture_that_stands_for_long_is_no_end_that_came_too_soon(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30, width=64, height=64)
        stream.time_base = stream.codec_context.time_base = Fraction(1, 30)
        stream.codec_context.max_b_frames = 0
        for second in (0, 2, 5):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = 30 * second, Fraction(1, 30)
            frame.duration = 30 * 60
            container.mux(stream.encode(frame))
        packets = stream.encode(None)
        for packet in packets:
            packet.duration = 30 * 60
        container.mux(packets)
    assert len(everything(film_of(path))) == 3


def test_sound_of_a_format_that_does_not_say_how_long_it_is_ends(make: Make) -> None:
    assert everything(sound_of(make("pidato.aac", *FILM[4:], "-c:a", "aac")))


def test_rubbish_in_the_middle_is_damaged_pictures_at_their_times(make: Make) -> None:
    path = make("film.mkv", *FILM, *H264)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(np.random.default_rng(7).bytes(size // 4))
    frames, _ = read_out(film_of(path))
    assert sum(not frame.payload for frame in frames) > 30
    assert len(frames) == pytest.approx(30 * SECONDS, abs=2)
    assert max(after.timestamp_ns - before.timestamp_ns for before, after in pairwise(frames)) < 2 * STEP_NS


def test_a_picture_that_begins_late_stands_from_the_beginning(make: Make) -> None:
    path = make("late.mkv", "-itsoffset", "1.5", *FILM, *H264)
    frames = everything(film_of(path))
    times = [frame.timestamp_ns for frame in frames]
    assert times[0] == 0
    assert len(times) == pytest.approx((SECONDS + 1.5) * 30, abs=2)
    assert max(after - before for before, after in pairwise(times)) < 2 * STEP_NS
    assert all(frame.payload is frames[0].payload for frame in frames[:40])
    assert everything(sound_of(path))[0].timestamp_ns < STEP_NS


@pytest.mark.parametrize(("codec", "degrees"), [("libx264", 90), ("libx264", 180), ("mjpeg", -90)])
def test_a_film_that_is_to_be_shown_turned_is_turned(make: Make, codec: str, degrees: int) -> None:
    lying = make("lying.mp4", *FILM[:4], "-t", "0.2", "-c:v", codec, "-pix_fmt", "yuvj420p")
    path = make("phone.mp4", "-display_rotation", str(degrees), "-i", str(lying), "-c", "copy")
    source = FileVideoSource(path, FastPace(("video",)))
    form = source.open()
    frame = source.read(1.0)
    assert frame is not None
    picture = source.decode(frame)
    size = (320, 180) if degrees == 180 else (180, 320)
    assert (form.width, form.height) == (picture.width, picture.height) == size
    # The judge turns it, too.
    command = ("ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", "scale=out_range=limited,format=yuv420p")
    shown = subprocess.run((*command, "-f", "rawvideo", "-"), capture_output=True, check=True).stdout
    luma = np.frombuffer(shown, np.uint8)[: size[0] * size[1]].reshape(size[1], size[0])
    assert np.abs(plane_views(picture)[0].astype(int) - luma).max() <= 3
    assert source.decode(frame, (96, 96)).height <= 96
    source.close()
