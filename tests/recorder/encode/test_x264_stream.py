"""Encoders that follow each other make one stream; each packet's duration is known, and its time survives the MP4."""

import random
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from capture.source import ColorMatrix
from config.errors import EncoderError, LiputError
from recorder.encode.encoder import AAC_FRAME, AudioSettings, Encoder
from recorder.encode.x264 import STILL_RATE, VIDEO_TIME_BASE, VideoSettings
from recorder.encode.x264_stream import PacketDurations, X264Stream, _Encoder
from recorder.features.load_shedding.load_shedder import CHEAP, cheap_params
from recorder.model.packet import EncodedPacket, Track
from recorder.model.status import SheddingStep
from tests.support.media import OneFile
from tests.support.processes import runs

WIDTH, HEIGHT = 320, 180
SETTINGS = VideoSettings(WIDTH, HEIGHT, Fraction(30), ColorMatrix.BT601, 600_000, 600_000)
CHEAPER = replace(SETTINGS, more_params=CHEAP)
HALVED = replace(CHEAPER, rate=Fraction(15))

type Change = tuple[int, VideoSettings]
"""Before which picture, and to what."""

DOWN_AND_UP: Sequence[Change] = ((30, CHEAPER), (60, HALVED), (90, CHEAPER), (120, SETTINGS))
AT_ONCE: Sequence[Change] = ((30, CHEAPER), (31, HALVED), (33, SETTINGS))


def times(changes: Sequence[Change], chance: random.Random, count: int = 160) -> list[int]:
    """Return when pictures are shown: as a camera's come, unevenly, and fewer while the rate is halved."""
    rate, at, found = Fraction(30), 0.0, []
    for number in range(count):
        rate = next((settings.rate for place, settings in reversed(changes) if place <= number), rate)
        found.append(round((at + chance.uniform(0, 0.2) / 30) * 90_000))
        at += float(1 / rate)
    return found


