"""Synthetic sources: exact times at every pace; marks that survive an encoder; sound like speech, with beeps."""

import io
import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import SAMPLE_RATE, AudioBlock, ColorMatrix, Frame
from capture.synthetic.audio import BLOCK_SAMPLES, LOOP_SECONDS, SyntheticAudio
from capture.synthetic.marks import NUMBERS, is_lit, write_number
from capture.synthetic.slides import SLIDES, draw_slide
from capture.synthetic.video import SyntheticPainter, SyntheticVideo
from devices.host.clock import NANOSECONDS
from tests.support.markers import beep_times, frame_number, is_flashing
from tests.support.simulated import SimulatedClock

STOP = threading.Event()


def next_frame(source: SyntheticVideo) -> Frame:
    frame = source.read(1.0)
    assert frame is not None
    return frame


def planes_of(picture: av.VideoFrame) -> bytes:
    return b"".join(plane.tobytes() for plane in plane_views(picture))


def test_timestamps_are_exact_and_independent_of_the_pace() -> None:
    rate = Fraction(30000, 1001)
    clock = SimulatedClock()
    paces = (FastPace(("video",)), RealPace(clock, STOP))
    media = []
    for pace in paces:
        source = SyntheticVideo(320, 240, rate, pace, STOP)
        source.open()
        frames = [next_frame(source) for _ in range(70)]
        expected = [pace.start_ns() + int(number * NANOSECONDS / rate) for number in range(70)]
        assert [frame.timestamp_ns for frame in frames] == expected
        media.append([planes_of(source.decode(frame)) for frame in frames])
        source.close()
    assert media[0] == media[1]
    assert clock.now_ns() == paces[1].start_ns() + int(69 * NANOSECONDS / rate)


def test_a_frame_is_not_given_before_its_time_and_late_ones_are_not_skipped() -> None:
    clock = SimulatedClock()
    source = SyntheticVideo(320, 240, Fraction(10), RealPace(clock, STOP), STOP)
    source.open()
    assert next_frame(source).payload == (0).to_bytes(8)
    assert source.read(0.04) is None
    clock.advance_to(clock.now_ns() + NANOSECONDS)
    late = [next_frame(source) for _ in range(10)]
    assert [frame.payload for frame in late] == [number.to_bytes(8) for number in range(1, 11)]
    assert source.read(0.02) is None


def test_a_picture_depends_on_nothing_but_its_number() -> None:
    in_order, jumping = SyntheticPainter(320, 240, Fraction(15)), SyntheticPainter(320, 240, Fraction(15))
    drawn = [planes_of(in_order.draw(number)) for number in range(0, 210, 7)]
    order = np.random.default_rng(3).permutation(len(drawn))
    assert [planes_of(jumping.draw(int(place) * 7)) for place in order] == [drawn[place] for place in order]


def test_numbers_and_flashes_survive_an_encoder() -> None:
    numbers = range(524_275, 524_335)  # around 2 ** 19: many blocks change at once, and a slide changes
    painter, file = SyntheticPainter(320, 180, Fraction(30)), io.BytesIO()
    with av.open(file, "w", "matroska") as output:
        stream = output.add_stream("libx264", 30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, 180, "yuv420p", 150_000
        for place, number in enumerate(numbers):
            picture = painter.draw(number)
            picture.pts, picture.time_base = place, Fraction(1, 30)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as recorded:
        for number, picture in zip(numbers, recorded.decode(video=0), strict=True):
            luma = plane_views(picture)[0]
            assert (frame_number(luma), is_flashing(luma)) == (number, number % 30 < 3)


def test_samples_are_what_their_tags_say() -> None:
    source = SyntheticVideo(1280, 720, Fraction(15), FastPace(("video",)), STOP)
    format_ = source.open()
    assert (format_.width, format_.height, format_.rate, format_.matrix) == (1280, 720, Fraction(15), ColorMatrix.BT601)
    picture = source.decode(next_frame(source))
    assert (picture.format.name, picture.colorspace, picture.color_range, picture.pict_type) == (
        "yuv420p",
        ColorMatrix.BT601,
        ColorRange.MPEG,
        0,
    )
    shown = picture.reformat(format="bgr24").to_ndarray()
    drawn = draw_slide(SLIDES[0], 1280, 720)
    for x, y in ((4, 300), (600, 300), (640, 652)):  # accent, paper, footer: flat areas
        assert np.abs(shown[y, x].astype(int) - drawn[y, x]).max() <= 2
    for plane, highest in zip(plane_views(picture), (235, 240, 240), strict=True):
        assert plane.min() >= 16
        assert plane.max() <= highest


@settings(max_examples=30)
@given(st.integers(0, NUMBERS * 2))
def test_every_number_is_read_back(number: int) -> None:
    luma = np.full((180, 320), 60, np.uint8)
    write_number(luma, number)
    assert frame_number(luma) == number % NUMBERS


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)])
def test_the_lamp_is_lit_for_a_tenth_of_each_second(rate: Fraction) -> None:
    lit = [is_lit(number, rate) for number in range(3000)]
    assert lit == [(Fraction(number) / rate) % 1 < Fraction(1, 10) for number in range(3000)]
    beginnings = [number / rate for number in range(1, 3000) if lit[number] and not lit[number - 1]]
    assert [int(time) for time in beginnings] == list(range(1, len(beginnings) + 1))
    assert all(time % 1 < 1 / rate for time in beginnings)


# Sound


def blocks(source: SyntheticAudio, count: int) -> list[AudioBlock]:
    source.open()
    found = [source.read(1.0) for _ in range(count)]
    return [block for block in found if block is not None]


def test_samples_are_counted_without_a_gap_at_every_pace() -> None:
    clock = SimulatedClock()
    media = []
    for pace in (FastPace(("audio",)), RealPace(clock, STOP)):
        found = blocks(SyntheticAudio(pace, STOP, 1), 800)
        assert [block.timestamp_ns - pace.start_ns() for block in found] == [
            number * BLOCK_SAMPLES * NANOSECONDS // SAMPLE_RATE for number in range(800)
        ]
        assert all(block.samples.shape == (BLOCK_SAMPLES, 1) and not block.lost for block in found)
        media.append(np.concatenate([block.samples for block in found]))
    assert np.array_equal(media[0], media[1])
    period = LOOP_SECONDS * SAMPLE_RATE
    assert np.array_equal(media[0][:period], media[0][period : 2 * period])


def test_a_block_comes_when_its_last_sample_does() -> None:
    clock = SimulatedClock()
    source = SyntheticAudio(RealPace(clock, STOP), STOP)
    source.open()
    assert source.read(0.02) is None
    assert source.read(0.02) is not None


def test_beeps_start_exactly_on_the_seconds() -> None:
    samples = np.concatenate([block.samples for block in blocks(SyntheticAudio(FastPace(("audio",)), STOP), 950)])
    for channel in (0, 1):
        times = beep_times(samples[:, channel])
        assert [round(time) for time in times] == list(range(21))
        assert max(abs(time - round(time)) for time in times) < 0.001
    sounding = np.flatnonzero(samples[: SAMPLE_RATE // 10 + SAMPLE_RATE // 100, 0])
    assert sounding[0] < 30
    assert abs(sounding[-1] - SAMPLE_RATE // 10) < 30
