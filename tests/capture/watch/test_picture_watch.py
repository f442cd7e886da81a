"""What pictures show: standstill, black and slates are found; slides, quiet cameras and fades are left alone."""

import itertools
from collections import deque
from collections.abc import Iterator

import av
import numpy as np
import pytest

from capture.pictures import plane_views
from capture.source import Frame
from capture.watch.patience import Patience
from capture.watch.picture import HEIGHT, WIDTH
from devices.health.faults import Fault
from devices.health.line import Kind
from devices.mode_choice import ChosenMode
from devices.model import DeviceKind, HealthState, Mode
from tests.rig import pictures as rig
from tests.support.scenes import (
    Image,
    Shot,
    Watched,
    before,
    camera_pictures,
    colour_bars,
    jpeg,
    live,
    paced,
    plain,
    titled,
)

CARD = DeviceKind.CAPTURE_CARD


def numbered(picture: bytes) -> Iterator[bytes]:
    """Give the same picture for ever, in other bytes each time."""
    for number in itertools.count():
        # Bytes behind the end of a JPEG mean nothing.
        yield picture + number.to_bytes(4)


def live_then(pictures: Iterator[bytes], from_s: float, to_s: float, rate: float = 30) -> itertools.chain[Shot]:
    """Show a camera, then `pictures` for a while, then the camera again."""
    return itertools.chain(
        before(from_s, paced(live(), rate)),
        before(to_s, paced(pictures, rate, from_s=from_s)),
        paced(live(), rate, from_s=to_s),
    )


def one_fault(watched: Watched, fault: Fault) -> tuple[float, float]:
    """Return when the only fault was found and when it was over."""
    (found_s, found, what), (over_s, over, ended) = watched.faults()
    assert (found, over) == ("degraded", "recovered")
    assert what == ended == fault
    return found_s, over_s


# Standstill


@pytest.mark.parametrize("same_bytes", [True, False])
def test_a_camera_that_shows_the_same_for_three_seconds_is_frozen(same_bytes: bool) -> None:
    picture = camera_pictures()[7]
    watched = Watched(live_then(itertools.repeat(picture) if same_bytes else numbered(picture), 10.0, 20.0))
    watched.run(19.9)
    assert watched.video.health.state == HealthState.FROZEN
    assert "the same picture for 3.0 s" in (watched.video.health.reason or "")
    watched.run(30.0)
    found_s, over_s = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(13.0, abs=0.15)
    assert over_s == pytest.approx(21.5, abs=0.2)
    assert watched.log.of(Kind.DEGRADED)[0].detail["exact"] is True


def test_a_camera_whose_picture_is_nearly_the_same_has_three_times_as_long() -> None:
    wall = np.linspace(60, 190, 320).astype(np.uint8)[None, :, None].repeat(180, 0).repeat(3, 2)
    flickering = [wall, wall.copy()]
    flickering[1][10:14, 20:24] += 1
    pictures = itertools.cycle([jpeg(picture, 100) for picture in flickering])
    watched = Watched(live_then(pictures, 10.0, 25.0))
    watched.run(30.0)
    found_s, _ = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(19.0, abs=0.15)
    (found,) = watched.log.of(Kind.DEGRADED)
    assert found.detail["exact"] is False
    assert "the same picture for 9.0 s" in found.reason


def test_pictures_that_are_coded_by_what_changes_have_longer() -> None:
    picture = camera_pictures()[7]
    for of_h264, after_s in ((False, 3.0), (True, 9.0)):
        watched = Watched(live_then(numbered(picture), 10.0, 25.0))
        watched.camera.mode = ChosenMode(Mode("H264" if of_h264 else "MJPG", 320, 180, (30,)), 30)
        watched.run(30.0)
        found_s, _ = one_fault(watched, Fault.FROZEN)
        assert found_s == pytest.approx(10.0 + after_s, abs=0.15)


def test_a_stream_of_h264_that_repeats_its_very_bytes_is_frozen() -> None:
    watched = Watched(live_then(itertools.repeat(camera_pictures()[7]), 10.0, 20.0))
    watched.camera.mode = ChosenMode(Mode("H264", 320, 180, (30,)), 30)
    watched.run(30.0)
    found_s, _ = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(13.0, abs=0.15)


