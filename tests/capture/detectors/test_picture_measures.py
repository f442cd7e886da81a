"""Black frames, slates, light and blur at any size, and the offset of audio; dark slides and fades are no fault."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.detectors.lipsync import AudioOffset, VisualEvents, measure_offset, median_delay, onsets
from capture.detectors.picture_measures import HEIGHT, SETTLES_S, WIDTH, PictureCheck, PictureCheckResult, SignalSlate
from capture.detectors.source_health import Patience
from capture.media.pictures import plane_views, tag_frame
from capture.source import SAMPLE_RATE, ColorMatrix, Samples
from capture.synthetic.audio import speech_loop
from capture.synthetic.video import SyntheticPainter
from devices.health.faults import Fault
from devices.host.clock import NANOSECONDS
from devices.model.device import DeviceKind, HealthState
from tests.rig import pictures as rig
from tests.support.scenes import (
    CARD,
    Shot,
    Watched,
    before,
    camera_pictures,
    colour_bars,
    jpeg,
    live,
    live_then,
    one_fault,
    paced,
    plain,
    titled,
)

pytestmark = pytest.mark.computing


@pytest.mark.parametrize(
    ("picture", "fault", "after_s"),
    [
        (camera_pictures()[7], Fault.FROZEN, 3.0),
        (jpeg(plain(0, 0, 0)), Fault.BLACK, 5.0),
        (jpeg(colour_bars()), Fault.NO_SIGNAL, 3.0),
    ],
    ids=["same", "black", "bars"],
)
def test_a_fault_that_is_there_from_the_first_picture_on_is_found_and_stays_whatever_size_is_shown(
    picture: bytes, fault: Fault, after_s: float
) -> None:
    watched = Watched(paced(itertools.repeat(picture)))
    watched.within = lambda seconds: [None, (160, 90), (108, 60)][int(seconds) % 3]
    watched.run(10.0)
    ((found_s, _, found),) = watched.faults()
    assert found == fault
    assert found_s == pytest.approx(after_s, abs=0.3)


def noisy_black() -> list[bytes]:
    generator = np.random.default_rng(3)
    return [jpeg(generator.normal(12, 4, (180, 320, 3)).clip(0, 255).astype(np.uint8)) for _ in range(40)]


@pytest.mark.parametrize(
    ("pictures", "kind", "fault", "after_s", "words"),
    [
        (noisy_black(), DeviceKind.CAMERA, Fault.BLACK, 5.0, "lens cap"),
        ([jpeg(colour_bars())], DeviceKind.CAMERA, Fault.NO_SIGNAL, 3.0, "HDMI cable"),
        ([jpeg(colour_bars(level=255))], CARD, Fault.NO_SIGNAL, 3.0, "HDMI cable"),
        ([rig.jpeg(rig.no_signal(320, 180))], CARD, Fault.NO_SIGNAL, 3.0, "HDMI cable"),
        ([jpeg(plain(0, 0, 255))], CARD, Fault.NO_SIGNAL, 5.0, "HDMI cable"),
    ],
    ids=["covered lens", "EBU", "full bars", "the rig's", "blue"],
)
def test_black_and_slates_are_found_in_their_time_and_over_after_a_second(
    pictures: list[bytes], kind: DeviceKind, fault: Fault, after_s: float, words: str
) -> None:
    watched = Watched(live_then(itertools.cycle(pictures), 5.0, 15.0), kind=kind)
    watched.run(14.9)
    assert watched.health.now.state == (HealthState.DEGRADED if fault is Fault.BLACK else HealthState.SILENT)
    assert words in (watched.health.now.reason or "")
    watched.run(20.0)
    found_s, over_s = one_fault(watched, fault)
    assert found_s == pytest.approx(5.0 + after_s, abs=0.15)
    assert over_s == pytest.approx(16.0, abs=0.2)


def green_and_black_first() -> Iterator[Shot]:
    """Begin as cameras do."""
    green, black = jpeg(plain(0, 135, 0)), jpeg(plain(0, 0, 0))
    begins = itertools.chain(itertools.repeat(green, 20), itertools.repeat(black, 30))
    brightens = (jpeg(plain(level, level, level)) for level in range(10, 100))
    return paced(itertools.chain(begins, brightens, live()))


def dim_hall() -> Iterator[Shot]:
    generator = np.random.default_rng(4)
    hall = plain(22, 22, 22)
    hall[60:70, 140:170] = 150  # somebody's screen
    dim = [jpeg((hall + generator.normal(0, 3, hall.shape)).clip(0, 255).astype(np.uint8)) for _ in range(30)]
    return paced(itertools.cycle(dim))


def fade() -> Iterator[Shot]:
    levels = itertools.chain(range(180, 0, -2), itertools.repeat(0, 60), range(0, 180, 2))
    return live_then(itertools.cycle([jpeg(plain(level, level, level)) for level in levels]), 5.0, 40.0)


def moving_blue() -> Iterator[Shot]:
    blue = [jpeg(plain(level, level, 255)) for level in (0, 6)]
    return paced(picture for picture in itertools.cycle(blue) for _ in range(60))


NORMAL: dict[str, tuple[Callable[[], Iterator[Shot]], DeviceKind, float]] = {
    "the first pictures of a camera": (green_and_black_first, DeviceKind.CAMERA, 20),
    "a black slide within its patience": (
        lambda: live_then(itertools.repeat(jpeg(plain(0, 0, 0))), 5.0, 34.0), CARD, 36,
    ),
    "a dim hall": (dim_hall, DeviceKind.CAMERA, 20),
    "a fade to black and back": (fade, CARD, 45),
    "blue that moves": (moving_blue, CARD, 30),
}  # fmt: skip
SLIDES = {
    "a dark title": titled(plain(0, 0, 0), "Terima kasih"),
    "a clock": titled(plain(12, 12, 12), "9:41", (200, 200, 200)),
    "a dot": titled(plain(0, 0, 255), "."),
    "office blue": plain(0, 112, 192),
    "rising bars": colour_bars()[:, ::-1],
    "bars with a title": titled(colour_bars(), "Warna"),
}


@pytest.mark.parametrize("name", NORMAL)
def test_what_is_normal_is_no_fault(name: str) -> None:
    shots, kind, seconds = NORMAL[name]
    watched = Watched(shots(), kind=kind)
    watched.run(seconds)
    assert watched.faults() == []


@pytest.mark.parametrize("name", SLIDES)
def test_a_slide_is_neither_black_nor_a_slate(name: str) -> None:
    shots = paced(itertools.repeat(jpeg(SLIDES[name])))
    watched = Watched(shots, kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.run(12.0)
    assert watched.faults() == []


# Black


def test_black_is_over_with_a_dark_slide() -> None:
    black, slide = jpeg(plain(0, 0, 0)), jpeg(titled(plain(0, 0, 0), "Terima kasih"))
    slides = itertools.chain(itertools.repeat(black, 600), itertools.repeat(slide))
    watched = Watched(paced(slides), kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.run(30.0)
    found_s, over_s = one_fault(watched, Fault.BLACK)
    assert found_s == pytest.approx(5.0, abs=0.15)
    assert over_s == pytest.approx(21.0, abs=0.2)


@pytest.mark.parametrize(
    ("luma", "blueness", "redness", "is_empty"),
    [(16, 128, 128, True), (16, 128, 128, False), (41, 240, 110, False)],
    ids=["black", "letters on black", "letters on blue"],
)
def test_small_letters_that_the_copy_misses_are_seen_before_anything_is_said(
    luma: int, blueness: int, redness: int, is_empty: bool
) -> None:
    y = np.full((1080, 1920), luma, np.uint8)
    if not is_empty:
        y[100:140, 601:901:6] = 200
    assert bool(looked_at(frame(y, (blueness, redness)), 12.0).faults()) is is_empty


def test_a_buffer_that_nobody_filled_is_no_signal() -> None:
    ((found_s, _, fault),) = looked_at(frame(np.zeros((180, 320), np.uint8), (0, 0)), 3.0).faults()
    assert (found_s, fault) == (2.0, Fault.NO_SIGNAL)


def looked_at(picture: av.VideoFrame, seconds: float) -> Watched:
    """Show a card's picture for a while, in a simulated one."""
    watched = Watched([], kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.video.open()
    for tenth in range(round(seconds * 10)):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * 100_000_000)
        watched.detectors.pictures.see(picture, watched.clock.now_ns())
    return watched


