"""The check of two seconds of frames: black, slates, sameness, light and blur."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.detectors.picture_measures import SETTLES_S, PictureCheck, PictureCheckResult, SignalSlate
from capture.media.pictures import plane_views, tag_frame
from capture.source import ColorMatrix
from capture.synthetic.video import SyntheticPainter
from devices.host.clock import NANOSECONDS
from tests.rig import pictures as rig

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