@pytest.mark.parametrize(("first", "after_s"), [("same", 3.0), ("black", 5.0), ("bars", 3.0)])
def test_a_fault_that_is_there_from_the_first_picture_on_is_found(first: str, after_s: float) -> None:
    pictures = {"same": camera_pictures()[7], "black": jpeg(plain(0, 0, 0)), "bars": jpeg(colour_bars())}
    watched = Watched(paced(itertools.repeat(pictures[first])))
    watched.run(10.0)
    ((found_s, _, fault),) = watched.faults()
    assert fault == {"same": Fault.FROZEN, "black": Fault.BLACK, "bars": Fault.NO_SIGNAL}[first]
    assert found_s == pytest.approx(after_s, abs=0.15)


def test_a_pc_that_decodes_late_makes_no_standstill() -> None:
    """A second behind, as much as a session's queue holds, with the least patience that can be set."""
    watched = Watched(paced(live()), patience=Patience(1.0, 5.0, 20.0))
    watched.video.open()
    waiting: deque[Frame] = deque()
    while watched.camera.seconds < 20:
        frame = watched.video.read(0.1)
        assert frame is not None
        waiting.append(frame)
        if len(waiting) > 30:
            watched.video.decode(waiting.popleft())
    assert watched.faults() == []


def test_green_and_black_first_pictures_are_how_cameras_begin() -> None:
    green, black = jpeg(plain(0, 135, 0)), jpeg(plain(0, 0, 0))
    begins = itertools.chain(itertools.repeat(green, 20), itertools.repeat(black, 30))
    brightens = (jpeg(plain(level, level, level)) for level in range(10, 100))
    watched = Watched(paced(itertools.chain(begins, brightens, live())))
    watched.run(20.0)
    assert watched.faults() == []


def test_a_slate_that_is_still_there_after_another_opening_is_one_fault() -> None:
    watched = Watched(paced(itertools.repeat(jpeg(colour_bars()))), kind=CARD)
    watched.run(5.0)
    watched.video.close()
    watched.camera._shots, watched.camera._next = paced(itertools.repeat(jpeg(colour_bars()))), None
    watched.video.open()
    watched.run(10.0)
    assert [kind for _, kind, _ in watched.faults()] == ["degraded"]


def test_a_frozen_picture_that_changes_once_and_freezes_again_is_one_fault() -> None:
    first, second = camera_pictures()[:2]
    stuck = itertools.chain(itertools.repeat(first, 300), itertools.repeat(second))
    watched = Watched(live_then(stuck, 5.0, 60.0))
    watched.run(59.0)
    assert [(kind, fault) for _, kind, fault in watched.faults()] == [("degraded", Fault.FROZEN)]


def test_a_small_thing_that_moves_shows_that_a_camera_lives() -> None:
    wall = plain(120, 120, 120)
    clock = wall.copy()
    clock[81:87, 105:111] = 20
    watched = Watched(paced(itertools.cycle([jpeg(wall), jpeg(clock)])))
    watched.run(20.0)
    assert watched.faults() == []


def test_a_camera_with_heavy_noise_reduction_is_not_frozen() -> None:
    watched = Watched(paced(live(noise=0.3)))
    watched.run(30.0)
    assert watched.faults() == []


def test_slow_daylight_is_a_change() -> None:
    dawn = (jpeg(plain(level, level, level)) for level in itertools.chain(range(60, 200), range(200, 60, -1)))
    watched = Watched(paced(picture for picture in dawn for _ in range(15)))
    watched.run(100.0)
    assert watched.faults() == []


def test_a_slide_may_stay_for_twenty_five_minutes_and_not_for_more_than_thirty() -> None:
    first, second = (jpeg(titled(plain(250, 250, 250), text, (30, 30, 30))) for text in ("Agenda", "Anggaran"))
    rate = 5.0
    slides = itertools.chain(itertools.repeat(first, 25 * 60 * 5), itertools.repeat(second))
    watched = Watched(paced(slides, rate), kind=CARD, rate=rate)
    watched.run(54.5 * 60)
    assert watched.faults() == []
    watched.run(56 * 60)
    ((found_s, _, fault),) = watched.faults()
    assert fault == Fault.FROZEN
    assert found_s == pytest.approx(55 * 60, abs=0.3)
    assert "30 minutes" in (watched.video.health.reason or "")


def test_a_capture_card_that_stood_still_too_long_lives_with_the_next_slide() -> None:
    first, second = camera_pictures()[:2]
    watched = Watched(
        paced(itertools.chain(itertools.repeat(first, 900), itertools.repeat(second)), 30),
        kind=CARD,
        patience=Patience(20.0, 30.0, 60.0),
    )
    watched.run(40.0)
    found_s, over_s = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(20.0, abs=0.1)
    assert over_s == pytest.approx(31.5, abs=0.1)