# Cost


@pytest.mark.parametrize("rate", [25, 60])
def test_ten_small_copies_a_second_are_looked_at_whatever_the_rate(rate: int) -> None:
    watched = Watched(paced(live(), rate, jitter_s=0.002), rate=rate)
    watched.run(12.0)
    assert 98 <= watched.detectors.pictures.looked_at <= 127
    assert WIDTH * HEIGHT <= 1920 * 1080 // 36


# Complaints of a driver


def test_a_driver_that_has_no_signal_explains_that_nothing_comes() -> None:
    watched = Watched(
        itertools.chain(before(5.1, paced(live())), paced(live(), from_s=12.0)),
        kind=CARD,
        signal=lambda seconds: "nothing is plugged into it" if 5.1 <= seconds < 12.0 else None,
    )
    watched.run(11.9)
    assert watched.health.now.state == HealthState.SILENT
    assert "says that it has no signal: nothing is plugged into it" in (watched.health.now.reason or "")
    watched.run(20.0)
    found_s, over_s = one_fault(watched, Fault.NO_SIGNAL)
    assert found_s == pytest.approx(5.8, abs=0.05)
    assert 12.9 < over_s < 14.2
    assert min(np.diff(watched.camera.asked[6:11])) > 0.99


def test_a_driver_is_believed_while_pictures_come_after_a_second() -> None:
    watched = Watched(paced(live()), kind=CARD, signal=lambda s: "no power" if 5.2 < s < 5.9 or 10 < s < 15 else None)
    watched.run(20.0)
    found_s, over_s = one_fault(watched, Fault.NO_SIGNAL)
    assert 11.0 < found_s < 12.2
    assert 16.0 <= over_s < 17.2
    assert min(np.diff(watched.camera.asked)) > 0.99


