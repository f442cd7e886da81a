"""A frozen picture is found; slides, quiet cameras and slow motion are no fault."""

import itertools
from collections import deque

import numpy as np
import pytest

from capture.detectors.source_health import Patience
from capture.source import CodedFormat, Frame
from devices.health.faults import Fault
from devices.health.log_line import LogKind
from devices.model.device import HealthState, Mode
from devices.model.mode_choice import ChosenMode
from tests.support.scenes import (
    CARD,
    Watched,
    camera_pictures,
    jpeg,
    live,
    live_then,
    numbered,
    one_fault,
    paced,
    plain,
    titled,
)


@pytest.mark.parametrize("same_bytes", [True, False])
def test_a_camera_that_shows_the_same_for_three_seconds_is_frozen(same_bytes: bool) -> None:
    picture = camera_pictures()[7]
    watched = Watched(live_then(itertools.repeat(picture) if same_bytes else numbered(picture), 10.0, 20.0))
    watched.run(19.9)
    assert watched.health.now.state == HealthState.FROZEN
    assert "the same picture for 3.0 s" in (watched.health.now.reason or "")
    watched.run(30.0)
    found_s, over_s = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(13.0, abs=0.15)
    assert over_s == pytest.approx(21.5, abs=0.2)
    assert watched.log.of(LogKind.DEGRADED)[0].detail["exact"] is True


def test_a_camera_whose_picture_is_nearly_the_same_has_three_times_as_long() -> None:
    wall = np.linspace(60, 190, 320).astype(np.uint8)[None, :, None].repeat(180, 0).repeat(3, 2)
    flickering = [wall, wall.copy()]
    flickering[1][10:14, 20:24] += 1
    pictures = itertools.cycle([jpeg(picture, 100) for picture in flickering])
    watched = Watched(live_then(pictures, 10.0, 25.0))
    watched.run(30.0)
    found_s, _ = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(19.0, abs=0.15)
    (found,) = watched.log.of(LogKind.DEGRADED)
    assert found.detail["exact"] is False
    assert "the same picture for 9.0 s" in found.reason


def test_pictures_that_are_coded_by_what_changes_have_longer() -> None:
    picture = camera_pictures()[7]
    for of_h264, after_s in ((False, 3.0), (True, 9.0)):
        watched = Watched(live_then(numbered(picture), 10.0, 25.0))
        watched.camera.coded = CodedFormat("h264" if of_h264 else "mjpeg", 320, 180)
        watched.run(30.0)
        found_s, _ = one_fault(watched, Fault.FROZEN)
        assert found_s == pytest.approx(10.0 + after_s, abs=0.15)


def test_a_stream_of_h264_that_repeats_its_very_bytes_is_frozen() -> None:
    watched = Watched(live_then(itertools.repeat(camera_pictures()[7]), 10.0, 20.0))
    watched.camera.mode = ChosenMode(Mode("H264", 320, 180, (30,)), 30)
    watched.run(30.0)
    found_s, _ = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(13.0, abs=0.15)


def test_a_pc_that_decodes_late_makes_no_standstill() -> None:
    """A second behind, as much as a session's queue holds, with the least possible patience."""
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
    assert "30 minutes" in (watched.health.now.reason or "")


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
    for length, repeats in ((320 * 180 * 2, 0), (320 * 180 // 2, 9)):
        for number in range(10):
            watched.detectors.stillness.arrived(bytes(length), number * 33_000_000)
        assert watched.detectors.stillness.repeats == repeats
