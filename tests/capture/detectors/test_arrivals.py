"""Arrival of frames: silence, slowness and jitter are found in time; normal behaviour is no fault."""

import itertools
from collections.abc import Iterator

import pytest

from capture.source import Frame
from devices.health.faults import Fault
from devices.health.log_line import LogKind
from devices.model.device import DeviceKind, HealthState
from tests.support.scenes import RATE, Shot, Watched, before, camera_pictures, live, paced

# Silence


def pausing(stops_s: float, goes_on_s: float, rate: float = RATE) -> itertools.chain[Shot]:
    return itertools.chain(before(stops_s, paced(live(), rate)), paced(live(), rate, from_s=goes_on_s))


def test_silence_is_found_in_time_and_over_after_a_second_of_pictures() -> None:
    watched = Watched(pausing(5.0, 9.0))
    watched.run(9.9)
    assert watched.state == HealthState.SILENT
    watched.run(12.0)
    (found_s, _, fault), (over_s, kind, _) = watched.faults()
    last_s = 149 / 30
    assert (fault, kind) == (Fault.NO_DATA, "recovered")
    assert 0.7 <= found_s - last_s <= 0.8
    assert over_s == pytest.approx(10.0, abs=0.05)
    (found,) = watched.log.of(LogKind.DEGRADED)
    assert found.detail["after_s"] == pytest.approx(found_s - last_s, abs=0.002)
    assert "has given no frames for 0.7 s" in found.reason
    assert watched.state == HealthState.OK


def test_a_pause_that_may_be_is_no_silence() -> None:
    watched = Watched(pausing(5.0, 5.6))
    watched.run(20.0)
    assert watched.faults() == []


@pytest.mark.parametrize(("pause_s", "faults"), [(0.9, 0), (1.2, 1)])
def test_slow_devices_have_five_intervals(pause_s: float, faults: int) -> None:
    watched = Watched(pausing(6.0, 5.8 + pause_s, rate=5), rate=5)
    watched.run(7.0)
    assert len(watched.log.of(LogKind.DEGRADED)) == faults


def test_a_camera_that_has_become_slow_has_five_of_its_own_intervals() -> None:
    slow = itertools.chain(paced(itertools.islice(live(), 30), 5), paced(live(), 5, from_s=6.8))
    watched = Watched(slow)
    watched.run(9.0)
    assert {fault for _, _, fault in watched.faults()} == {Fault.SLOW}


def test_the_first_picture_may_take_three_seconds() -> None:
    late = Watched(paced(live(), from_s=2.9))
    late.run(6.0)
    assert late.faults() == []
    never = Watched([])
    never.run(6.0)
    ((found_s, _, fault),) = never.faults()
    assert fault == Fault.NO_DATA
    assert found_s == pytest.approx(3.0, abs=0.11)
    assert "no frames in the 3.0 s since it was opened" in (never.health.now.reason or "")


# Rate and rhythm


def test_a_third_of_the_rate_is_slow_and_says_what_was_promised() -> None:
    shots = itertools.chain(before(10.0, paced(live())), before(20.0, paced(live(), 10, from_s=10.0)))
    watched = Watched(itertools.chain(shots, paced(live(), from_s=20.0)))
    watched.run(19.9)
    assert watched.health.now.state == HealthState.DEGRADED
    reason = watched.health.now.reason or ""
    assert "instead of 30" in reason
    assert "auto exposure" in reason
    watched.run(30.0)
    (found_s, _, fault), (over_s, kind, ended) = watched.faults()
    assert (fault, kind, ended) == (Fault.SLOW, "recovered", Fault.SLOW)
    assert 10.5 < found_s < 12.5
    assert 22.0 < over_s < 25.0
    assert watched.log.of(LogKind.DEGRADED)[0].detail["after_s"] == pytest.approx(found_s - 10.0, abs=0.1)


@pytest.mark.parametrize("rate", [29.97, 27.0, 25.0, 33.0])
def test_a_rate_that_is_nearly_the_promised_one_is_not_slow(rate: float) -> None:
    watched = Watched(paced(live(), rate, jitter_s=0.004))
    watched.run(30.0)
    assert watched.faults() == []


