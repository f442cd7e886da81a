"""Each picture's length in decoding order is known when it comes out, and its time survives the MP4."""

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from capture.source import ColorMatrix
from config.errors import LiputError
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.encode.x264_stream import PacketDurations
from recorder.model.packet import EncodedPacket, Track
from tests.support.media import OneFile

WIDTH, HEIGHT = 160, 120
COUNT = 120

type Times = list[int]


def even(rate: int, _: random.Random) -> Times:
    return [round(number * 90_000 / rate) for number in range(COUNT)]


def jittered(rate: int, chance: random.Random) -> Times:
    times = even(rate, chance)
    return [times[0], *(time + round(chance.uniform(-0.2, 0.2) * 90_000 / rate) for time in times[1:])]


def with_holes(rate: int, chance: random.Random) -> Times:
    times, at = [], 0
    for _ in range(COUNT):
        times.append(at)
        at += round(chance.choice((1, 1, 1, 2, 5)) * 90_000 / rate)
    return times


def encode(rate: int, times: Times, sound: Encoder | None = None) -> tuple[Encoder, list[EncodedPacket]]:
    video = VideoSettings(WIDTH, HEIGHT, Fraction(rate), ColorMatrix.BT709, 300_000, 300_000)
    encoder = sound or Encoder(video, AudioSettings(1, 64_000))
    paper = np.random.default_rng(0).integers(0, 255, (HEIGHT * 3 // 2, WIDTH), np.uint8)
    packets: list[EncodedPacket] = []
    heard = 0
    for number, pts in enumerate(times):
        samples = paper.copy()
        samples[:HEIGHT, number % 100 : number % 100 + 20] = 255
        packets += encoder.encode_video(av.VideoFrame.from_ndarray(samples, "yuv420p"), pts)
        while heard * 90_000 < pts * 48_000:  # sound goes ahead, as it does in a session
            packets += encoder.encode_audio(np.zeros((AAC_FRAME, 1), np.int16), heard)
            heard += AAC_FRAME
    return encoder, packets


@pytest.mark.parametrize("rate", [3, 10, 30, 60])
@pytest.mark.parametrize("make", [even, jittered, with_holes])
def test_a_picture_lasts_until_the_next_in_decoding_order(
    make: Callable[[int, random.Random], Times], rate: int
) -> None:
    times = make(rate, random.Random(rate))
    encoder, packets = encode(rate, times)
    packets += encoder.flush(Track.VIDEO)
    pictures = [packet for packet in packets if packet.track == Track.VIDEO]
    assert sorted(packet.pts for packet in pictures) == times
    assert [packet.duration for packet in pictures[:-1]] == [
        after.dts - before.dts for before, after in pairwise(pictures)
    ]
    assert pictures[-1].duration > 0
    encoder.close()


@pytest.mark.parametrize("make", [jittered, with_holes])
def test_every_picture_is_where_it_was_captured_in_the_recording(
    tmp_path: Path, make: Callable[[int, random.Random], Times]
) -> None:
    times = make(10, random.Random(4))
    encoder, packets = encode(10, times)
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "program.mp4", encoder.templates, on_failure=failures.append)
    for packet in [*packets, *encoder.flush(Track.VIDEO), *encoder.flush(Track.AUDIO)]:
        recording.put(packet)
    recording.close()
    encoder.close()
    assert failures == []
    with av.open(str(tmp_path / "program.mp4")) as container:
        shown = sorted((packet.pts or 0) * packet.time_base for packet in container.demux(video=0) if packet.size)
    assert [round(at / VIDEO_TIME_BASE) for at in shown] == pytest.approx(times, abs=2)


def test_nothing_is_known_before_anything_goes_in() -> None:
    assert PacketDurations().duration_from(0) is None


def test_with_pictures_held_back_decoding_runs_ahead_and_each_step_is_to_the_next_picture_that_went_in() -> None:
    steps = PacketDurations()
    for pts in (100, 130, 165):
        steps.add_frame(pts)
    assert steps.duration_from(40) == 30, "decoding is 60 ahead: the next is decoded 60 before 130"
    assert steps.duration_from(70) == 30
    for pts in (190, 260):
        steps.add_frame(pts)
    assert [steps.duration_from(dts) for dts in (100, 130, 165, 190)] == [30, 35, 25, 70]
    assert steps.duration_from(260) is None, "nothing has gone in after that"


def test_pictures_that_go_in_later_are_still_before_the_first_in_decoding_order() -> None:
    steps = PacketDurations()
    steps.add_frame(100)
    assert steps.duration_from(40) == 60
    steps.add_frame(130)
    steps.add_frame(150)
    steps.add_frame(170)
    assert [steps.duration_from(dts) for dts in (70, 90, 100, 130)] == [20, 10, 30, 20]


def test_without_pictures_held_back_the_next_is_the_next_that_went_in() -> None:
    steps = PacketDurations()
    for pts in (0, 10, 25):
        steps.add_frame(pts)
    assert [steps.duration_from(dts) for dts in (0, 10, 25)] == [10, 15, None]
    steps.add_frame(30)
    assert steps.duration_from(25) == 5