@pytest.mark.parametrize(
    ("from_s", "to_s", "faults"),
    [(8, 99, [Fault.NO_DATA, Fault.NO_SIGNAL]), (5, 10, [Fault.NO_SIGNAL, Fault.NO_DATA])],
    ids=["the driver explains silence later", "the signal returns without pictures"],
)
def test_either_nothing_comes_or_there_is_no_signal(from_s: float, to_s: float, faults: list[Fault]) -> None:
    told = "nothing is plugged in"
    watched = Watched(before(5.0, paced(live())), kind=CARD, signal=lambda s: told if from_s < s < to_s else None)
    watched.run(15.0)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == faults
    assert watched.health.now.fault == faults[-1]


type Luma = NDArray[np.uint8]

SIZE = 640, 360


def frame(luma: Luma, chroma: tuple[int, int] = (128, 128)) -> av.VideoFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p")
    planes = plane_views(picture)
    planes[0][:] = luma
    planes[1][:], planes[2][:] = chroma
    return tag_frame(picture, ColorMatrix.BT601)


def seen(*lumas: Luma, noise: float = 0.0, seconds: float = 1.0) -> PictureCheckResult:
    """Check pictures in turn, ten times a second, with sensor noise."""
    random, glance = np.random.default_rng(3), PictureCheck()
    for number in range(round(seconds * 10)):
        luma = lumas[number % len(lumas)] + random.normal(0, noise, lumas[0].shape)
        glance.see(frame(luma.round().clip(16, 235).astype(np.uint8)), number * NANOSECONDS // 10)
    found = glance.seen()
    assert found is not None
    return found


def speaker(size: tuple[int, int]) -> Luma:
    return plane_views(SyntheticPainter(*size, Fraction(30)).draw(40))[0].copy()


def room(size: tuple[int, int] = SIZE) -> Luma:
    return rig.live(*size, 7, flash=False)


def defocused(luma: Luma, pixels: float) -> Luma:
    """Blur a picture like a lens, by a standard deviation in pixels of 1920."""
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), pixels * luma.shape[1] / 1920), np.uint8)