@pytest.mark.parametrize(
    ("nominal", "rate", "card", "camera"),
    [
        (30, 24, False, False),  # a film
        (30, 24_000 / 1001, False, False),
        (60, 50, False, False),
        (60_000 / 1001, 30_000 / 1001, False, True),
        (60, 25, False, True),
        (60, 24, False, True),
        (60, 40, True, True),
        (60, 15, True, True),
        (30, 20, True, True),
        (25, 15, True, True),
        (5, 5, False, False),
        (5, 2, True, True),
        (1, 1, False, False),
    ],
)
def test_a_card_that_hands_on_all_it_is_given_is_not_slow(
    nominal: float, rate: float, card: bool, camera: bool
) -> None:
    for kind, is_slow in ((DeviceKind.CAPTURE_CARD, card), (DeviceKind.CAMERA, camera)):
        watched = Watched(paced(live(), rate, jitter_s=0.002), rate=nominal, kind=kind)
        watched.run(30.0)
        assert [fault for _, _, fault in watched.faults()] == [Fault.SLOW] * is_slow, kind


def test_a_card_that_repeats_nothing_of_25_pictures_in_a_mode_of_30_is_not_slow() -> None:
    grid = (shot for number, shot in enumerate(paced(live(), 30)) if number % 6)
    watched = Watched(grid, kind=DeviceKind.CAPTURE_CARD)
    watched.run(30.0)
    assert watched.faults() == []


def test_a_card_that_loses_every_other_picture_unevenly_is_slow() -> None:
    ragged = (shot for number, shot in enumerate(paced(live(), 60)) if number % 4 in {0, 1})
    watched = Watched(ragged, rate=60, kind=DeviceKind.CAPTURE_CARD)
    watched.run(30.0)
    assert Fault.SLOW in {fault for _, _, fault in watched.faults()}


def test_a_picture_a_second_of_a_camera_of_thirty_is_one_fault_that_lasts() -> None:
    watched = Watched(paced(live(), 1))
    watched.run(60.0)
    assert [(kind, fault) for _, kind, fault in watched.faults()] == [("degraded", Fault.NO_DATA)]


def test_what_stops_every_other_second_is_told_a_few_times() -> None:
    shots = ((at_s, picture) for at_s, picture in paced(live()) if at_s % 3.0 < 1.9)
    watched = Watched(shots)
    watched.run(600.0)
    assert len(watched.faults()) <= 7
    assert watched.state == HealthState.SILENT


def test_times_that_stand_still_fill_no_memory() -> None:
    watched = Watched([])
    watched.video.open()
    watch = watched.detectors
    picture = camera_pictures()[0]
    for _ in range(5000):
        watch.read(Frame(watched.clock.now_ns(), picture))
        watch.damage.whole(watched.clock.now_ns())
        watch.damage.gave_up(2, watched.clock.now_ns())
    held = watch._arrivals._times, watch.damage._whole, watch.damage._damaged
    assert max(map(len, held)) <= 2000


@pytest.mark.parametrize(("first_s", "again_s", "from_s", "for_s"), [(0.0, 2.3, 0.1, 2), (6.3, 6.3, 0.0, 6)])
def test_a_device_that_nobody_reads_for_a_while_is_not_silent(
    first_s: float, again_s: float, from_s: float, for_s: int
) -> None:
    """A PC that stands still, at the opening or later, proves nothing about a camera."""
    shots = itertools.chain(before(0.2, paced(live(), from_s=first_s)), paced(live(), from_s=again_s))
    watched = Watched(shots)
    watched.run(from_s)
    watched.clock.advance_to(watched.clock.now_ns() + for_s * 1_000_000_000)
    watched.run(12.0)
    assert watched.faults() == []


