"""The health of a video source: opening, refusals, loss, damage, and a sample each minute."""

import itertools
import os

import pytest

from config.errors import DeviceError
from devices.health.faults import Fault
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import HealthState
from tests.rig import pictures as rig
from tests.support.errors import because
from tests.support.scenes import RATE, Shot, Watched, before, camera_pictures, live, paced


def test_opening_and_closing_are_told() -> None:
    watched = Watched(paced(live()))
    watched.run(2.0)
    watched.video.close()
    watched.video.close()
    opened, closed = watched.log.lines
    assert opened.kind == LogKind.OPENED
    assert opened.detail == {"format": "MJPG", "width": 320, "height": 180, "fps": 30.0, "pid": os.getpid()}
    assert (opened.device, opened.name) == ("046d:0825:CAM0001", "Podium")
    assert closed.kind == LogKind.CLOSED
    assert closed.detail["frames"] == 61
    assert closed.detail["fps"] == pytest.approx(30, abs=0.6)
    assert (closed.detail["damaged"], closed.detail["repeats"], closed.detail["state"]) == (0, 0, "ok")


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (DeviceError("Podium is used by pid 7 (vlc)", hint="Close it.", why="busy"), HealthState.BUSY),
        (DeviceError("this user may not open Podium", hint="Join.", why="denied"), HealthState.DEGRADED),
        (DeviceError("Podium does not answer", hint="Unplug it.", why="lost"), HealthState.LOST),
        (
            DeviceError("this USB bus is full: Podium gets no room", hint="Move it.", why="bus-full"),
            HealthState.DEGRADED,
        ),
    ],
)
def test_a_refusal_is_told_once_until_it_opens(refusal: DeviceError, state: HealthState) -> None:
    watched = Watched(paced(live()))
    watched.camera.refuses = refusal
    for _ in range(3):
        with pytest.raises(type(refusal), match=refusal.message.replace("(", r"\(").replace(")", r"\)")):
            watched.video.open()
    (refused,) = watched.log.of(LogKind.REFUSED)
    assert (refused.reason, refused.level, refused.detail["hint"]) == (refusal.message, LogLevel.WARN, refusal.hint)
    assert (watched.health.now.state, watched.health.now.reason) == (state, refusal.message)
    watched.camera.refuses = None
    watched.video.open()
    assert watched.health.now.state == HealthState.OK


def test_a_later_refusal_takes_the_place_of_an_earlier_one() -> None:
    watched = Watched(paced(live()))
    for refusal in (
        DeviceError("Podium has gone", why="lost"),
        DeviceError("Podium is used by pid 7 (vlc)", why="busy"),
    ):
        watched.camera.refuses = refusal
        with pytest.raises(type(refusal)):
            watched.video.open()
    assert (watched.health.now.state, watched.health.now.fault) == (HealthState.BUSY, Fault.BUSY)


def test_a_device_that_cannot_be_used_has_no_fault() -> None:
    watched = Watched([])
    watched.camera.refuses = DeviceError("Podium offers nothing", why="unsupported")
    with pytest.raises(DeviceError, check=because("unsupported")):
        watched.video.open()
    assert [line.kind for line in watched.log.lines] == [LogKind.REFUSED]


def test_a_device_that_goes_is_lost() -> None:
    watched = Watched(before(2.0, paced(live())), lost_s=2.1)
    watched.run(5.0)
    assert [(kind, fault) for _, kind, fault in watched.faults()] == [("degraded", "lost")]
    assert watched.health.now.state == HealthState.LOST
    assert watched.log.of(LogKind.CLOSED)[0].detail["state"] == "lost"


def test_what_is_closed_while_it_is_read_is_not_lost() -> None:
    watched = Watched(before(2.0, paced(live())), lost_s=2.1)
    watched.run(2.0)
    watched.video.close()
    assert watched.video.read(0.5) is None
    assert watched.faults() == []


# Damage


def damaged_between(from_s: float, to_s: float, every: int, damage: object) -> itertools.chain[Shot]:
    pictures = itertools.cycle(camera_pictures())

    def shots() -> list[Shot]:
        return [
            (at_s, damage(picture) if callable(damage) and from_s <= at_s < to_s and number % every == 0 else picture)
            for number, (at_s, picture) in enumerate(before(to_s + 20, paced(pictures)))
        ]

    return itertools.chain(shots())