def draw(number: int) -> av.VideoFrame:
    """Return a picture that says which one it is, by which eighths of its width are white at the bottom."""
    samples = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    bits = [number >> bit & 1 for bit in range(8)]
    samples[HEIGHT - 32 : HEIGHT] = np.repeat([40 + 160 * bit for bit in bits], WIDTH // 8).astype(np.uint8)
    return av.VideoFrame.from_ndarray(samples, "yuv420p")


def number_of(picture: av.VideoFrame) -> int:
    luma = picture.to_ndarray(format="gray")
    places = np.arange(8) * (WIDTH // 8) + WIDTH // 16
    return sum(1 << bit for bit, place in enumerate(places) if luma[HEIGHT - 16, place] > 120)


def encode(encoder: Encoder, shown: Sequence[int], changes: Sequence[Change]) -> list[EncodedPacket]:
    packets: list[EncodedPacket] = []
    heard = 0
    for number, pts in enumerate(shown):
        for place, settings in changes:
            if place == number:
                encoder.change_video(settings)
        packets += encoder.encode_video(draw(number), pts)
        while heard * 90_000 < pts * 48_000:
            packets += encoder.encode_audio(np.zeros((AAC_FRAME, 1), np.int16), heard)
            heard += AAC_FRAME
    return [*packets, *encoder.flush(Track.VIDEO), *encoder.flush(Track.AUDIO)]


@pytest.fixture
def encoder() -> Iterator[Encoder]:
    made = Encoder(SETTINGS, AudioSettings(1, 64_000))
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("changes", [DOWN_AND_UP, AT_ONCE])
def test_packets_go_on_as_those_of_one_encoder(encoder: Encoder, changes: Sequence[Change], seed: int) -> None:
    shown = times(changes, random.Random(seed))
    packets = [packet for packet in encode(encoder, shown, changes) if packet.track == Track.VIDEO]
    assert sorted(packet.pts for packet in packets) == shown
    assert all(packet.dts <= packet.pts for packet in packets)
    for before, after in pairwise(packets):
        assert before.dts < after.dts
        assert before.dts + before.duration == after.dts
    keyframes = {packet.pts for packet in packets if packet.is_keyframe}
    assert {shown[place] for place, _ in changes} <= keyframes
    last = packets[-1]
    assert last.pts + last.duration >= shown[-1] + 3000


def test_the_recording_plays_every_picture_at_its_time(encoder: Encoder, tmp_path: Path) -> None:
    shown = times(DOWN_AND_UP, random.Random(7))
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "program.mp4", encoder.templates, on_failure=failures.append)
    for packet in encode(encoder, shown, DOWN_AND_UP):
        recording.put(packet)
    recording.close()
    assert failures == []
    with av.open(str(tmp_path / "program.mp4")) as container:
        played = [(round(picture.time / VIDEO_TIME_BASE), number_of(picture)) for picture in container.decode(video=0)]
    assert [number for _, number in played] == list(range(len(shown)))
    assert [at for at, _ in played] == pytest.approx(shown, abs=2)


def test_whoever_gives_pictures_does_not_wait_for_what_the_former_encoder_holds(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = times((), random.Random(1), 40)
    given = [packet for number in range(30) for packet in encoder.encode_video(draw(number), shown[number])]
    encoder.change_video(CHEAPER)
    may_finish, finish = threading.Event(), _Encoder._finish
    monkeypatch.setattr(_Encoder, "_finish", lambda former: may_finish.wait() and finish(former))
    packets = encoder.encode_video(draw(30), shown[30])
    assert len(given) < 30, "some are still in the former encoder"
    assert packets == [], "nothing overtakes them"
    may_finish.set()
    rest = encoder.flush(Track.VIDEO)
    assert sorted(packet.pts for packet in [*given, *packets, *rest]) == shown[:31]


PRESETS = "lean", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"


@pytest.mark.parametrize(
    "settings",
    [
        *(replace(SETTINGS, preset=preset, rate=Fraction(30000, 1001)) for preset in PRESETS),
        replace(SETTINGS, low_latency=True),
        replace(SETTINGS, slowest=STILL_RATE),
    ],
    ids=[*PRESETS, "low latency", "adaptive rate"],
)
def test_what_is_cheaper_makes_the_same_stream_of_every_kind(settings: VideoSettings) -> None:
    encoder = Encoder(settings, None)
    steps = [SheddingStep.ENCODER, SheddingStep.DETAIL]
    cheap, cheaper = (replace(settings, more_params=cheap_params(settings.preset, steps[:few])) for few in (1, 2))
    halved = [] if settings.low_latency else [replace(cheap, rate=settings.rate / 2)]
    for other in (cheap, cheaper, *halved, settings):
        encoder.change_video(other)
    encoder.close()


def test_another_stream_is_refused_and_the_one_so_far_goes_on(encoder: Encoder) -> None:
    others = replace(SETTINGS, preset="ultrafast"), replace(SETTINGS, width=160), replace(SETTINGS, preset="warp")
    for other in others:
        with pytest.raises(EncoderError):
            encoder.change_video(other)
    shown = times((), random.Random(1), 40)
    packets = encode(encoder, shown, ())
    assert sorted(packet.pts for packet in packets if packet.track == Track.VIDEO) == shown


def test_a_session_without_a_picture_has_nothing_to_change() -> None:
    encoder = Encoder(None, AudioSettings(1, 64_000))
    with pytest.raises(EncoderError, match="no picture"):
        encoder.change_video(SETTINGS)
    encoder.close()


INTERVAL = 3000


def x264() -> av.VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = WIDTH, HEIGHT, "yuv420p", VIDEO_TIME_BASE
    context.options = {"preset": "veryfast", "bf": "2", "threads": "1"}
    context.open()
    return context


def streamed(stream: X264Stream, first: int, count: int) -> list[EncodedPacket]:
    packets = []
    for number in range(count):
        pts = (first + number) * INTERVAL
        picture = draw(first + number)
        picture.pts = pts
        packets += stream.encode(picture, pts)
    return packets


@pytest.mark.parametrize("begins", [None, 12_345])
def test_it_goes_on_at_the_decoding_time_at_which_another_has_ended(begins: int | None) -> None:
    stream = X264Stream(x264(), INTERVAL, begins)
    packets = [*streamed(stream, 10, 60), *stream.flush()]
    assert len(packets) == 60
    wanted = 10 * INTERVAL - 2 * INTERVAL  # two of its B-frames before it is shown
    assert packets[0].dts == (wanted if begins is None else begins)
    assert all(packet.dts <= packet.pts for packet in packets)
    assert all(before.dts < after.dts for before, after in pairwise(packets))
    assert packets[-1].pts + packets[-1].duration == 70 * INTERVAL


def test_it_is_changing_until_the_next_picture_which_another_encoder_gets_and_then_lets_go_of_the_first() -> None:
    first, second = x264(), x264()
    stream = X264Stream(first, INTERVAL)
    assert stream.by_x264 is stream
    said = [(stream.is_changing, stream.context is first, stream.context is second)]
    packets = streamed(stream, 0, 5)
    held = sys.getrefcount(first)
    stream.change(second, INTERVAL)
    said.append((stream.is_changing, stream.context is first, stream.context is second))
    packets += streamed(stream, 5, 5)
    said.append((stream.is_changing, stream.context is first, stream.context is second))
    stream.close()
    assert not runs("former-encoder")
    assert sys.getrefcount(first) < held
    packets += stream.flush()
    assert said == [(False, True, False), (True, False, True), (False, False, True)]
    assert sorted(packet.pts for packet in packets) == [number * INTERVAL for number in range(10)]


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
    assert steps.duration_from(0) is None
    for pts in (0, 10, 25):
        steps.add_frame(pts)
    assert [steps.duration_from(dts) for dts in (0, 10, 25)] == [10, 15, None]
    steps.add_frame(30)
    assert steps.duration_from(25) == 5
