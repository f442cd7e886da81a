"""Looks at the devices: changes for listeners, lines of the log, hubs, and twins that may have changed places."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, Health, HealthState
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.known_devices import confirm, known_store
from tests.support.ports import HUB, STICK, WEBCAM, Eye, PortRoom, told


@pytest.fixture
def room() -> PortRoom:
    return PortRoom()


@pytest.fixture
def eye(room: PortRoom) -> Eye:
    """Provide an observer of a webcam in port 1-1."""
    room.plug(WEBCAM, "1-1")
    return Eye(room)


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


def test_a_look_at_the_same_tells_nothing(eye: Eye) -> None:
    assert eye.look() == []
    assert eye.record.lines == []


def test_a_replug_between_two_looks_is_told_as_both(eye: Eye) -> None:
    changes = eye.replug("1-1", looks=False)
    assert told(changes) == [("unplugged", "046d:0825:A1"), ("plugged", "046d:0825:A1")]
    assert (changes[1].before and changes[1].before.node) == "/dev/video2"
    assert changes[1].device.node == "/dev/video3"


def test_a_device_with_its_own_serial_moves_and_one_without_is_another(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    room.plug(STICK, "1-2")
    eye = Eye(room)
    assert told(eye.replug("1-1", into=["1-4"])) == [("unplugged", "046d:0825:A1"), ("moved", "046d:0825:A1")]
    (line,) = eye.record.of(LogKind.MOVED)
    assert line.reason == "moved from port 1-1 to port 1-4; last seen less than a minute ago"
    assert told(eye.replug("1-2", into=["1-5"]))[2] == ("plugged", "534d:2109@1-5")
    assert eye.record.of(LogKind.SWAPPED) == []


def test_a_twin_changes_the_id_of_the_one_that_was_there_which_is_told_as_that(room: PortRoom, eye: Eye) -> None:
    room.plug(WEBCAM, "1-2")
    changes = eye.look()
    assert told(changes) == [("plugged", "046d:0825@1-2"), ("changed", "046d:0825@1-1")]
    assert (changes[1].before and changes[1].before.id) == "046d:0825:A1"
    (line,) = eye.record.of(LogKind.RENAMED)
    assert (line.device, line.detail["before"]) == ("046d:0825@1-1", "046d:0825:A1")
    assert line.reason == ("was 046d:0825:A1; another device says the serial number A1 too, so its port tells it apart")
    room.unplug("1-2")
    assert told(eye.look()) == [("unplugged", "046d:0825@1-2"), ("changed", "046d:0825:A1")]
    assert eye.record.of(LogKind.RENAMED)[1].reason.endswith("its serial number is its own again")


def test_health_that_stays_keeps_its_time_and_is_told_once(room: PortRoom, eye: Eye) -> None:
    sight = room.look()

    def look_at_busy() -> list[DeviceChange]:
        eye.clock.advance(1)
        health = Health(HealthState.BUSY, "used by pid 1 (x)", eye.clock.now(), "busy")
        devices = tuple(msgspec.structs.replace(one, health=health) for one in sight.devices)
        return eye.observer.observe(replace(sight, devices=devices), {})

    (change,) = look_at_busy()
    assert (change.kind, change.device.health.state) == (ChangeKind.CHANGED, "busy")
    assert look_at_busy() == []
    assert eye.observer.devices[0].health.since == change.device.health.since


def test_flapping_is_one_line_and_a_fault_until_it_is_calm(eye: Eye) -> None:
    for _ in range(20):
        changes = eye.replug("1-1")
        assert told(changes)[0][0] == "unplugged"
    assert eye.faults() == {"1-1": "flapping"}
    (line,) = eye.record.of(LogKind.FLAPPING)
    assert (line.level, line.detail["unplugs"]) == (LogLevel.WARN, 3)
    assert line.reason == "comes and goes; check its cable and its port: unplugged 3 times in 4 s"
    assert len(eye.record.lines) == 5
    assert eye.observer.tick() == []
    eye.clock.advance(60)
    assert told(eye.observer.tick()) == [("changed", "046d:0825:A1")]
    assert eye.faults() == {"1-1": None}
    (line,) = eye.record.of(LogKind.RECOVERED)
    assert line.reason == "comes and goes no more, is plugged in; was unplugged 20 times in 39 s"
    eye.replug("1-1")
    assert [line.kind for line in eye.record.lines[-2:]] == ["unplugged", "plugged"]


def test_flapping_for_long_is_told_once_a_minute(eye: Eye) -> None:
    for _ in range(300):
        eye.replug("1-1")
    assert eye.clock.now_ns() / NANOSECONDS == pytest.approx(605)
    assert len(eye.record.of(LogKind.FLAPPING)) == 10
    assert len(eye.record.lines) == 14


def test_unpluggings_of_a_device_that_was_never_seen_count_once_it_stays(room: PortRoom) -> None:
    eye = Eye(room)
    for _ in range(5):
        assert eye.look("1-1", "1-1") == []
    room.plug(WEBCAM, "1-1")
    (change,) = eye.look()
    assert (change.kind, change.device.health.fault) == (ChangeKind.PLUGGED, "flapping")
    (line,) = eye.record.lines
    assert (line.kind, line.device, line.detail["unplugs"]) == ("flapping", "046d:0825:A1", 10)


def test_two_unpluggings_a_minute_are_nothing_special(eye: Eye) -> None:
    for _ in range(10):
        eye.replug("1-1")
        eye.clock.advance(29)
    assert eye.record.of(LogKind.FLAPPING) == []
    assert len(eye.record.lines) == 20


PORTS = ("1-1", "1-2", "1-3", "1-4")
UNITS = (STICK, STICK, STICK, WEBCAM, WEBCAM, replace(WEBCAM, serial="B2"))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=40))
@settings(max_examples=50, deadline=None)
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


def test_a_hub_that_goes_takes_what_is_on_it_and_says_so(room: PortRoom) -> None:
    room.hubs |= {port: replace(HUB, port=port) for port in ("1-1", "1-1.4")}
    room.plug(WEBCAM, "1-1.4.2")
    room.plug(STICK, "1-12")
    eye = Eye(room)
    room.hubs.clear()
    room.unplug("1-1.4.2")
    eye.look("1-1", "1-1.4", "1-1.4.2")
    (line,) = eye.record.of(LogKind.HUB_UNPLUGGED)
    assert (line.device, line.name, line.level) == ("1-1", "Realtek 4-Port USB Hub", LogLevel.WARN)
    assert line.reason == "unplugged from port 1-1, and with it: C270"
    assert line.detail["devices"] == ["046d:0825:A1"]
    room.hubs["1-1"] = HUB
    eye.look()
    (line,) = eye.record.of(LogKind.HUB_PLUGGED)
    assert line.reason == "plugged into port 1-1, 4 ports"


def twins(room: PortRoom, memory: Path = Path("/dev/null/devices.json")) -> Eye:
    """Plug two sticks that nothing tells apart into 1-2 and 1-5, and look."""
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    return Eye(room, memory)


def swapped_ports(eye: Eye) -> list[str]:
    return sorted(port for port, fault in eye.faults().items() if fault == "swapped")


def test_twins_that_were_both_out_may_have_been_swapped_and_both_say_so(room: PortRoom) -> None:
    eye = twins(room)
    eye.replug("1-2", "1-5", into=["1-5", "1-2"])
    assert swapped_ports(eye) == ["1-2", "1-5"]
    lines = eye.record.of(LogKind.SWAPPED)
    assert [line.device for line in lines] == [
        "534d:2109@1-5", "534d:2109@1-5+sound", "534d:2109@1-2", "534d:2109@1-2+sound",
    ]  # fmt: skip
    assert (lines[0].level, lines[0].detail["fault"], lines[0].detail["twins"]) == (LogLevel.WARN, "swapped", ["1-2"])
    assert "may have changed places with the one of port 1-2" in lines[0].reason
    assert "liput devices assign" in lines[0].reason


def test_what_can_be_told_apart_is_not_swapped(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    room.plug(replace(WEBCAM, serial="B2"), "1-2")
    room.plug(STICK, "1-3")
    room.plug(replace(STICK, capabilities="dddd"), "1-4")
    eye = Eye(room)
    eye.replug("1-1", "1-2", "1-3", "1-4", into=["1-2", "1-1", "1-4", "1-3"])
    eye.replug("1-1", "1-2", into=["1-2", "1-1"])
    assert eye.record.of(LogKind.SWAPPED) == []


def test_a_confirmed_swap_is_over_and_the_next_one_is_told_again(room: PortRoom, tmp_path: Path) -> None:
    memory = tmp_path / "devices.json"
    eye = twins(room, memory)
    eye.replug("1-2", "1-5", into=["1-5", "1-2"])
    eye.observer.save()
    assert eye.observer.awaits_confirmation is True
    confirm(known_store(memory), [device.id for device in room.devices()])
    assert {change.kind for change in eye.observer.tick()} == {ChangeKind.CHANGED}
    assert swapped_ports(eye) == []
    assert not eye.known.swapped()
    eye.clock.advance(120)
    eye.replug("1-2")
    assert swapped_ports(eye) == []
    eye.clock.advance(120)
    eye.replug("1-2", "1-5")
    assert swapped_ports(eye) == ["1-2", "1-5"]


def on_a_hub(room: PortRoom) -> Eye:
    room.hubs["1-1"] = HUB
    room.plug(STICK, "1-1.1")
    room.plug(STICK, "1-1.2")
    return Eye(room)


def test_a_hub_that_loses_power_for_a_moment_swaps_nothing(room: PortRoom) -> None:
    eye = on_a_hub(room)
    for looks in (True, False, True):
        eye.clock.advance(120)
        room.hubs.clear()
        sticks = [room.unplug(port) for port in ("1-1.1", "1-1.2")]
        if looks:
            eye.look()
        room.hubs["1-1"] = HUB
        for port, stick in zip(("1-1.2", "1-1.1"), sticks, strict=True):
            room.plug(stick, port)
            if looks:
                eye.look()
        eye.look("1-1", "1-1.1", "1-1.2")
    assert eye.record.of(LogKind.SWAPPED) == []


@pytest.mark.parametrize(("after_s", "ports"), [(5, ["1-1.2", "1-1.1"]), (1, ["1-4", "1-1.2"])])
def test_a_hub_that_was_out_for_longer_or_lost_one_may(room: PortRoom, after_s: float, ports: list[str]) -> None:
    eye = on_a_hub(room)
    room.hubs.clear()
    sticks = [room.unplug(port) for port in ("1-1.1", "1-1.2")]
    eye.look()
    eye.clock.advance(after_s)
    for port, stick in zip(ports, sticks, strict=True):
        room.plug(stick, port)
        eye.look(after_s=0.5)
    assert "1-1.2" in swapped_ports(eye)


@pytest.mark.parametrize(("sleeps", "swapped"), [(True, []), (False, ["1-1", "1-2"])])
def test_what_comes_back_when_the_pc_wakes_is_not_swapped(room: PortRoom, sleeps: bool, swapped: list[str]) -> None:
    room.plug(STICK, "1-1")
    room.plug(STICK, "1-2")
    eye = Eye(room)
    eye.slept_ns += 8 * 3600 * NANOSECONDS if sleeps else 0
    eye.replug("1-1", "1-2", looks=False)
    assert swapped_ports(eye) == swapped
    eye.clock.advance(120)
    eye.replug("1-1", "1-2")
    assert swapped_ports(eye) == ["1-1", "1-2"], "it has been awake for long"


@given(st.permutations(["1-1", "1-2", "1-3"]), st.permutations(["1-1", "1-2", "1-3"]), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_no_twin_comes_back_into_the_port_of_another_unnoticed(out: list[str], back: list[str], at_once: int) -> None:
    """Sticks are pulled out and put back in any order, up to three at once; who is in a wrong port is always told."""
    room = PortRoom(sounding=())
    units = {}
    for port in ("1-1", "1-2", "1-3"):
        room.plug(STICK, port)
        units[port] = port
    eye = Eye(room)
    waiting: list[str] = []
    targets = list(back)
    for port in out:
        room.unplug(port)
        waiting.append(units.pop(port))
        eye.look(after_s=70)
        while waiting and (len(waiting) >= at_once or port == out[-1]):
            free = next((target for target in targets if target not in room.plugs), None)
            if free is None:
                break
            targets.remove(free)
            units[free] = waiting.pop(0)
            room.plug(STICK, free)
            eye.look(after_s=70)
    wrong = {port for port, unit in units.items() if port != unit}
    assert wrong <= set(swapped_ports(eye))