@pytest.mark.parametrize(
    ("damage", "counted"),
    [
        (rig.damaged, "corrupt"),
        (lambda picture: picture[: len(picture) // 2], "cut_off"),
        (lambda _: b"", "given_up"),
    ],
)
def test_damaged_pictures_are_a_fault_with_counts(damage: object, counted: str) -> None:
    watched = Watched(damaged_between(10.0, 20.0, 6, damage))
    watched.run(30.0)
    (found_s, _, fault), (over_s, _, ended) = watched.faults()
    assert (fault, ended) == (Fault.DAMAGED, Fault.DAMAGED)
    assert found_s == pytest.approx(10.4, abs=0.15)
    assert over_s == pytest.approx(22.9, abs=0.2)
    (found,) = watched.log.of(LogKind.DEGRADED)
    assert (found.detail[counted], found.detail["damaged"]) == (3, 3)
    assert "are damaged" in found.reason
    watched.video.close()
    assert watched.log.of(LogKind.CLOSED)[0].detail["damaged"] == 50


def test_what_is_damaged_in_the_first_second_is_counted_but_no_fault() -> None:
    watched = Watched(damaged_between(0.0, 0.9, 2, rig.damaged))
    watched.run(10.0)
    watched.video.close()
    assert watched.faults() == []
    assert watched.log.of(LogKind.CLOSED)[0].detail["damaged"] == 14


def test_what_is_damaged_from_the_first_picture_on_is_found_after_a_second() -> None:
    watched = Watched(damaged_between(0.0, 5.0, 2, rig.damaged))
    watched.run(4.9)
    ((found_s, _, fault),) = watched.faults()
    assert fault == Fault.DAMAGED
    assert found_s == pytest.approx(1.15, abs=0.1)


def test_a_damaged_picture_now_and_then_is_counted_but_no_fault() -> None:
    watched = Watched(damaged_between(0.0, 65.0, 90, rig.damaged))
    watched.run(70.0)
    assert watched.faults() == []
    assert watched.log.of(LogKind.SAMPLE)[0].detail["damaged"] == 20


# Samples


def test_a_sample_is_taken_once_a_minute() -> None:
    pictures = (picture for picture in live() for _ in range(2))
    watched = Watched(paced(pictures, jitter_s=0.003))
    watched.run(185.0)
    samples = watched.log.of(LogKind.SAMPLE)
    assert [sample.level for sample in samples] == [LogLevel.DEBUG] * 3
    assert [sample.detail["frames"] for sample in samples] == pytest.approx([1800] * 3, abs=2)
    assert [sample.detail["repeats"] for sample in samples] == pytest.approx([900] * 3, abs=2)
    last = samples[-1].detail
    assert last["fps"] == pytest.approx(30, abs=0.1)
    assert last["jitter_ms"] == pytest.approx(3.4, abs=1)
    assert last["luma"] == pytest.approx(16 + 106 * 219 / 255, abs=4)
    assert (last["damaged"], last["missing"]) == (0, 0)


def test_pictures_that_the_rhythm_lacks_are_counted() -> None:
    """One frame in fifty, then 3 s without any; film at 24 fps lacks none."""
    shots = [(number / RATE, picture) for number, picture in zip(range(3600), live(), strict=False)]
    watched = Watched(shot for n, shot in enumerate(shots) if n % 50 != 9 and not 1000 <= n < 1090)
    watched.run(119.0)
    assert watched.log.of(LogKind.SAMPLE)[0].detail["missing"] == 36 + 90 - 2
    watched.video.close()
    assert watched.log.of(LogKind.CLOSED)[0].detail["missing"] == pytest.approx(36 + 90 - 2 + 35, abs=1)
    film = Watched(paced(live(), 24, jitter_s=0.005))
    film.run(61.0)
    assert film.log.of(LogKind.SAMPLE)[0].detail["missing"] == 0


def test_a_silent_source_has_samples_too() -> None:
    watched = Watched([])
    watched.video.open()
    for tenth in range(611):
        watched.clock.advance_to(watched.camera.zero_ns + tenth * NANOSECONDS // 10)
        watched.health.read(None)
    assert watched.log.of(LogKind.SAMPLE)[0].detail["frames"] == 0
