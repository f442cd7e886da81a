"""Files that are cut off, begin late or are rotated: every loss is reported."""

import os
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from capture.media.pictures import plane_views
from capture.pacing import FastPace
from capture.source import AudioBlock, Frame, SourceEnded
from capture.sources.file import FileAudioSource, FileVideoSource
from config.errors import MediaError
from devices.host.clock import NANOSECONDS

SECONDS = 8
STEP_NS = NANOSECONDS // 30
FILM = (
    "-f", "lavfi", "-i", f"testsrc2=s=320x180:r=30:d={SECONDS}", "-f", "lavfi", "-i", f"sine=440:r=48000:d={SECONDS}",
)  # fmt: skip
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-c:a", "aac")
FORMATS = {
    "film.mp4": (*H264, "-movflags", "+faststart"),
    "film.mkv": H264,
    "film.ts": H264,
    "film.avi": ("-c:v", "mjpeg", "-c:a", "pcm_s16le"),
}


def ffmpeg(*words: str | Path) -> None:
    subprocess.run(("ffmpeg", "-v", "error", "-y", *map(str, words)), check=True, timeout=60)


def film(folder: Path, name: str) -> Path:
    ffmpeg(*FILM, *FORMATS[name], folder / name)
    return folder / name


def read_out(source: FileVideoSource | FileAudioSource) -> tuple[list[Frame | AudioBlock], str]:
    """Return the items of a source and its error; "" at the end of a whole file."""
    given: list[Frame | AudioBlock] = []
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


def opened(path: Path) -> tuple[FileVideoSource, FileAudioSource]:
    video, audio = FileVideoSource(path, FastPace(("video",))), FileAudioSource(path, FastPace(("audio",)))
    video.open()
    audio.open()
    return video, audio


@pytest.mark.parametrize("name", FORMATS)
def test_one_that_was_cut_off_before_is_not_ended_but_broken_off(tmp_path: Path, name: str) -> None:
    path = film(tmp_path, name)
    assert [read_out(source)[1] for source in opened(path)] == ["", ""]
    os.truncate(path, path.stat().st_size // 2 + 11)  # which is in the middle of a picture
    (pictures, why), (blocks, of_sound) = (read_out(source) for source in opened(path))
    assert "is not whole: the video in it ends after 0:00:0" in why or ".avi is not whole: the sound" in of_sound
    assert 2 < pictures[-1].timestamp_ns / 1e9 < 6
    assert 2 < blocks[-1].timestamp_ns / 1e9 < 6


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_one_that_is_cut_off_while_it_is_read_is_broken_off(tmp_path: Path, name: str) -> None:
    path = film(tmp_path, name)
    for source in opened(path):
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
    source = FileVideoSource(path, FastPace(("video",)))
    source.open()
    frames, why = read_out(source)
    assert (len(frames), why) == (3, "")


def test_sound_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "pidato.wav"
    ffmpeg(*FILM[4:], path)
    os.truncate(path, path.stat().st_size // 2 - 1)
    source = FileAudioSource(path, FastPace(("audio",)))
    source.open()
    assert read_out(source)[1] == f"{path} is not whole: the sound in it ends after 0:00:03"


def test_sound_of_a_format_that_does_not_say_how_long_it_is_ends(tmp_path: Path) -> None:
    path = tmp_path / "pidato.aac"
    ffmpeg(*FILM[4:], "-c:a", "aac", path)
    source = FileAudioSource(path, FastPace(("audio",)))
    source.open()
    assert read_out(source)[1] == ""


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_rubbish_in_the_middle_is_damaged_pictures_at_their_times(tmp_path: Path, name: str) -> None:
    path = film(tmp_path, name)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(np.random.default_rng(7).bytes(size // 4))
    video, _ = opened(path)
    frames: list[Frame] = []
    damaged = 0
    while True:
        try:
            frame = video.read(1.0)
        except SourceEnded:
            break
        assert frame is not None
        frames.append(frame)
        try:
            video.decode(frame)
        except MediaError:
            damaged += 1
    assert damaged > 30
    assert len(frames) == pytest.approx(30 * SECONDS, abs=2)
    assert max(after.timestamp_ns - before.timestamp_ns for before, after in pairwise(frames)) < 2 * STEP_NS


def test_a_picture_that_begins_late_stands_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    ffmpeg("-itsoffset", "1.5", *FILM[:4], *FILM[4:], "-c:v", "libx264", "-c:a", "aac", path)
    video, audio = opened(path)
    frames, why = read_out(video)
    assert why == ""
    times = [frame.timestamp_ns for frame in frames]
    assert times[0] == 0
    assert len(times) == pytest.approx((SECONDS + 1.5) * 30, abs=2)
    assert max(after - before for before, after in pairwise(times)) < 2 * STEP_NS
    first = [frame.payload for frame in frames[:45] if isinstance(frame, Frame)]
    assert all(payload is first[0] for payload in first[:40])
    assert read_out(audio)[0][0].timestamp_ns < STEP_NS


@pytest.mark.parametrize("degrees", [90, -90, 180])
@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_a_film_that_is_to_be_shown_turned_is_turned(tmp_path: Path, degrees: int, codec: str) -> None:
    ffmpeg(*FILM[:4], "-t", "0.2", "-c:v", codec, "-pix_fmt", "yuvj420p", tmp_path / "lying.mp4")
    path = tmp_path / "phone.mp4"
    ffmpeg("-display_rotation", str(degrees), "-i", tmp_path / "lying.mp4", "-c", "copy", path)
    source = FileVideoSource(path, FastPace(("video",)))
    form = source.open()
    frame = source.read(1.0)
    assert frame is not None
    picture = source.decode(frame)
    size = (320, 180) if degrees == 180 else (180, 320)
    assert (form.width, form.height) == (picture.width, picture.height) == size
    # The judge turns it, too.
    command = ("ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", "scale=out_range=limited,format=yuv420p")
    shown = subprocess.run((*map(str, command), "-f", "rawvideo", "-"), capture_output=True, check=True).stdout
    luma = np.frombuffer(shown, np.uint8)[: size[0] * size[1]].reshape(size[1], size[0])
    assert np.abs(plane_views(picture)[0].astype(int) - luma).max() <= 3
    assert source.decode(frame, (96, 96)).height <= 96
    source.close()
