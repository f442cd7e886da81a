"""The encoder: its delay is the one promised, keyframes come by time, colours are tagged."""

import itertools
import json
import re
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
from recorder.encode.x264 import DELAY_S, VIDEO_TIME_BASE, VideoSettings, x264_settings
from recorder.features.load_shedding.load_shedder import cheap_params
from recorder.model.packet import EncodedPacket, Track
from recorder.model.status import SheddingStep
from tests.support.command import run_python

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


@pytest.mark.parametrize("rate", [Fraction(5), Fraction(10), Fraction(15), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("cores", [1, 2, 16])
def test_the_delay_stays_within_its_share_of_what_a_kill_may_cost(rate: Fraction, cores: int) -> None:
    assert x264_settings(settings(rate), cores).delay_frames <= max(2, DELAY_S * rate)


@pytest.mark.parametrize("preset", ["lean", "veryfast"])
@pytest.mark.parametrize("rate", [Fraction(10), Fraction(15), Fraction(30)])
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


@pytest.mark.parametrize("cores", [1, 2, 16])
def test_at_a_low_latency_the_cores_share_each_picture(cores: int) -> None:
    tuned = x264_settings(replace(settings(), low_latency=True), cores)
    assert (tuned.threads, tuned.slices, tuned.delay_frames) == (min(4, cores), True, 0)


def test_a_cheaper_encode_at_a_low_latency_makes_the_same_stream() -> None:
    asked = replace(settings(), low_latency=True)
    encoder = Encoder(asked, None)
    first = [encoder.encode_video(picture(number), number * 3000) for number in range(3)]
    encoder.change_video(replace(asked, more_params=cheap_params(asked.preset, [SheddingStep.ENCODER])))
    after = [encoder.encode_video(picture(number), number * 3000) for number in range(3, 8)]
    # What the former encoder has is nothing, but it is asked on a thread of its own, which the next packets wait for.
    packets = [packet for at_once in [*first, *after, encoder.flush(Track.VIDEO)] for packet in at_once]
    encoder.close()
    assert [packet.pts for packet in packets] == [number * 3000 for number in range(8)]
    assert [packet.pts for packet in packets if packet.is_keyframe] == [0, 9000]


def test_every_picture_becomes_one_packet_in_decoding_order(encoder: Encoder) -> None:
    packets = encode(encoder, 100)
    assert sorted(packet.pts for packet in packets) == [number * 3000 for number in range(100)]
    assert all(before.dts < after.dts for before, after in itertools.pairwise(packets))
    assert all(packet.dts <= packet.pts for packet in packets)


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


def x264_words(asked: VideoSettings) -> dict[str, str]:
    """Return what x264 says in its stream that it was told."""
    encoder = Encoder(asked, None)
    first = encode(encoder, 20)[0].data
    encoder.close()
    return dict(re.findall(r"(\w+)=([^\s\0]+)", first.decode(errors="replace")))


def test_the_lean_preset_is_veryfast_without_what_costs_more_than_it_gives() -> None:
    lean, base = x264_words(settings(preset="lean")), x264_words(settings())
    wanted = {
        "subme": "1", "me": "dia", "analyse": "0x3:0x3", "deadzone": "16,11", "aq": "1:0.70", "qpmin": "15",
        "bframes": "0",
    }  # fmt: skip
    assert {name: lean[name] for name in lean if lean[name] != base.get(name)} == wanted


def test_what_is_compared_with_others_has_nothing_of_the_lean_preset() -> None:
    own = [x264_words(replace(settings(preset=preset), x264_params="")) for preset in ("lean", "veryfast")]
    assert own[0] == own[1]
    assert own[0]["subme"] == "2"


def test_sound_counts_samples(encoder: Encoder) -> None:
    silence = np.zeros((1024, 2), np.int16)
    packets = [p for index in range(20) for p in encoder.encode_audio(silence, index * 1024)]
    packets += encoder.flush(Track.AUDIO)
    # AAC needs one frame of run-in: it stands before time 0 and is not played.
    assert [packet.pts for packet in packets] == [1024 * (index - 1) for index in range(21)]


def test_settings_that_x264_refuses_are_one_clear_error() -> None:
    with pytest.raises(EncoderError, match="refused its settings"):
        Encoder(settings(preset="warp"), None)


# In a process of its own, in which nothing else takes memory. x264 has three threads and pictures of a look-ahead.
PROGRAM = """
import json
from dataclasses import replace
from fractions import Fraction
import av, psutil
from capture.source import ColorMatrix
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.load_shedder import CHEAP, CHEAPEST
from tests.support.processes import own_mb
from tests.support.patterns import Moving

settings = VideoSettings(1280, 720, Fraction(30), ColorMatrix.BT709, 2_000_000, 2_000_000)
moving, process = Moving(1280, 720), psutil.Process()
begin, held, number = own_mb(process), [], 0
encoder = Encoder(settings, None)
for params in ("", CHEAP, CHEAPEST, CHEAP, ""):
    if number:
        encoder.change_video(replace(settings, more_params=params))
    for _ in range(40):
        encoder.encode_video(moving.picture(number), number * 3000)
        number += 1
    encoder._pictures._encoders[0].wait()
    encoder.encode_video(moving.picture(number), number * 3000)
    number += 1
    held.append(own_mb(process) - begin)
print(json.dumps(held))
encoder.close()
"""


def test_steps_take_no_memory_beyond_that_of_one_encoder(tmp_path: Path) -> None:
    done = run_python(tmp_path, PROGRAM)
    assert done.returncode == 0, done.stderr
    first, *others = json.loads(done.stdout)
    assert first > 30
    assert max(others) < 1.5 * first, (first, others)
