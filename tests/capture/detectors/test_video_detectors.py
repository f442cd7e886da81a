"""Video detectors: arrival, standstill, damage and their delays; normal behaviour is no fault."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from capture.detectors.source_health import Patience
from capture.source import CodedFormat, Frame
from devices.health.faults import Fault
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import DeviceKind, HealthState, Mode
from devices.model.mode_choice import ChosenMode
from tests.rig import pictures as rig
from tests.support.scenes import (
    CARD,
    RATE,
    Shot,
    Watched,
    before,
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


def thinned(rate: float = RATE, jitter_s: float = 0.0) -> Iterator[Shot]:
    """Leave out every sixth picture."""
    return (shot for number, shot in enumerate(paced(live(), rate, jitter_s=jitter_s)) if number % 6)


def with_a_small_clock() -> Iterator[Shot]:
    wall = plain(120, 120, 120)
    clock = wall.copy()
    clock[81:87, 105:111] = 20
    return paced(itertools.cycle([jpeg(wall), jpeg(clock)]))


def daylight() -> Iterator[Shot]:
    dawn = (jpeg(plain(level, level, level)) for level in itertools.chain(range(60, 200), range(200, 60, -1)))
    return paced(picture for picture in dawn for _ in range(15))


NORMAL: dict[str, tuple[Callable[[], Iterator[Shot]], DeviceKind, float]] = {
    "a pause that may be": (lambda: pausing(5.0, 5.6), DeviceKind.CAMERA, 20),
    "one hiccup": (lambda: pausing(10.0, 10.65), DeviceKind.CAMERA, 20),
    "a slow first second": (
        lambda: itertools.chain(before(1.0, paced(live(), 6)), paced(live(), from_s=1.0)), DeviceKind.CAMERA, 10,
    ),
    **{
        f"{rate} a second, nearly the promised 30": (
            lambda rate=rate: paced(live(), rate, jitter_s=0.004), DeviceKind.CAMERA, 30,  # type: ignore[misc] # mypy does not infer the argument
        )
        for rate in (29.97, 27.0, 25.0, 33.0)
    },
    "a usual camera that leaves pictures out": (lambda: thinned(jitter_s=0.006), DeviceKind.CAMERA, 30),
    "a card that repeats nothing of 25 pictures in a mode of 30": (thinned, DeviceKind.CAPTURE_CARD, 30),
    "a small thing that moves": (with_a_small_clock, DeviceKind.CAMERA, 20),
    "heavy noise reduction": (lambda: paced(live(noise=0.3)), DeviceKind.CAMERA, 30),
    "slow daylight": (daylight, DeviceKind.CAMERA, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMAL)
def test_what_is_normal_is_no_fault(name: str) -> None:
    shots, kind, seconds = NORMAL[name]
    watched = Watched(shots(), kind=kind)
    watched.run(seconds)
    assert watched.faults() == []


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
