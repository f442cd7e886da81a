"""Video detectors: arrival, standstill, damage and their delays; normal behaviour is no fault."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator

import pytest

from capture.detectors.source_health import Patience
from capture.source import CodedFormat, Frame
from devices.health.faults import Fault
from devices.health.log_line import LogKind, LogLevel
from devices.model.device import DeviceKind, HealthState, Mode
from devices.model.mode_choice import ChosenMode
from tests.rig import pictures as rig
from tests.support.scenes import (
    RATE,
    Shot,
    Watched,
    before,
    bursts,
    camera_pictures,
    jpeg,
    live,
    live_then,
    nearly_the_same,
    numbered,
    one_fault,
    paced,
    plain,
)

pytestmark = pytest.mark.computing

# Silence


def pausing(stops_s: float, goes_on_s: float, rate: float = RATE) -> itertools.chain[Shot]:
    return itertools.chain(before(stops_s, paced(live(), rate)), paced(live(), rate, from_s=goes_on_s))


def test_silence_is_found_in_time_and_over_after_a_second_of_pictures() -> None:
    watched = Watched(pausing(5.0, 9.0))
    watched.run(9.9)
    assert watched.health.now.state == HealthState.SILENT
    watched.run(12.0)
    (found_s, _, fault), (over_s, kind, _) = watched.faults()
    last_s = 149 / 30
    assert (fault, kind) == (Fault.NO_DATA, "recovered")
    assert 0.7 <= found_s - last_s <= 0.8
    assert over_s == pytest.approx(10.0, abs=0.05)
    (found,) = watched.log.of(LogKind.DEGRADED)
    assert found.detail["after_s"] == pytest.approx(found_s - last_s, abs=0.002)
    assert "has given no frames for 0.7 s" in found.reason
    assert watched.health.now.fault is None


@pytest.mark.parametrize(
    ("nominal", "pause_s", "faults"), [(5, 0.9, set()), (5, 1.2, {Fault.NO_DATA}), (30, 0.9, {Fault.SLOW})]
)
def test_slow_devices_have_five_intervals_of_their_own(nominal: float, pause_s: float, faults: set[Fault]) -> None:
    watched = Watched(pausing(6.0, 5.8 + pause_s, rate=5), rate=nominal)
    watched.run(7.0)
    assert {fault for _, _, fault in watched.faults()} == faults


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
    "a slow first second": (
        lambda: itertools.chain(before(1.0, paced(live(), 6)), paced(live(), from_s=1.0)), DeviceKind.CAMERA, 10,
    ),
    "25 a second, nearly the promised 30": (lambda: paced(live(), 25, jitter_s=0.004), DeviceKind.CAMERA, 20),
    "33 a second": (lambda: paced(live(), 33, jitter_s=0.004), DeviceKind.CAMERA, 20),
    "a usual camera that leaves pictures out": (lambda: thinned(jitter_s=0.006), DeviceKind.CAMERA, 20),
    "a card that repeats nothing of 25 pictures in a mode of 30": (thinned, DeviceKind.CAPTURE_CARD, 20),
    "a small thing that moves": (with_a_small_clock, DeviceKind.CAMERA, 20),
    "heavy noise reduction": (lambda: paced(live(noise=0.3)), DeviceKind.CAMERA, 20),
    "slow daylight": (daylight, DeviceKind.CAMERA, 40),
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
        (30, 24, False, False),
        (60_000 / 1001, 30_000 / 1001, False, True),
        (60, 40, True, True),
        (30, 20, True, True),
        (5, 2, True, True),
    ],
)
def test_a_card_that_hands_on_all_it_is_given_is_not_slow(
    nominal: float, rate: float, card: bool, camera: bool
) -> None:
    for kind, is_slow in ((DeviceKind.CAPTURE_CARD, card), (DeviceKind.CAMERA, camera)):
        watched = Watched(paced(live(), rate, jitter_s=0.002), rate=nominal, kind=kind)
        watched.run(15.0)
        assert [fault for _, _, fault in watched.faults()] == [Fault.SLOW] * is_slow, kind


def test_a_card_that_loses_every_other_picture_unevenly_is_slow() -> None:
    ragged = (shot for number, shot in enumerate(paced(live(), 60)) if number % 4 in {0, 1})
    watched = Watched(ragged, rate=60, kind=DeviceKind.CAPTURE_CARD)
    watched.run(30.0)
    assert Fault.SLOW in {fault for _, _, fault in watched.faults()}


@pytest.mark.parametrize(("first_s", "again_s", "from_s", "for_s"), [(0.0, 2.3, 0.1, 2), (6.3, 6.3, 0.0, 6)])
def test_a_device_that_nobody_reads_for_a_while_is_not_silent(
    first_s: float, again_s: float, from_s: float, for_s: int
) -> None:
    shots = itertools.chain(before(0.2, paced(live(), from_s=first_s)), paced(live(), from_s=again_s))
    watched = Watched(shots)
    watched.run(from_s)
    watched.clock.advance_to(watched.clock.now_ns() + for_s * 1_000_000_000)  # a PC that stands still
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


def test_pictures_in_bursts_are_uneven() -> None:
    shots = itertools.chain(before(10.0, paced(live())), before(20.0, bursts(10.0)))
    watched = Watched(itertools.chain(shots, paced(live(), from_s=20.0)))
    watched.run(30.0)
    (found_s, _, fault), (over_s, _, ended) = watched.faults()
    assert (fault, ended) == (Fault.JITTER, Fault.JITTER)
    assert found_s < 13.0
    assert over_s < 25.0


def test_pictures_of_a_screen_are_taken_by_this_pc_and_no_cable_is_blamed() -> None:
    shots = itertools.chain(before(10.0, paced(live())), bursts(10.0))
    uneven = Watched(shots, kind=DeviceKind.CAPTURE_CARD, device="screen::0")
    uneven.run(20.0)
    assert uneven.faults() == []
    slow = Watched(paced(live(), 10.7), kind=DeviceKind.CAPTURE_CARD, device="screen::0")
    slow.run(20.0)
    (found,) = slow.log.of(LogKind.DEGRADED)
    assert "this PC is busy: close other programs" in found.reason


@pytest.mark.parametrize(
    ("pictures", "is_h264", "after_s"),
    [
        (lambda: itertools.repeat(camera_pictures()[7]), False, 3.0),
        (lambda: numbered(camera_pictures()[7]), False, 3.0),
        (nearly_the_same, False, 9.0),
        (lambda: numbered(camera_pictures()[7]), True, 9.0),
        (lambda: itertools.repeat(camera_pictures()[7]), True, 3.0),
    ],
    ids=["same bytes", "same picture", "nearly the same", "coded by what changes", "its very bytes"],
)
def test_a_camera_that_shows_the_same_is_frozen(
    pictures: Callable[[], Iterator[bytes]], after_s: float, *, is_h264: bool
) -> None:
    watched = Watched(live_then(pictures(), 5.0, 16.0))
    if is_h264:
        watched.camera.coded = CodedFormat("h264", 320, 180)
        watched.camera.mode = ChosenMode(Mode("H264", 320, 180, (30,)), 30)
    watched.run(15.9)
    assert watched.health.now.state == HealthState.FROZEN
    assert f"the same picture for {after_s} s" in (watched.health.now.reason or "")
    watched.run(25.0)
    found_s, over_s = one_fault(watched, Fault.FROZEN)
    assert found_s == pytest.approx(5.0 + after_s, abs=0.15)
    assert over_s == pytest.approx(17.5, abs=0.2)
    assert watched.log.of(LogKind.DEGRADED)[0].detail["exact"] is (after_s == 3.0)


def test_a_pc_that_decodes_late_makes_no_standstill() -> None:
    watched = Watched(paced(live()), patience=Patience(1.0, 5.0, 20.0))
    watched.video.open()
    waiting: deque[Frame] = deque()
    while watched.camera.seconds < 10:
        frame = watched.video.read(0.1)
        assert frame is not None
        waiting.append(frame)
        if len(waiting) > 30:  # as much as a session's queue holds
            watched.video.decode(waiting.popleft())
    assert watched.faults() == []


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


# Damage


def damaged_between(from_s: float, to_s: float, every: int, damage: Callable[[bytes], bytes]) -> itertools.chain[Shot]:
    return itertools.chain(
        (at_s, damage(picture) if from_s <= at_s < to_s and number % every == 0 else picture)
        for number, (at_s, picture) in enumerate(paced(live()))
    )


@pytest.mark.parametrize(
    ("damage", "counted"),
    [(rig.damaged, "corrupt"), (lambda picture: picture[: len(picture) // 2], "cut_off"), (lambda _: b"", "given_up")],
)
def test_damaged_pictures_are_a_fault_with_counts(damage: Callable[[bytes], bytes], counted: str) -> None:
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


@pytest.mark.parametrize(
    ("until_s", "every", "count", "found"), [(0.9, 2, 14, []), (20.0, 90, 7, []), (4.9, 2, 74, [1.15])]
)
def test_what_is_damaged_in_the_first_second_or_now_and_then_is_counted_but_no_fault(
    until_s: float, every: int, count: int, found: list[float]
) -> None:
    watched = Watched(damaged_between(0.0, until_s, every, rig.damaged))
    watched.run(max(10.0, until_s))
    degraded = [found_s for found_s, kind, _ in watched.faults() if kind == "degraded"]
    assert degraded == pytest.approx(found, abs=0.1)
    watched.video.close()
    assert watched.log.of(LogKind.CLOSED)[0].detail["damaged"] == count


# Samples


def test_a_sample_is_taken_once_a_minute() -> None:
    pictures = (picture for picture in live() for _ in range(2))
    watched = Watched(paced(pictures, jitter_s=0.003))
    watched.run(121.0)
    samples = watched.log.of(LogKind.SAMPLE)
    assert [sample.level for sample in samples] == [LogLevel.DEBUG] * 2
    assert [sample.detail["frames"] for sample in samples] == pytest.approx([1800] * 2, abs=2)
    assert [sample.detail["repeats"] for sample in samples] == pytest.approx([900] * 2, abs=2)
    last = samples[-1].detail
    assert last["fps"] == pytest.approx(30, abs=0.1)
    assert last["jitter_ms"] == pytest.approx(3.4, abs=1)
    assert last["luma"] == pytest.approx(16 + 106 * 219 / 255, abs=4)
    assert (last["damaged"], last["missing"]) == (0, 0)


def test_pictures_that_the_rhythm_lacks_are_counted() -> None:
    shots = ((number / RATE, picture) for number, picture in enumerate(live()))
    watched = Watched(shot for n, shot in enumerate(shots) if n % 50 != 9 and not 700 <= n < 790)
    watched.run(39.0)
    watched.video.close()
    assert watched.log.of(LogKind.CLOSED)[0].detail["missing"] == pytest.approx(24 + 90 - 2, abs=1)
