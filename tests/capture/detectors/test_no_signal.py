"""A missing signal is found by its slate or from the driver; slides that resemble a slate are no fault."""

import itertools

import av
import numpy as np
import pytest

from devices.health.faults import Fault
from devices.model.device import DeviceKind, HealthState
from tests.rig import pictures as rig
from tests.support.scenes import (
    CARD,
    Image,
    Watched,
    before,
    colour_bars,
    jpeg,
    live,
    live_then,
    one_fault,
    paced,
    plain,
    titled,
)

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
