"""The encoder: its delay is the one promised, keyframes come by time, colours are tagged; clocks of its threads."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from capture.source import ColorMatrix
from config.errors import EncoderError
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.thread_clocks import (
    OF_LIBRARY,
    child_programs,
    new_threads_named,
    process_cpu_ns,
    thread_names,
)
from recorder.encode.x264 import DELAY_S, VIDEO_TIME_BASE, VideoSettings, x264_settings
from recorder.model.packet import EncodedPacket, Track
from tests.support.waiting import wait_for

RATE = Fraction(30)


def settings(rate: Fraction = RATE, preset: str = "veryfast") -> VideoSettings:
    return VideoSettings(320, 180, rate, ColorMatrix.BT601, 400_000, 400_000, preset)


def picture(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(320, 180, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([(number * 7) % 200 + 16]) * plane.buffer_size)
    return frame


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    made = Encoder(settings(), AudioSettings(2, 64_000))
    yield made
    made.close()


def encode(encoder: Encoder, count: int, rate: Fraction = RATE) -> list[EncodedPacket]:
    packets: list[EncodedPacket] = []
    for number in range(count):
        packets += encoder.encode_video(picture(number), round(number / rate / VIDEO_TIME_BASE))
    return packets + encoder.flush(Track.VIDEO)


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(15), Fraction(30000, 1001), Fraction(60)])
def test_the_delay_stays_within_its_share_of_what_a_kill_may_cost(rate: Fraction) -> None:
    for cores in (1, 2, 16):
        assert x264_settings(settings(rate), cores).delay_frames <= max(2, DELAY_S * rate)


@pytest.mark.parametrize(
    ("rate", "preset"), [(Fraction(10), "veryfast"), (Fraction(15), "lean"), (Fraction(30), "veryfast")]
)
def test_x264_holds_back_as_many_frames_as_computed(rate: Fraction, preset: str) -> None:
    encoder = Encoder(settings(rate, preset), None)
    first = next(
        number for number in range(100) if encoder.encode_video(picture(number), round(number / rate / VIDEO_TIME_BASE))
    )
    encoder.close()
    assert first == x264_settings(settings(rate, preset)).delay_frames


def test_at_a_low_latency_each_picture_is_a_packet_at_once() -> None:
    encoder = Encoder(replace(settings(), low_latency=True), None)
    times = [0, 3400, 5900, 9000, 27_000, 29_900]  # cameras jitter, and stop for a while
    packets = [encoder.encode_video(picture(number), pts) for number, pts in enumerate(times)]
    assert [[(packet.pts, packet.dts) for packet in at_once] for at_once in packets] == [[(pts, pts)] for pts in times]
    assert encoder.flush(Track.VIDEO) == []
    encoder.close()


def test_at_a_low_latency_the_cores_share_each_picture() -> None:
    for cores in (1, 2, 16):
        tuned = x264_settings(replace(settings(), low_latency=True), cores)
        assert (tuned.threads, tuned.slices, tuned.delay_frames) == (min(4, cores), True, 0)


def test_a_keyframe_comes_every_two_seconds_of_time_whatever_the_rate(encoder: Encoder) -> None:
    # A camera that promised 30 frames a second and gives 7: by count, a keyframe would come every 8.6 s.
    keyframes = [float(p.pts * p.time_base) for p in encode(encoder, 70, Fraction(7)) if p.is_keyframe]
    gaps = np.diff(keyframes)
    assert keyframes[0] == 0
    assert len(keyframes) == 5
    assert all(2 <= gap <= 2.3 for gap in gaps)


def test_the_stream_says_what_its_samples_mean(encoder: Encoder) -> None:
    context = encoder.templates[Track.VIDEO].codec_context
    assert isinstance(context, av.VideoCodecContext)
    assert (context.color_range, context.colorspace) == (1, ColorMatrix.BT601)
    assert context.extradata


def test_sound_counts_samples(encoder: Encoder) -> None:
    silence = np.zeros((1024, 2), np.int16)
    packets = [p for index in range(20) for p in encoder.encode_audio(silence, index * 1024)]
    packets += encoder.flush(Track.AUDIO)
    # AAC needs one frame of run-in: it stands before time 0 and is not played.
    assert [packet.pts for packet in packets] == [1024 * (index - 1) for index in range(21)]


def test_settings_that_x264_refuses_are_one_clear_error() -> None:
    with pytest.raises(EncoderError, match="refused its settings"):
        Encoder(settings(preset="warp"), None)


# The clocks and names of threads and processes, as the system has them


def comm(number: int) -> str:
    return Path(f"/proc/self/task/{number}/comm").read_text().strip()


def test_threads_are_called_as_python_calls_them_here_and_for_the_system() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="read-kamera podium utama")
    thread.start()
    try:
        names = thread_names({})
        assert thread.native_id is not None
        assert names[thread.native_id] == "read-kamera podium utama"
        assert comm(thread.native_id) == "read-kamera pod", "15 bytes of it"
        assert names[threading.get_native_id()] == threading.current_thread().name
    finally:
        go.set()
        thread.join()


def test_what_a_library_starts_is_called_as_was_said() -> None:
    before, own = thread_names({}), comm(threading.get_native_id())
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.thread_count = 320, 180, "yuv420p", 3
    context.framerate = 30
    with new_threads_named("x264"):
        context.open(strict=False)
    assert comm(threading.get_native_id()) == own, "its own name is what it was"
    new = [name for number, name in thread_names({}).items() if number not in before]
    assert new.count("x264" + OF_LIBRARY) >= 3


def test_children_are_known_by_their_modules_and_others_are_not_ours() -> None:
    others: set[int] = set()
    with subprocess.Popen([sys.executable, "-m", "timeit", "-s", "input()"], stdin=subprocess.PIPE) as child:
        wait_for(lambda: child_programs(others).get(child.pid) == "timeit")
        assert os.getppid() not in child_programs(others)
        child.kill()
    assert child.pid not in child_programs(others)
    assert process_cpu_ns(child.pid) is None