def test_uncompressed_pictures_are_not_compared_byte_by_byte() -> None:
    watched = Watched([])
    watched.video.open()
    assert watched.video._watch is not None
    for length, repeats in ((320 * 180 * 2, 0), (320 * 180 // 2, 9)):
        for number in range(10):
            watched.video._watch._stillness.arrived(bytes(length), number * 33_000_000)
        assert watched.video._watch._stillness.repeats == repeats


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
    assert watched.video.health.state == HealthState.DEGRADED
    assert "lens cap" in (watched.video.health.reason or "")
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
    assert watched.video._watch is not None
    picture = av.VideoFrame(1920, 1080, "yuv420p")
    y, u, v = plane_views(picture)
    y[:], u[:], v[:] = luma, blueness, redness
    if not is_empty:
        y[100:140, 601:901:6] = 200
    for tenth in range(120):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * 100_000_000)
        watched.video._watch.pictures.see(picture, watched.clock.now_ns())
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


# Slates


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
    assert watched.video.health.state == HealthState.SILENT
    assert "HDMI cable" in (watched.video.health.reason or "")
    watched.run(35.0)
    found_s, over_s = one_fault(watched, Fault.NO_SIGNAL)
    assert found_s == pytest.approx(10.0 + after_s, abs=0.15)
    assert over_s == pytest.approx(26.0, abs=0.2)


@pytest.mark.parametrize(
    "slide",
    [
        titled(plain(0, 0, 255), "Bab 2"),
        titled(plain(0, 0, 255), "."),
        plain(0, 112, 192),
        plain(0, 40, 110),
        plain(250, 250, 250),
        plain(0, 160, 60),
        colour_bars()[:, ::-1],
        np.linspace(235, 16, 320).astype(np.uint8)[None, :, None].repeat(180, 0).repeat(3, 2),
        titled(colour_bars(), "Warna"),
    ],
    ids=["title", "dot", "office blue", "navy", "white", "green", "rising bars", "gradient", "bars with a title"],
)
def test_a_slide_is_not_a_slate(slide: Image) -> None:
    watched = Watched(paced(itertools.repeat(jpeg(slide))), kind=CARD)
    watched.run(30.0)
    assert watched.faults() == []


def test_blue_that_moves_is_not_a_slate() -> None:
    blue = [jpeg(plain(level, level, 255)) for level in (0, 6)]
    watched = Watched(paced(picture for picture in itertools.cycle(blue) for _ in range(60)), kind=CARD)
    watched.run(30.0)
    assert watched.faults() == []


def test_a_buffer_that_nobody_filled_is_no_signal() -> None:
    watched = Watched([], kind=CARD)
    watched.video.open()
    assert watched.video._watch is not None
    picture = av.VideoFrame(320, 180, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    for tenth in range(30):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * 100_000_000)
        watched.video._watch.pictures.see(picture, watched.clock.now_ns())
    ((found_s, _, fault),) = watched.faults()
    assert (found_s, fault) == (2.0, Fault.NO_SIGNAL)


# What a driver says itself


def test_a_driver_that_has_no_signal_explains_that_nothing_comes() -> None:
    watched = Watched(
        itertools.chain(before(5.1, paced(live())), paced(live(), from_s=12.0)),
        kind=CARD,
        signal=lambda seconds: "nothing is plugged into it" if 5.1 <= seconds < 12.0 else None,
    )
    watched.run(11.9)
    assert watched.video.health.state == HealthState.SILENT
    assert "says that it has no signal: nothing is plugged into it" in (watched.video.health.reason or "")
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
    assert "says that it has no signal" in (watched.video.health.reason or "")


def test_a_signal_that_returns_without_pictures_is_silence() -> None:
    watched = Watched(before(5.0, paced(live())), kind=CARD, signal=lambda s: "nothing" if 5 < s < 10 else None)
    watched.run(15.0)
    assert [fault for _, kind, fault in watched.faults() if kind == "degraded"] == [Fault.NO_SIGNAL, Fault.NO_DATA]
    assert "no picture for" in (watched.video.health.reason or "")


# Cost


def test_ten_small_copies_a_second_are_looked_at_whatever_the_rate() -> None:
    for rate in (25, 30, 60):
        watched = Watched(paced(live(), rate, jitter_s=0.002), rate=rate)
        watched.run(60.0)
        assert watched.video._watch is not None
        assert 490 <= watched.video._watch.pictures.looked_at <= 632, rate
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