def test_a_device_that_gives_nothing_after_a_standstill_of_the_pc_is_silent() -> None:
    watched = Watched(before(1.0, paced(live())))
    watched.run(1.0)
    watched.clock.advance_to(watched.clock.now_ns() + 2_000_000_000)
    watched.run(10.0)
    ((found_s, _, fault),) = watched.faults()
    assert fault == Fault.NO_DATA
    assert found_s == pytest.approx(3.7, abs=0.2)


def test_a_rate_that_wavers_about_the_bar_makes_one_line() -> None:
    def wavering() -> itertools.chain[Shot]:
        parts = [
            before(s + 4, paced(live(), rate, from_s=s)) for s, rate in zip(range(4, 60, 4), itertools.cycle((23, 25)))
        ]
        return itertools.chain(before(4.0, paced(live())), *parts)

    watched = Watched(wavering())
    watched.run(59.0)
    assert [(kind, fault) for _, kind, fault in watched.faults()] == [("degraded", Fault.SLOW)]


def test_one_hiccup_is_neither_slow_nor_uneven() -> None:
    watched = Watched(pausing(10.0, 10.65))
    watched.run(20.0)
    assert watched.faults() == []


def test_the_first_second_may_be_slow() -> None:
    watched = Watched(itertools.chain(before(1.0, paced(live(), 6)), paced(live(), from_s=1.0)))
    watched.run(10.0)
    assert watched.faults() == []


def test_after_a_pause_too() -> None:
    again = itertools.chain(before(10.0, paced(live(), 6, from_s=9.0)), paced(live(), from_s=10.0))
    watched = Watched(itertools.chain(before(5.0, paced(live())), again))
    watched.run(20.0)
    assert {fault for _, _, fault in watched.faults()} == {Fault.NO_DATA}


def test_two_pictures_whose_times_are_the_wrong_way_round_change_nothing() -> None:
    def stumbling() -> Iterator[Shot]:
        for number, (at_s, picture) in enumerate(paced(live(), 10)):
            yield at_s - (0.101 if number % 20 == 0 and number else 0.0), picture

    watched = Watched(stumbling())
    watched.run(10.0)
    assert watched.faults()[0][1:] == ("degraded", Fault.SLOW)


def bursts(rate: int, size: int, from_s: float) -> itertools.chain[Shot]:
    return itertools.chain.from_iterable(
        ((from_s + number * size / rate + place / 1000, picture) for place, picture in enumerate(pictures))
        for number, pictures in enumerate(itertools.batched(live(), size))
    )


def test_pictures_in_bursts_are_uneven() -> None:
    shots = itertools.chain(before(10.0, paced(live())), before(20.0, bursts(RATE, 3, 10.0)))
    watched = Watched(itertools.chain(shots, paced(live(), from_s=20.0)))
    watched.run(30.0)
    (found_s, _, fault), (over_s, _, ended) = watched.faults()
    assert (fault, ended) == (Fault.JITTER, Fault.JITTER)
    assert found_s < 13.0
    assert over_s < 25.0


def test_pictures_of_a_screen_are_taken_by_this_pc_and_no_cable_is_blamed() -> None:
    shots = itertools.chain(before(10.0, paced(live())), bursts(RATE, 3, 10.0))
    uneven = Watched(before(30.0, shots), kind=DeviceKind.CAPTURE_CARD, device="screen::0")
    uneven.run(29.0)
    assert uneven.faults() == []
    slow = Watched(paced(live(), 10.7), kind=DeviceKind.CAPTURE_CARD, device="screen::0")
    slow.run(20.0)
    (found,) = slow.log.of(LogKind.DEGRADED)
    assert "this PC is busy: close other programs" in found.reason
    silent = Watched(before(5.0, paced(live())), kind=DeviceKind.CAPTURE_CARD, device="screen::0")
    silent.run(9.0)
    (found,) = silent.log.of(LogKind.DEGRADED)
    assert found.reason.endswith("its desktop hangs; log out and in again")


def test_what_usual_cameras_do_is_not_uneven() -> None:
    thinned = (shot for number, shot in enumerate(paced(live(), 30, jitter_s=0.006)) if number % 6)
    watched = Watched(thinned)
    watched.run(30.0)
    assert watched.faults() == []
