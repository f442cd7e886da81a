"""Twins that may have changed places: told where they may, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.health.line import Kind, Level
from devices.host.clock import NANOSECONDS
from devices.monitor.changes import ChangeKind
from devices.monitor.known import confirm, known_store
from tests.support.eye import HUB, Eye
from tests.support.looks import STICK, WEBCAM, PortRoom


def swapped_ports(eye: Eye) -> list[str]:
    return sorted(port for port, fault in eye.faults().items() if fault == "swapped")


def test_twins_that_were_both_out_may_have_been_swapped_and_both_say_so(room: PortRoom) -> None:
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    eye = Eye(room)
    eye.replug("1-2", "1-5", into=["1-5", "1-2"])
    assert swapped_ports(eye) == ["1-2", "1-5"]
    lines = eye.record.of(Kind.SWAPPED)
    assert [line.device for line in lines] == [
        "534d:2109@1-5", "534d:2109@1-5+sound", "534d:2109@1-2", "534d:2109@1-2+sound",
    ]  # fmt: skip
    assert (lines[0].level, lines[0].detail["fault"], lines[0].detail["twins"]) == (Level.WARN, "swapped", ["1-2"])
    assert "may have changed places with the one of port 1-2" in lines[0].reason
    assert "liput devices assign" in lines[0].reason


def test_one_twin_alone_out_is_the_same_when_it_is_back(room: PortRoom) -> None:
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    eye = Eye(room)
    for _ in range(2):
        eye.replug("1-2")
        eye.wait(60)
        eye.replug("1-5")
        eye.wait(60)
    assert eye.record.of(Kind.SWAPPED) == []


def test_a_swap_over_a_third_port_is_seen_though_never_both_were_out(room: PortRoom) -> None:
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    eye = Eye(room)
    eye.replug("1-2", into=["1-7"])
    assert swapped_ports(eye) == []
    eye.replug("1-5", into=["1-2"])
    assert swapped_ports(eye) == ["1-2"]
    eye.replug("1-7", into=["1-5"])
    assert swapped_ports(eye) == ["1-2", "1-5"]


def test_a_new_one_in_a_port_that_was_left_is_the_one_expected_there(room: PortRoom) -> None:
    room.plug(STICK, "1-2")
    eye = Eye(room)
    eye.replug("1-2", into=["1-7"])
    room.plug(STICK, "1-2")
    eye.look()
    eye.replug("1-2")
    assert eye.record.of(Kind.SWAPPED) == []


def test_what_can_be_told_apart_is_not_swapped(room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    room.plug(replace(WEBCAM, serial="B2"), "1-2")
    room.plug(STICK, "1-3")
    room.plug(replace(STICK, capabilities="dddd"), "1-4")
    eye = Eye(room)
    eye.replug("1-1", "1-2", "1-3", "1-4", into=["1-2", "1-1", "1-4", "1-3"])
    eye.replug("1-1", "1-2", into=["1-2", "1-1"])
    assert eye.record.of(Kind.SWAPPED) == []


def test_a_confirmed_swap_is_over_and_the_next_one_is_told_again(room: PortRoom, tmp_path: Path) -> None:
    memory = tmp_path / "devices.json"
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    eye = Eye(room, memory)
    eye.replug("1-2", "1-5", into=["1-5", "1-2"])
    eye.observer.save()
    assert eye.observer.awaits_confirmation is True
    confirm(known_store(memory), [device.id for device in room.devices()])
    assert {change.kind for change in eye.observer.tick()} == {ChangeKind.CHANGED}
    assert swapped_ports(eye) == []
    assert not eye.known.swapped()
    eye.wait(120)
    eye.replug("1-2")
    assert swapped_ports(eye) == []
    eye.wait(120)
    eye.replug("1-2", "1-5")
    assert swapped_ports(eye) == ["1-2", "1-5"]


def test_an_unplugging_takes_the_fault_with_it(room: PortRoom) -> None:
    room.plug(STICK, "1-2")
    room.plug(STICK, "1-5")
    eye = Eye(room)
    eye.replug("1-2", "1-5")
    for port in ("1-2", "1-5"):
        room.unplug(port)
    eye.look()
    assert not eye.known.swapped()
    assert not eye.observer.awaits_confirmation


def on_a_hub(room: PortRoom) -> Eye:
    room.hubs["1-1"] = HUB
    room.plug(STICK, "1-1.1")
    room.plug(STICK, "1-1.2")
    return Eye(room)


def test_a_hub_that_loses_power_for_a_moment_swaps_nothing(room: PortRoom) -> None:
    eye = on_a_hub(room)
    for looks in (True, False, True):
        eye.wait(120)
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
    assert eye.record.of(Kind.SWAPPED) == []


@pytest.mark.parametrize(("after_s", "ports"), [(5, ["1-1.2", "1-1.1"]), (1, ["1-4", "1-1.2"])])
def test_a_hub_that_was_out_for_longer_or_from_which_one_was_taken_may(
    room: PortRoom, after_s: float, ports: list[str]
) -> None:
    eye = on_a_hub(room)
    room.hubs.clear()
    sticks = [room.unplug(port) for port in ("1-1.1", "1-1.2")]
    eye.look()
    eye.wait(after_s)
    for port, stick in zip(ports, sticks, strict=True):
        room.plug(stick, port)
        eye.look(after_s=0.5)
    assert "1-1.2" in swapped_ports(eye)


@pytest.mark.parametrize(("sleeps", "swapped"), [(True, []), (False, ["1-1", "1-2"])])
def test_what_comes_back_when_the_pc_wakes_has_not_been_swapped(
    room: PortRoom, sleeps: bool, swapped: list[str]
) -> None:
    room.plug(STICK, "1-1")
    room.plug(STICK, "1-2")
    eye = Eye(room)
    eye.slept_ns += 8 * 3600 * NANOSECONDS if sleeps else 0
    eye.replug("1-1", "1-2", looks=False)
    assert swapped_ports(eye) == swapped
    eye.wait(120)
    eye.replug("1-1", "1-2")
    assert swapped_ports(eye) == ["1-1", "1-2"], "it has been awake for long"


@given(st.permutations(["1-1", "1-2", "1-3"]), st.permutations(["1-1", "1-2", "1-3"]), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
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
