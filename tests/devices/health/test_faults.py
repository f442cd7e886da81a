"""Faults: the fault for each error of a device, their order, and when one begins and ends."""

from dataclasses import dataclass, field

import pytest

from config import errors
from devices.health.faults import FAULT_STATES, Fault, HealthChange, HealthTracker, fault_of_error, fault_rank
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Health, HealthState
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (errors.DeviceError("x", why="lost"), Fault.LOST),
        (errors.DeviceNotFound("x"), Fault.LOST),
        (errors.DeviceError("x", why="busy"), Fault.BUSY),
        (errors.DeviceError("x", why="denied"), Fault.DENIED),
        (errors.DeviceError("x", why="bus-full"), Fault.BUS_FULL),
        (errors.DeviceError("x", why="unsupported"), None),
        (errors.MediaError("x"), None),
    ],
)
def test_what_a_refusal_means(error: errors.LiputError, fault: Fault | None) -> None:
    assert fault_of_error(error) is fault


def test_the_worst_comes_first_and_what_nobody_knows_last() -> None:
    assert sorted([None, "of-tomorrow", *reversed(Fault)], key=fault_rank)[: len(Fault)] == list(FAULT_STATES)


CAMERA = "046d:0825:A1"


@dataclass
class Watched:
    """A tracker, its clock, and what it said."""

    clock: SimulatedClock = field(default_factory=SimulatedClock)
    changes: list[HealthChange] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = Recorded(self.clock)
        self.tracker = HealthTracker(
            CAMERA, "Webcam", record=self.record, clock=self.clock, on_change=self.changes.append
        )

    def later(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))


def test_a_fault_is_one_line_at_its_beginning_and_one_at_its_end() -> None:
    watched = Watched()
    began_ns, began = watched.clock.now_ns(), watched.clock.now()
    watched.later(0.75)
    for _ in range(3):
        watched.tracker.find(Fault.NO_DATA, "it gives nothing", began_ns=began_ns)
    assert watched.tracker.health == Health(HealthState.SILENT, "it gives nothing", began, Fault.NO_DATA)
    watched.later(2)
    for _ in range(3):
        watched.tracker.clear(Fault.NO_DATA, frames=12)
    assert watched.tracker.health == Health()
    began_line, ended_line = watched.record.lines
    assert (began_line.device, began_line.name, began_line.kind) == (CAMERA, "Webcam", LogKind.DEGRADED)
    assert (began_line.reason, began_line.level) == ("it gives nothing", LogLevel.ERROR)
    assert began_line.detail == {"fault": Fault.NO_DATA, "state": HealthState.SILENT, "after_s": 0.75}
    assert (ended_line.kind, ended_line.reason, ended_line.level) == (
        LogKind.RECOVERED,
        "it gives nothing",
        LogLevel.INFO,
    )
    assert ended_line.detail == {"fault": Fault.NO_DATA, "state": HealthState.OK, "lasted_s": 2.75, "frames": 12}
    assert [(change.begun, change.health.state) for change in watched.changes] == [
        (True, HealthState.SILENT),
        (False, HealthState.OK),
    ]


def test_the_worst_fault_is_the_health_whatever_came_first() -> None:
    watched = Watched()
    for fault in (Fault.HUM, Fault.LOST, Fault.BLACK):
        watched.tracker.find(fault, f"it is {fault}")
    assert watched.tracker.health.reason == "it is lost"
    watched.tracker.clear(Fault.LOST)
    assert (watched.tracker.health.fault, watched.tracker.has(Fault.HUM)) == (Fault.BLACK, True)
    watched.tracker.clear(Fault.BLACK)
    assert watched.tracker.health.fault == Fault.HUM


def test_a_beginning_in_the_future_counts_as_now() -> None:
    watched = Watched()
    watched.tracker.find(Fault.SLOW, "slow", began_ns=watched.clock.now_ns() + NANOSECONDS)
    assert watched.tracker.health.since == watched.clock.now()


def test_every_fault_has_its_meaning_in_the_order_of_how_bad_it_is() -> None:
    assert list(FAULT_STATES) == list(Fault)
