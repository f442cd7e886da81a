"""PictureDetector finds black frames at any size and at little cost; dark slides and fades are no fault."""

import itertools
from collections.abc import Iterator

import av
import numpy as np
import pytest

from capture.detectors.picture_measures import HEIGHT, WIDTH
from capture.detectors.source_health import Patience
from capture.media.pictures import plane_views
from devices.health.faults import Fault
from devices.model.device import HealthState
from tests.support.scenes import (
    CARD,
    Image,
    Watched,
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


def test_green_and_black_first_pictures_are_how_cameras_begin() -> None:
    green, black = jpeg(plain(0, 135, 0)), jpeg(plain(0, 0, 0))
    begins = itertools.chain(itertools.repeat(green, 20), itertools.repeat(black, 30))
    brightens = (jpeg(plain(level, level, level)) for level in range(10, 100))
    watched = Watched(paced(itertools.chain(begins, brightens, live())))
    watched.run(20.0)
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


def test_a_black_slide_is_black_only_after_its_patience() -> None:
    black = jpeg(plain(0, 0, 0))
    watched = Watched(live_then(itertools.repeat(black), 5.0, 34.0), kind=CARD)
    watched.run(60.0)
    assert watched.faults() == []


@pytest.mark.parametrize(
    "slide",
    [
        titled(plain(0, 0, 0), "Terima kasih"),
        titled(plain(12, 12, 12), "9:41", (200, 200, 200)),
        plain(40, 40, 44),
    ],
    ids=["title", "a clock", "dark grey"],
)
def test_a_dark_slide_is_not_black(slide: Image) -> None:
    watched = Watched(paced(itertools.repeat(jpeg(slide))), kind=CARD, patience=Patience(1800.0, 5.0, 60.0))
    watched.run(30.0)
    assert watched.faults() == []


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


def test_a_dim_hall_is_not_black() -> None:
    generator = np.random.default_rng(4)
    hall = plain(22, 22, 22)
    hall[60:70, 140:170] = 150  # somebody's screen
    dim = [jpeg((hall + generator.normal(0, 3, hall.shape)).clip(0, 255).astype(np.uint8)) for _ in range(30)]
    watched = Watched(paced(itertools.cycle(dim)))
    watched.run(20.0)
    assert watched.faults() == []


def test_a_fade_to_black_and_back_is_nothing() -> None:
    levels = itertools.chain(range(180, 0, -2), itertools.repeat(0, 60), range(0, 180, 2))
    fade = [jpeg(plain(level, level, level)) for level in levels]
    watched = Watched(live_then(itertools.cycle(fade), 5.0, 40.0), kind=CARD)
    watched.run(45.0)
    assert watched.faults() == []


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
