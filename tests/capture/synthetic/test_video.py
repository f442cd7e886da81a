"""Synthetic video: exact times, the same at every pace, and marks that the tests' own reader finds after an encoder."""

import io
import threading
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given
from hypothesis import strategies as st

from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import ColorMatrix, Frame
from capture.synthetic.marks import BLACK, NUMBER, NUMBERS, WHITE, is_lit, write_lamp, write_number
from capture.synthetic.slides import SLIDES, draw_slide
from capture.synthetic.video import SyntheticPainter, SyntheticVideo
from config.errors import MediaError
from devices.host.clock import NANOSECONDS
from tests.support.markers import frame_number, is_flashing
from tests.support.simulated import SimulatedClock

STOP = threading.Event()


def fast(width: int = 320, height: int = 240, rate: Fraction = Fraction(15)) -> SyntheticVideo:
    return SyntheticVideo(width, height, rate, FastPace(("video",)), STOP)


def next_frame(source: SyntheticVideo) -> Frame:
    frame = source.read(1.0)
    assert frame is not None
    return frame


def planes_of(picture: av.VideoFrame) -> bytes:
    return b"".join(plane.tobytes() for plane in plane_views(picture))


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(25), Fraction(30000, 1001)])
def test_timestamps_are_exact_and_independent_of_the_pace(rate: Fraction) -> None:
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


def test_a_stopped_source_gives_nothing() -> None:
    stop = threading.Event()
    source = SyntheticVideo(320, 240, Fraction(30), FastPace(("video",)), stop)
    source.open()
    next_frame(source)
    stop.set()
    assert source.read(1.0) is None


def test_a_picture_is_unchanged_until_the_next_call_but_one() -> None:
    source = fast()
    source.open()
    frames = [next_frame(source) for _ in range(200)]  # read ahead: a queue may hold any number of frames
    before = source.decode(frames[0])
    for frame in frames[1:]:
        copy = planes_of(before)
        after = source.decode(frame)
        assert planes_of(before) == copy
        before = after
    assert frame_number(plane_views(before)[0]) == 199


def test_a_picture_depends_on_nothing_but_its_number() -> None:
    in_order, jumping = SyntheticPainter(320, 240, Fraction(15)), SyntheticPainter(320, 240, Fraction(15))
    drawn = [planes_of(in_order.draw(number)) for number in range(0, 400, 7)]
    order = np.random.default_rng(3).permutation(len(drawn))
    assert [planes_of(jumping.draw(int(place) * 7)) for place in order] == [drawn[place] for place in order]


def encoded_and_decoded(width: int, height: int, numbers: range, bit_rate: int) -> list[av.VideoFrame]:
    """Encode pictures with x264 into a file, and decode it."""
    painter, file = SyntheticPainter(width, height, Fraction(30)), io.BytesIO()
    with av.open(file, "w", "matroska") as output:
        stream = output.add_stream("libx264", 30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", bit_rate
        for place, number in enumerate(numbers):
            picture = painter.draw(number)
            picture.pts, picture.time_base = place, Fraction(1, 30)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as recorded:
        return list(recorded.decode(video=0))


@pytest.mark.parametrize(
    ("width", "height", "bit_rate"), [(1920, 1080, 1_500_000), (320, 180, 150_000), (320, 240, 150_000)]
)
def test_numbers_and_flashes_survive_an_encoder_and_scaling(width: int, height: int, bit_rate: int) -> None:
    numbers = range(524_275, 524_335)  # around 2 ** 19: many blocks change at once, and a slide changes
    pictures = encoded_and_decoded(width, height, numbers, bit_rate)
    for number, picture in zip(numbers, pictures, strict=True):
        luma = plane_views(picture)[0]
        small = cv2.resize(luma, (320, 180), interpolation=cv2.INTER_AREA)
        for read in (luma, np.asarray(small, np.uint8)):
            assert frame_number(read) == number
            assert is_flashing(read) == (number % 30 < 3)


def test_samples_are_what_their_tags_say() -> None:
    source = fast(1280, 720)
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


def test_the_session_looks_alive() -> None:
    painter = SyntheticPainter(320, 240, Fraction(15))
    lumas = [plane_views(painter.draw(number))[0].astype(int).copy() for number in range(0, 300, 15)]
    speaker = [luma[20:100, 225:305] for luma in lumas]
    text = [luma[20:200, 20:200] for luma in lumas]
    assert all(np.abs(now - before).mean() > 1 for before, now in pairwise(speaker))
    changes = [np.abs(now - before).mean() > 1 for before, now in pairwise(text)]
    assert [second + 1 for second, changed in enumerate(changes) if changed] == [4, 8, 12, 16]
    assert len({luma[20:200, 20:200].tobytes() for luma in lumas}) == len(SLIDES)


def test_the_speakers_camera_has_a_little_noise() -> None:
    painter = SyntheticPainter(1280, 720, Fraction(30))
    walls = [plane_views(painter.draw(number))[0][60:120, 900:960].astype(int) for number in range(20)]
    for before, now in pairwise(walls):
        assert 0.5 < np.abs(now - before).mean() < 2.5


def test_frames_of_others_are_refused_and_closing_twice_is_fine() -> None:
    source = fast()
    source.open()
    with pytest.raises(MediaError):
        source.decode(Frame(0, b"\xff\xd8 not ours"))
    frame = next_frame(source)
    source.close()
    source.close()
    with pytest.raises(MediaError):
        source.decode(frame)


def marked(number: int) -> np.ndarray:
    luma = np.full((180, 320), 60, np.uint8)
    write_number(luma, number)
    return luma


@given(st.integers(0, NUMBERS * 2))
def test_every_number_is_read_back(number: int) -> None:
    assert frame_number(marked(number)) == number % NUMBERS


@given(st.integers(0, NUMBERS - 1), st.integers(0, 25))
def test_a_block_that_has_flipped_or_faded_is_noticed(number: int, block: int) -> None:
    luma = marked(number)
    rows, columns = NUMBER.pixels(320, 180)
    edges = [columns.start + (columns.stop - columns.start) * edge // 26 for edge in (block, block + 1)]
    area = luma[rows, edges[0] : edges[1]]
    for level in (np.where(area > 128, BLACK, WHITE), np.full(area.shape, 125)):
        luma[rows, edges[0] : edges[1]] = level
        assert frame_number(luma) is None


@given(st.integers(0, NUMBERS - 2))
def test_a_mix_of_two_pictures_is_no_number(number: int) -> None:
    mixed = (marked(number).astype(np.uint16) + marked(number + 1)) // 2
    assert frame_number(mixed.astype(np.uint8)) is None


@pytest.mark.parametrize("level", [0, 16, 128, 235, 255])
def test_a_plain_picture_has_no_number(level: int) -> None:
    assert frame_number(np.full((180, 320), level, np.uint8)) is None


def test_the_lamp_is_read() -> None:
    luma = marked(7)
    for lit in (True, False, True):
        write_lamp(luma, lit=lit)
        assert is_flashing(luma) == lit


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(15), Fraction(60), Fraction(25), Fraction(30000, 1001)])
def test_the_lamp_is_lit_for_a_tenth_of_each_second(rate: Fraction) -> None:
    lit = [is_lit(number, rate) for number in range(3000)]
    assert lit == [(Fraction(number) / rate) % 1 < Fraction(1, 10) for number in range(3000)]
    beginnings = [number / rate for number in range(1, 3000) if lit[number] and not lit[number - 1]]
    assert [int(time) for time in beginnings] == list(range(1, len(beginnings) + 1))
    assert all(time % 1 < 1 / rate for time in beginnings)
