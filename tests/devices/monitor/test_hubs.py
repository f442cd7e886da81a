"""Hubs that come and go with what is on them."""

from dataclasses import replace

from devices.health.line import Kind, Level
from tests.support.eye import HUB, Eye
from tests.support.looks import STICK, WEBCAM, PortRoom


def test_a_hub_that_goes_takes_what_is_on_it_and_says_so(room: PortRoom) -> None:
    room.hubs["1-1"] = HUB
    room.plug(WEBCAM, "1-1.2")
    room.plug(STICK, "1-12")
    eye = Eye(room)
    room.hubs.clear()
    room.unplug("1-1.2")
    eye.look("1-1", "1-1.2")
    (line,) = eye.record.of(Kind.HUB_UNPLUGGED)
    assert (line.device, line.name, line.level) == ("1-1", "Realtek 4-Port USB Hub", Level.WARN)
    assert line.reason == "unplugged from port 1-1, and with it: C270"
    assert line.detail["devices"] == ["046d:0825:A1"]
    room.hubs["1-1"] = HUB
    eye.look()
    (line,) = eye.record.of(Kind.HUB_PLUGGED)
    assert line.reason == "plugged into port 1-1, 4 ports"


def test_a_hub_that_comes_and_goes_is_told_a_few_times(room: PortRoom) -> None:
    room.hubs["1-1"] = HUB
    eye = Eye(room)
    for _ in range(20):
        eye.look("1-1")
    assert len(eye.record.lines) == 5
    assert eye.record.of(Kind.HUB_UNPLUGGED)[0].reason == "unplugged from port 1-1; nothing was on it"
    assert eye.record.of(Kind.FLAPPING)[0].device == "1-1"


def test_a_hub_whose_name_udev_tells_later_has_not_been_replugged(room: PortRoom) -> None:
    room.hubs["1-1"] = replace(HUB, name="USB hub")
    eye = Eye(room)
    room.hubs["1-1"] = HUB
    eye.look()
    assert eye.record.lines == []
    room.hubs["1-1"] = replace(HUB, pid="5412")
    eye.look()
    assert [line.kind for line in eye.record.lines] == [Kind.HUB_UNPLUGGED, Kind.HUB_PLUGGED]


def test_a_docking_station_that_is_plugged_in_elsewhere_is_one_story(room: PortRoom) -> None:
    def dock(port: str) -> None:
        room.hubs |= {where: replace(HUB, port=where) for where in (port, f"{port}.4")}
        for unit, place in ((WEBCAM, ".1"), (STICK, ".2"), (STICK, ".4.1")):
            room.plug(unit, f"{port}{place}")

    dock("1-1")
    eye = Eye(room)
    room.hubs.clear()
    room.plugs.clear()
    eye.look("1-1", "1-1.1", "1-1.2", "1-1.4", "1-1.4.1")
    dock("1-3")
    eye.look()
    hubs = [line.reason for line in eye.record.lines if line.device[:2] == "1-"]
    sticks = [f"MS2109 HDMI capture stick, port 1-1.{place}" for place in ("2", "4.1")]
    assert hubs == [
        f"unplugged from port 1-1, and with it: C270; {'; '.join(sticks)}", "plugged into port 1-3, 4 ports",
    ]  # fmt: skip
    assert eye.record.of(Kind.MOVED)[0].device == "046d:0825:A1"
    assert [line.device for line in eye.record.of(Kind.PLUGGED) if "sound" not in line.device] == [
        "534d:2109@1-3.2", "534d:2109@1-3.4.1",
    ]  # fmt: skip
    assert [line.kind for line in eye.record.lines if line.level is not Level.INFO] == [Kind.HUB_UNPLUGGED]


def test_a_hub_carries_what_is_on_it_at_whatever_depth() -> None:
    root = replace(HUB, port="usb1")
    assert [HUB.carries(port) for port in ("1-1.2", "1-1.2.3", "1-1", "1-12", "2-1.2", None)] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert [root.carries(port) for port in ("1-1", "1-4.2", "11-1", "2-1")] == [True, True, False, False]