@pytest.mark.parametrize(
    ("scene", "size", "noise"),
    [(speaker, (1280, 720), 0.0), (room, (1280, 720), 0.0), (speaker, (640, 480), 3.0), (room, (640, 480), 3.0)],
)
def test_a_picture_out_of_focus_is_told_from_a_sharp_one(
    scene: Callable[[tuple[int, int]], Luma], size: tuple[int, int], noise: float
) -> None:
    seconds = 2.0 if noise else 0.2
    sharp = seen(scene(size), noise=noise, seconds=seconds).blur
    blurred = seen(defocused(scene(size), 8), noise=noise, seconds=seconds).blur
    assert sharp == pytest.approx(0.15, abs=0.2)
    assert blurred == pytest.approx(0.8, abs=0.2)
    if not noise:
        faint = (128 + (scene(size).astype(float) - 128) / 3).astype(np.uint8)
        assert seen(faint).blur == pytest.approx(sharp, abs=0.1), "it does not depend on the contrast"


def test_a_bare_wall_is_neither_sharp_nor_blurred() -> None:
    wall = np.linspace(90, 160, 1280)[None, :].repeat(720, axis=0).astype(np.uint8)
    assert seen(wall, noise=2.0, seconds=2.0).blur is None


def test_the_same_picture_is_told_from_one_with_the_noise_of_a_sensor() -> None:
    assert seen(room()).is_same
    assert not seen(room(), noise=1.0).is_same
    assert not seen(room(), seconds=0.1).is_same, "one picture says nothing"


def test_black_is_black_with_noise_too_and_not_with_a_clock_on_it() -> None:
    black = np.full(SIZE[::-1], 16, np.uint8)
    assert seen(black, noise=2.0).is_black
    clock = black.copy()
    clock[150:170, 250:350] = 200
    assert not seen(clock).is_black


def test_slates_are_known_and_only_while_they_are_still() -> None:
    bars = rig.no_signal(*SIZE)
    assert [seen(*pictures).slate for pictures in ((bars,), (bars, room()))] == [SignalSlate.BARS, None]
    blue = PictureCheck()
    assert blue.seen() is None
    blue.see(frame(np.full(SIZE[::-1], 41, np.uint8), (240, 110)), 0)
    assert (found := blue.seen())
    assert found.slate is SignalSlate.BLUE


