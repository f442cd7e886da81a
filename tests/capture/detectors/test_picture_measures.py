"""Black frames, slates, light and blur are found at any size; dark slides and fades are no fault."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.detectors.picture_measures import HEIGHT, SETTLES_S, WIDTH, PictureCheck, PictureCheckResult, SignalSlate
from capture.detectors.source_health import Patience
from capture.media.pictures import plane_views, tag_frame
from capture.source import ColorMatrix
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
    numbered,
    one_fault,
    paced,
    plain,
    titled,
)


@pytest.mark.parametrize(("first", "after_s"), [("same", 3.0), ("black", 5.0), ("bars", 3.0)])
def test_a_fault_that_is_there_from_the_first_picture_on_is_found(first: str, after_s: float) -> None:
    pictures = {"same": camera_pictures()[7], "black": jpeg(plain(0, 0, 0)), "bars": jpeg(colour_bars())}
    watched = Watched(paced(itertools.repeat(pictures[first])))
    watched.run(10.0)
    ((found_s, _, fault),) = watched.faults()
    assert fault == {"same": Fault.FROZEN, "black": Fault.BLACK, "bars": Fault.NO_SIGNAL}[first]
    assert found_s == pytest.approx(after_s, abs=0.15)


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
        lambda: live_then(itertools.repeat(jpeg(plain(0, 0, 0))), 5.0, 34.0), CARD, 60,
    ),
    "a dim hall": (dim_hall, DeviceKind.CAMERA, 20),
    "a fade to black and back": (fade, CARD, 45),
    "blue that moves": (moving_blue, CARD, 30),
}  # fmt: skip
SLIDES = {
    "a dark title": titled(plain(0, 0, 0), "Terima kasih"),
    "a clock": titled(plain(12, 12, 12), "9:41", (200, 200, 200)),
    "dark grey": plain(40, 40, 44),
    "a blue title": titled(plain(0, 0, 255), "Bab 2"),
    "a dot": titled(plain(0, 0, 255), "."),
    "office blue": plain(0, 112, 192),
    "navy": plain(0, 40, 110),
    "white": plain(250, 250, 250),
    "green": plain(0, 160, 60),
    "rising bars": colour_bars()[:, ::-1],
    "a gradient": np.linspace(235, 16, 320).astype(np.uint8)[None, :, None].repeat(180, 0).repeat(3, 2),
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
    watched.run(30.0)
    assert watched.faults() == []


# Black


def noisy_black(level: float = 12.0) -> Iterator[bytes]:
    generator = np.random.default_rng(3)
    dark = [jpeg(generator.normal(level, 4, (180, 320, 3)).clip(0, 255).astype(np.uint8)) for _ in range(40)]
    return itertools.cycle(dark)


@pytest.mark.parametrize("still", [True, False])
def test_a_covered_lens_is_black_and_not_frozen(still: bool) -> None:
    black = itertools.repeat(jpeg(plain(0, 0, 0))) if still else noisy_black()
    watched = Watched(live_then(black, 10.0, 20.0))
    watched.run(19.9)
    assert watched.health.now.state == HealthState.DEGRADED
    assert "lens cap" in (watched.health.now.reason or "")
    watched.run(30.0)
    found_s, over_s = one_fault(watched, Fault.BLACK)
    assert found_s == pytest.approx(15.0, abs=0.15)
    assert over_s == pytest.approx(21.0, abs=0.2)


def test_black_is_over_with_a_dark_slide() -> None:
    black, slide = jpeg(plain(0, 0, 0)), jpeg(titled(plain(0, 0, 0), "Terima kasih"))
    slides = itertools.chain(itertools.repeat(black, 600), itertools.repeat(slide))
    watched = Watched(paced(slides), kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.run(30.0)
    found_s, over_s = one_fault(watched, Fault.BLACK)
    assert found_s == pytest.approx(5.0, abs=0.15)
    assert over_s == pytest.approx(21.0, abs=0.2)


@pytest.mark.parametrize(("luma", "blueness", "redness"), [(16, 128, 128), (41, 240, 110)], ids=["black", "blue"])
@pytest.mark.parametrize("is_empty", [True, False])
def test_small_letters_that_the_copy_misses_are_seen_before_anything_is_said(
    luma: int, blueness: int, redness: int, is_empty: bool
) -> None:
    watched = Watched([], kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.video.open()
    picture = av.VideoFrame(1920, 1080, "yuv420p")
    y, u, v = plane_views(picture)
    y[:], u[:], v[:] = luma, blueness, redness
    if not is_empty:
        y[100:140, 601:901:6] = 200
    for tenth in range(120):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * 100_000_000)
        watched.detectors.pictures.see(picture, watched.clock.now_ns())
    assert bool(watched.faults()) is is_empty


# Cost


def test_ten_small_copies_a_second_are_looked_at_whatever_the_rate() -> None:
    for rate in (25, 30, 60):
        watched = Watched(paced(live(), rate, jitter_s=0.002), rate=rate)
        watched.run(60.0)
        assert 490 <= watched.detectors.pictures.looked_at <= 632, rate
    assert WIDTH * HEIGHT <= 1920 * 1080 // 36


# Sizes: a layout shows a source small, and another time large


@pytest.mark.parametrize("size", [(160, 90), (108, 60), (640, 360)])
def test_a_living_camera_is_well_however_small_it_is_decoded(size: tuple[int, int]) -> None:
    watched = Watched(paced(live()))
    watched.within = lambda seconds: size if int(seconds) % 4 < 2 else None
    watched.run(39.9)
    assert watched.faults() == []


def test_a_frozen_camera_stays_frozen_when_the_layout_changes() -> None:
    watched = Watched(live_then(numbered(camera_pictures()[7]), 10.0, 30.0))
    watched.within = lambda seconds: (160, 90) if int(seconds) % 4 < 2 else None
    watched.run(40.0)
    found_s, over_s = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(13.0, abs=0.3)
    assert over_s == pytest.approx(31.5, abs=0.3)


@pytest.mark.parametrize(("first", "after_s"), [("black", 5.0), ("bars", 3.0)])
def test_black_and_slates_are_found_in_small_pictures(first: str, after_s: float) -> None:
    picture = {"black": jpeg(plain(0, 0, 0)), "bars": jpeg(colour_bars())}[first]
    watched = Watched(paced(numbered(picture)))
    watched.within = lambda seconds: (160, 90) if int(seconds) % 2 else (108, 60)
    watched.run(10.0)
    ((found_s, _, fault),) = watched.faults()
    assert fault == {"black": Fault.BLACK, "bars": Fault.NO_SIGNAL}[first]
    assert found_s == pytest.approx(after_s, abs=0.3)


# Slates


def test_a_slate_that_is_still_there_after_another_opening_is_one_fault() -> None:
    watched = Watched(paced(itertools.repeat(jpeg(colour_bars()))), kind=CARD)
    watched.run(5.0)
    watched.video.close()
    watched.camera._shots, watched.camera._next = paced(itertools.repeat(jpeg(colour_bars()))), None
    watched.video.open()
    watched.run(10.0)
    assert [kind for _, kind, _ in watched.faults()] == ["degraded"]


@pytest.mark.parametrize("kind", [CARD, DeviceKind.CAMERA])
@pytest.mark.parametrize(
    ("slate", "after_s"),
    [
        (jpeg(colour_bars()), 3.0),
        (jpeg(colour_bars(level=255)), 3.0),
        (rig.jpeg(rig.no_signal(320, 180)), 3.0),
        (jpeg(plain(0, 0, 255)), 5.0),
        (jpeg(plain(10, 20, 170)), 5.0),
    ],
    ids=["EBU", "full bars", "the rig's", "blue", "dark blue"],
)
def test_a_slate_is_no_signal(slate: bytes, after_s: float, kind: DeviceKind) -> None:
    watched = Watched(live_then(itertools.repeat(slate), 10.0, 25.0), kind=kind)
    watched.run(24.9)
    assert watched.health.now.state == HealthState.SILENT
    assert "HDMI cable" in (watched.health.now.reason or "")
    watched.run(35.0)
    found_s, over_s = one_fault(watched, Fault.NO_SIGNAL)
    assert found_s == pytest.approx(10.0 + after_s, abs=0.15)
    assert over_s == pytest.approx(26.0, abs=0.2)


def test_a_buffer_that_nobody_filled_is_no_signal() -> None:
    watched = Watched([], kind=CARD)
    watched.video.open()
    picture = av.VideoFrame(320, 180, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    for tenth in range(30):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * 100_000_000)
        watched.detectors.pictures.see(picture, watched.clock.now_ns())
    ((found_s, _, fault),) = watched.faults()
    assert (found_s, fault) == (2.0, Fault.NO_SIGNAL)


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


def test_silence_that_the_driver_explains_later_is_a_missing_signal() -> None:
    watched = Watched(before(5.0, paced(live())), kind=CARD, signal=lambda s: "nothing" if s > 8 else None)
    watched.run(12.0)
    assert [(kind, fault) for _, kind, fault in watched.faults()] == [
        ("degraded", Fault.NO_DATA),
        ("degraded", Fault.NO_SIGNAL),
        ("recovered", Fault.NO_DATA),
    ]
    assert "says that it has no signal" in (watched.health.now.reason or "")


def test_a_signal_that_returns_without_pictures_is_silence() -> None:
    watched = Watched(before(5.0, paced(live())), kind=CARD, signal=lambda s: "nothing" if 5 < s < 10 else None)
    watched.run(15.0)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == [Fault.NO_SIGNAL, Fault.NO_DATA]
    assert "no frames for" in (watched.health.now.reason or "")


type Luma = NDArray[np.uint8]

SIZE = 1280, 720


def frame(luma: Luma, chroma: tuple[int, int] = (128, 128)) -> av.VideoFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p")
    planes = plane_views(picture)
    planes[0][:] = luma
    planes[1][:], planes[2][:] = chroma
    return tag_frame(picture, ColorMatrix.BT601)


def seen(*lumas: Luma, noise: float = 0.0, seconds: float = 2.0) -> PictureCheckResult:
    """Check pictures in turn, ten times a second, with sensor noise."""
    random, glance = np.random.default_rng(3), PictureCheck()
    for number in range(round(seconds * 10)):
        luma = lumas[number % len(lumas)] + random.normal(0, noise, lumas[0].shape)
        glance.see(frame(luma.round().clip(16, 235).astype(np.uint8)), number * NANOSECONDS // 10)
    found = glance.seen()
    assert found is not None
    return found


def speaker(size: tuple[int, int] = SIZE) -> Luma:
    return plane_views(SyntheticPainter(*size, Fraction(30)).draw(40))[0].copy()


def room(size: tuple[int, int] = SIZE) -> Luma:
    return rig.live(*size, 7, flash=False)


def defocused(luma: Luma, pixels: float) -> Luma:
    """Blur a picture like a lens, by a standard deviation in pixels of 1920."""
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), pixels * luma.shape[1] / 1920), np.uint8)


@pytest.mark.parametrize("scene", [speaker, room])
@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 480)])
@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_a_picture_out_of_focus_is_told_from_a_sharp_one(scene: object, size: tuple[int, int], noise: float) -> None:
    assert callable(scene)
    sharp = seen(scene(size), noise=noise).blur
    blurred = seen(defocused(scene(size), 8), noise=noise).blur
    assert sharp is not None
    assert blurred is not None
    assert sharp < 0.35
    assert blurred > 0.6


def test_how_blurred_a_picture_is_does_not_depend_on_its_contrast() -> None:
    faint = (128 + (speaker().astype(float) - 128) / 3).astype(np.uint8)
    assert seen(faint).blur == pytest.approx(seen(speaker()).blur, abs=0.1)


def test_a_bare_wall_is_neither_sharp_nor_blurred() -> None:
    wall = np.linspace(90, 160, SIZE[0])[None, :].repeat(SIZE[1], axis=0).astype(np.uint8)
    assert seen(wall, noise=2.0).blur is None


def test_the_same_picture_is_told_from_one_with_the_noise_of_a_sensor() -> None:
    assert seen(room()).is_same
    assert not seen(room(), noise=1.0).is_same
    assert not seen(room(), seconds=0.1).is_same, "one picture says nothing"


def test_black_is_black_with_noise_too_and_not_with_a_clock_on_it() -> None:
    black = np.full(SIZE[::-1], 16, np.uint8)
    assert seen(black, noise=2.0).is_black
    clock = black.copy()
    clock[300:340, 500:700] = 200
    assert not seen(clock).is_black


def test_slates_are_known_and_only_while_they_are_still() -> None:
    bars = rig.no_signal(*SIZE)
    assert seen(bars).slate is SignalSlate.BARS
    assert seen(bars, room()).slate is None
    blue = PictureCheck()
    blue.see(frame(np.full(SIZE[::-1], 41, np.uint8), (240, 110)), 0)
    found = blue.seen()
    assert found is not None
    assert found.slate is SignalSlate.BLUE


def test_light_is_measured_where_it_is() -> None:
    half = np.full(SIZE[::-1], 40, np.uint8)
    half[:, : SIZE[0] // 2] = 235
    found = seen(half)
    assert found.burnt == pytest.approx(0.5, abs=0.01)
    assert found.light_luma == 235
    assert found.luma == pytest.approx(137.5, abs=1)


def test_what_a_camera_shows_before_it_has_found_its_exposure_does_not_count() -> None:
    glance = PictureCheck()
    black, after = frame(np.full(SIZE[::-1], 16, np.uint8)), frame(room())
    glance.see(black, 0)
    found = glance.seen()
    assert found is not None
    assert found.is_black, "there is nothing else"
    glance.see(after, round((SETTLES_S + 0.1) * NANOSECONDS))
    found = glance.seen()
    assert found is not None
    assert (found.is_black, found.is_same, found.pictures) == (False, False, 2)
    assert found.luma > 80
    assert found.blur is not None
    assert found.blur < 0.35


def test_what_it_shows_before_it_has_found_its_focus_does_not_count_either() -> None:
    glance = PictureCheck()
    for tenth in range(6):
        glance.see(frame(defocused(room(), 16)), tenth * NANOSECONDS // 10)
    glance.see(frame(room()), NANOSECONDS)
    found = glance.seen()
    assert found is not None
    assert found.blur is not None
    assert found.blur < 0.2


def test_nothing_was_seen_of_nothing() -> None:
    assert PictureCheck().seen() is None
