"""What the monitor makes of looks: changes, lines of the log, and whom it takes for whom."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.health.faults import FAULTS
from devices.health.line import Kind, Level
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, Health, HealthState
from devices.monitor.changes import ChangeKind
from tests.support.eye import Eye, told
from tests.support.looks import STICK, WEBCAM, PortRoom
from tests.support.simulated import SimulatedClock


def test_a_device_that_comes_and_goes_is_told_with_its_picture_and_sound(room: PortRoom) -> None:
    eye = Eye(room)
    room.plug(STICK, "1-2")
    assert told(eye.look()) == [("plugged", "534d:2109@1-2"), ("plugged", "534d:2109@1-2+sound")]
    room.unplug("1-2")
    changes = eye.look(after_s=7384)
    assert told(changes) == [("unplugged", "534d:2109@1-2"), ("unplugged", "534d:2109@1-2+sound")]
    assert all(change.devices == () for change in changes)
    assert [line.reason for line in eye.record.lines[:1] + eye.record.lines[2:3]] == [
        "plugged in, port 1-2; new: never seen on this PC before",
        "unplugged from port 1-2 after 2h3m4s",
    ]
    assert eye.record.lines[2].detail == {"port": "1-2", "plugged_s": 7384.0}


def test_of_what_was_there_before_it_is_not_known_how_long(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    room.unplug("1-1")
    eye.look(after_s=60)
    assert eye.record.lines[0].reason == "unplugged from port 1-1 after more than 1m"


def test_a_look_at_the_same_tells_nothing(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    assert eye.look() == []
    assert eye.record.lines == []


def test_a_replug_between_two_looks_is_told_as_both(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    changes = eye.replug("1-1", looks=False)
    assert told(changes) == [("unplugged", "046d:0825:A1"), ("plugged", "046d:0825:A1")]
    assert changes[1].before is not None
    assert (changes[1].before.node, changes[1].device.node) == ("/dev/video2", "/dev/video3")


def test_a_device_with_its_own_serial_moves_and_one_without_is_another(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    room.plug(STICK, "1-2")
    eye = Eye(room)
    assert told(eye.replug("1-1", into=["1-4"])) == [("unplugged", "046d:0825:A1"), ("moved", "046d:0825:A1")]
    (line,) = eye.record.of(Kind.MOVED)
    assert line.reason == "moved from port 1-1 to port 1-4; last seen less than a minute ago"
    assert told(eye.replug("1-2", into=["1-5"]))[2] == ("plugged", "534d:2109@1-5")
    assert eye.record.of(Kind.SWAPPED) == []


def test_the_one_from_last_week_is_known(room: PortRoom, tmp_path: Path) -> None:
    clock = SimulatedClock()
    room.plug(WEBCAM, "1-1")
    eye = Eye(room, tmp_path / "devices.json", clock)
    eye.observer.save(at_end=True)
    room.unplug("1-1")
    clock.advance_to(clock.now_ns() + 7 * 86_400 * NANOSECONDS)
    later = Eye(room, tmp_path / "devices.json", clock)
    room.plug(WEBCAM, "1-1")
    later.look()
    (line,) = later.record.of(Kind.PLUGGED)
    assert line.reason == "plugged in, port 1-1; known, last seen 7 days ago"
    assert line.detail["known"] is True


def test_a_bus_with_another_number_is_noticed(room: PortRoom) -> None:
    """A controller that re-appears may get another bus; the place stays."""
    room.plug(STICK, "1-2")
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    changes = eye.replug("1-2", "1-1", into=["3-2", "3-1"])
    assert ("plugged", "046d:0825:A1") in told(changes), "it has not moved"
    stick, webcam = eye.record.of(Kind.PLUGGED, "534d:2109@3-2") + eye.record.of(Kind.PLUGGED, "046d:0825:A1")
    for line, port in ((stick, "1-2"), (webcam, "1-1")):
        assert line.reason.endswith(f"it is where it was, in what the kernel called port {port} before")
        assert line.detail["renumbered_from"] == port
    eye.replug("3-1")
    assert "renumbered_from" not in eye.record.of(Kind.PLUGGED)[-1].detail


# Twins with the same serial number


def test_a_twin_changes_the_id_of_the_one_that_was_there_which_is_told_as_that(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    room.plug(WEBCAM, "1-2")
    changes = eye.look()
    assert told(changes) == [("plugged", "046d:0825@1-2"), ("changed", "046d:0825@1-1")]
    assert changes[1].before is not None
    assert changes[1].before.id == "046d:0825:A1"
    (line,) = eye.record.of(Kind.RENAMED)
    assert (line.device, line.detail["before"]) == ("046d:0825@1-1", "046d:0825:A1")
    assert line.reason == ("was 046d:0825:A1; another device says the serial number A1 too, so its port tells it apart")
    room.unplug("1-2")
    assert told(eye.look()) == [("unplugged", "046d:0825@1-2"), ("changed", "046d:0825:A1")]
    assert eye.record.of(Kind.RENAMED)[1].reason.endswith("its serial number is its own again")


# Health


def test_health_that_stays_keeps_its_time_and_one_that_changes_is_told(
    room: PortRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    look, clock = room.look, eye.clock

    def busy() -> object:
        sight = look()
        devices = [
            msgspec.structs.replace(one, health=Health(HealthState.BUSY, "used by pid 1 (x)", clock.now(), "busy"))
            for one in sight.devices
        ]
        return replace(sight, devices=tuple(devices))

    monkeypatch.setattr(room, "look", busy)
    (change,) = eye.look()
    since = change.device.health.since
    assert (change.kind, change.device.health.state) == (ChangeKind.CHANGED, "busy")
    assert eye.look() == []
    assert eye.observer.devices[0].health.since == since


# Coming and going


def test_flapping_is_one_line_and_a_fault_until_it_is_calm(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    for _ in range(20):
        changes = eye.replug("1-1")
        assert told(changes)[0][0] == "unplugged"
    assert eye.faults() == {"1-1": "flapping"}
    assert eye.observer.devices[0].health.state == FAULTS[next(f for f in FAULTS if f == "flapping")]
    (line,) = eye.record.of(Kind.FLAPPING)
    assert (line.level, line.detail["unplugs"]) == (Level.WARN, 3)
    assert line.reason == "comes and goes; check its cable and its port: unplugged 3 times in 4 s"
    assert len(eye.record.lines) == 5
    assert eye.observer.tick() == []
    eye.wait(60)
    assert told(eye.observer.tick()) == [("changed", "046d:0825:A1")]
    assert eye.faults() == {"1-1": None}
    (line,) = eye.record.of(Kind.RECOVERED)
    assert line.reason == "comes and goes no more, is plugged in; was unplugged 20 times in 39 s"
    eye.replug("1-1")
    assert [line.kind for line in eye.record.lines[-2:]] == ["unplugged", "plugged"]


def test_flapping_for_long_is_told_once_a_minute(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    for _ in range(300):
        eye.replug("1-1")
    assert eye.clock.now_ns() / NANOSECONDS == pytest.approx(605)
    assert len(eye.record.of(Kind.FLAPPING)) == 10
    assert len(eye.record.lines) == 14


def test_unpluggings_that_no_look_saw_count_for_who_was_there_last(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    assert told(eye.look("1-1", "1-1", "1-1")) == [("changed", "046d:0825:A1")]
    assert eye.faults() == {"1-1": "flapping"}
    room.unplug("1-1")
    eye.look()
    assert eye.record.of(Kind.UNPLUGGED) == []
    eye.wait(61)
    eye.observer.tick()
    assert "is unplugged" in eye.record.of(Kind.RECOVERED)[0].reason
    eye.look("1-1", "1-1", "1-1")
    assert len(eye.record.of(Kind.FLAPPING)) == 2


def test_unpluggings_of_a_device_that_was_never_seen_count_once_it_stays(room: PortRoom) -> None:
    eye = Eye(room)
    for _ in range(5):
        assert eye.look("1-1", "1-1") == []
    room.plug(WEBCAM, "1-1")
    (change,) = eye.look()
    assert (change.kind, change.device.health.fault) == (ChangeKind.PLUGGED, "flapping")
    (line,) = eye.record.lines
    assert (line.kind, line.device, line.detail["unplugs"]) == ("flapping", "046d:0825:A1", 10)
    room.plug(STICK, "1-2")
    eye.look("1-3", "1-3", "1-3")
    room.plug(replace(WEBCAM, serial="B2"), "1-3")
    eye.look(after_s=61)
    assert eye.faults() == {"1-1": "flapping", "1-2": None, "1-3": None}


def test_two_unpluggings_a_minute_are_nothing_special(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    eye = Eye(room)
    for _ in range(10):
        eye.replug("1-1")
        eye.wait(29)
    assert eye.record.of(Kind.FLAPPING) == []
    assert len(eye.record.lines) == 20


# Whatever happens


PORTS = ("1-1", "1-2", "1-3", "1-4")
UNITS = (STICK, STICK, STICK, WEBCAM, WEBCAM, replace(WEBCAM, serial="B2"))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=40))
@settings(max_examples=150, deadline=None)
def test_whoever_follows_the_changes_knows_what_is_there(steps: list[tuple[int, int, bool]]) -> None:
    room = PortRoom()
    eye = Eye(room)
    held: dict[str, int] = {}
    followed: dict[str, Device] = {}
    for at, unit, looks in steps:
        port = PORTS[at]
        if port in held:
            room.unplug(port)
            del held[port]
        elif unit not in held.values():
            room.plug(UNITS[unit], port)
            held[port] = unit
        for change in eye.look(after_s=20) if looks else ():
            if change.kind in {ChangeKind.UNPLUGGED, ChangeKind.CHANGED}:
                assert change.before is not None
                del followed[change.before.id]
            if change.kind is not ChangeKind.UNPLUGGED:
                assert change.device.id not in followed
                followed[change.device.id] = change.device
        assert followed == {device.id: device for device in eye.observer.devices}
        if looks:
            assert followed.keys() == {device.id for device in room.devices()}