def test_what_a_camera_shows_before_it_has_found_its_exposure_and_focus_does_not_count() -> None:
    glance = PictureCheck()
    glance.see(frame(np.full(SIZE[::-1], 16, np.uint8)), 0)
    assert (found := glance.seen())
    assert found.is_black, "there is nothing else"
    for tenth in range(1, 6):
        glance.see(frame(defocused(room(), 16)), tenth * NANOSECONDS // 10)
    glance.see(frame(room()), round((SETTLES_S + 0.1) * NANOSECONDS))
    assert (found := glance.seen())
    assert (found.is_black, found.is_same, found.pictures) == (False, False, 7)
    assert found.luma > 80
    assert found.blur == pytest.approx(0.1, abs=0.1)


# The offset of audio

RATE = 30
SMALL = 320, 180
CLAPS = (1.02, 2.31, 3.73, 5.0)
SECONDS = 6


def flashing() -> Iterator[av.VideoFrame]:
    """Yield the synthetic speaker with a lamp that is lit at each full second."""
    painter = SyntheticPainter(*SMALL, Fraction(RATE))
    return (painter.draw(number) for number in range(SECONDS * RATE))


def clapping() -> Iterator[av.VideoFrame]:
    """Yield two hands that come together at CLAPS and part slowly, before a noisy wall."""
    random = np.random.default_rng(2)
    for number in range(SECONDS * RATE):
        at_s = number / RATE
        luma = random.normal(110, 2, SMALL[::-1])
        apart = round(90 * min(1.0, *((clap - at_s) / 0.2 if at_s < clap else (at_s - clap) / 0.6 for clap in CLAPS)))
        middle = SMALL[0] // 2
        for left in (middle - 40 - apart, middle + apart):
            luma[60:120, left : left + 40] = 190
        yield frame(luma.clip(16, 235).astype(np.uint8))


def beeps() -> Samples:
    return np.asarray(speech_loop(beeps=True)[: SECONDS * SAMPLE_RATE], np.int16)


def claps() -> Samples:
    """Return bangs at these times that fade over room noise."""
    random = np.random.default_rng(4)
    sound = random.normal(0, 30, SECONDS * SAMPLE_RATE)
    fading = np.exp(-np.arange(SAMPLE_RATE // 5) / (0.02 * SAMPLE_RATE)) * random.normal(0, 9000, SAMPLE_RATE // 5)
    for at_s in CLAPS:
        first = round(at_s * SAMPLE_RATE)
        sound[first : first + len(fading)] += fading
    return np.repeat(sound.clip(-32768, 32767).astype(np.int16)[:, None], 2, axis=1)


def measured(pictures: Iterator[av.VideoFrame], sound: Samples, late_s: float) -> AudioOffset | None:
    seeing = VisualEvents()
    for number, picture in enumerate(pictures):
        seeing.see(picture, number / RATE)
    return measure_offset(seeing, [begun + late_s for begun in onsets(sound)])


@pytest.mark.parametrize("late_s", [-0.3, 0.05])
@pytest.mark.parametrize(
    ("pictures", "sound", "kind", "within_s"), [(flashing, beeps, "flash", 0.005), (clapping, claps, "clap", 2 / RATE)]
)
def test_sound_that_is_late_or_early_is_measured(
    late_s: float, pictures: Callable[[], Iterator[av.VideoFrame]], sound: Callable[[], Samples], kind: str,
    within_s: float,
) -> None:  # fmt: skip
    found = measured(pictures(), sound(), late_s)
    assert found is not None
    assert found.kind == kind
    assert found.times >= 3
    assert found.offset_s == pytest.approx(late_s, abs=within_s)


def test_people_who_speak_and_move_are_not_measured_by() -> None:
    speech = np.asarray(speech_loop(beeps=False)[: SECONDS * SAMPLE_RATE], np.int16)
    assert measured(flashing(), speech, 0.0) is None
    assert measured(clapping(), np.zeros((SECONDS * SAMPLE_RATE, 2), np.int16), 0.0) is None


def test_each_bang_begins_once_and_where_it_does() -> None:
    assert onsets(claps()) == pytest.approx(CLAPS, abs=0.003)
    assert onsets(np.zeros((10, 2), np.int16)) == []


def test_two_that_agree_are_too_few_and_those_that_do_not_agree_are_none() -> None:
    assert median_delay([1.0, 2.0], [1.1, 2.1], 9.0) is None
    assert median_delay([1.0, 2.0, 3.0], [1.125, 2.125, 3.125], 9.0) == (0.125, 3)
    assert median_delay([1.0, 2.0, 3.0], [1.1, 2.2, 3.35], 9.0) is None
    assert median_delay([1.0, 2.0, 3.0], [0.1 + 0.2 * number for number in range(45)], 9.0) is None, "by chance"
