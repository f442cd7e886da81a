"""Hysteresis of faults, and the patience of roles and kinds of device."""

import pytest

from capture.detectors.source_health import FaultHysteresis, Patience, patience_for
from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import PatienceSettings as Setting
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import LogKind
from devices.host.clock import NANOSECONDS
from devices.model.device import DeviceKind
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def make() -> tuple[FaultHysteresis, HealthTracker, Recorded]:
    clock = SimulatedClock()
    log = Recorded(clock)
    tracker = HealthTracker("id", "Podium", record=log, clock=clock)
    return FaultHysteresis(tracker, Fault.BLACK), tracker, log


def test_it_is_over_when_all_was_well_for_a_second_without_a_break() -> None:
    latch, tracker, log = make()
    latch.bad("black", began_ns=0)
    latch.good(at(1.0))
    latch.good(at(1.9))
    latch.bad("black", began_ns=0)
    latch.good(at(2.0))
    latch.good(at(2.8))
    latch.unsure()
    latch.good(at(3.0))
    latch.good(at(3.9))
    assert tracker.has(Fault.BLACK)
    latch.good(at(4.0))
    assert not tracker.has(Fault.BLACK)
    assert [line.kind for line in log.lines] == [LogKind.DEGRADED, LogKind.RECOVERED]


def test_a_fault_that_was_known_before_is_taken_over() -> None:
    first, tracker, log = make()
    first.bad("black", began_ns=0)
    second = FaultHysteresis(tracker, Fault.BLACK)
    second.good(at(5.0))
    second.good(at(6.0))
    assert not tracker.has(Fault.BLACK)
    assert [line.kind for line in log.lines] == [LogKind.DEGRADED, LogKind.RECOVERED]


def test_a_watch_ends_only_what_it_has_found() -> None:
    latch, tracker, _ = make()
    tracker.find(Fault.BLACK, "somebody else says so")
    latch.good(at(1.0))
    latch.good(at(9.0))
    latch.end()
    assert tracker.has(Fault.BLACK)


def test_what_another_watch_has_ended_is_found_again() -> None:
    latch, tracker, log = make()
    latch.bad("black", began_ns=0)
    tracker.clear(Fault.BLACK)
    latch.bad("black", began_ns=0)
    assert tracker.has(Fault.BLACK)
    assert len(log.of(LogKind.DEGRADED)) == 2


def test_a_watch_that_would_not_see_the_end_takes_nothing_over() -> None:
    first, tracker, _ = make()
    first.bad("black", began_ns=0)
    second = FaultHysteresis(tracker, Fault.BLACK, takes_over=False)
    second.good(at(5.0))
    second.good(at(9.0))
    assert tracker.has(Fault.BLACK)


def test_what_comes_and_goes_for_hours_is_told_a_few_times() -> None:
    latch, tracker, log = make()
    for tenth in range(8 * 36_000):
        if tenth % 20 < 5:
            latch.bad("black", began_ns=at(tenth / 10))
        else:
            latch.good(at(tenth / 10))
    assert [line.kind for line in log.lines] == 2 * [LogKind.DEGRADED, LogKind.RECOVERED] + [LogKind.DEGRADED]
    for second in range(3):
        latch.good(at(8 * 3600 + second))
    assert not tracker.has(Fault.BLACK)


def test_what_comes_now_and_then_is_over_each_time() -> None:
    latch, tracker, log = make()
    for number in range(20):
        latch.bad("black", began_ns=at(40 * number))
        latch.good(at(40 * number + 1))
        latch.good(at(40 * number + 2))
        assert not tracker.has(Fault.BLACK)
    assert len(log.lines) == 40


@pytest.mark.parametrize("kind", DeviceKind)
def test_every_kind_of_device_has_a_patience_of_its_own(kind: DeviceKind) -> None:
    built_in = BUILT_IN_PATIENCE[kind]
    assert patience_for(Settings(), kind) == Patience(
        built_in.frozen_s or 0, built_in.black_s or 0, built_in.silence_s or 0
    )


def test_a_role_comes_before_the_kind_and_the_kind_before_what_is_built_in() -> None:
    settings = Settings(patience={"camera": Setting(frozen_s=7.0, black_s=8.0), "slides": Setting(frozen_s=60.0)})
    assert patience_for(settings, DeviceKind.CAMERA, "slides") == Patience(60.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAMERA, "podium") == Patience(7.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAPTURE_CARD, "slides") == Patience(60.0, 30.0, 20.0)


def test_microphone_is_a_role_and_a_kind() -> None:
    """A person's setting counts for a capture card with the role `microphone`, whether for the role or for the kind."""
    built_in = dict(BUILT_IN_PATIENCE)
    card = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0)})
    assert patience_for(card, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 300
    role = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0), "microphone": Setting(silence_s=60)})
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 60
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "interpreter").silence_s == 300
    assert patience_for(role, DeviceKind.MICROPHONE).silence_s == 60
