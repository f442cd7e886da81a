"""Locators find the devices of a session."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from capture.sources.locator import BoundLocator, DeviceClaim, NamedLocator
from capture.sources.worker import LocatedDevice
from config.errors import DeviceNotFound
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from devices.roles.matching import binding_of
from tests.support.simulated import SimulatedClock

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CAMERA = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", vid="046d", pid="0825", serial="CAM1", port="1-1",
    place="p1-1", node="/dev/video0", capabilities="c",
)  # fmt: skip


def stick(port: str, capabilities: str = "s") -> Device:
    """Return a stick without a serial number."""
    return Device(
        id=f"534d:2109@{port}", kind=DeviceKind.CAPTURE_CARD, name="Stick", vid="534d", pid="2109", port=port,
        place=f"p{port}", node="/dev/video2", capabilities=capabilities,
    )  # fmt: skip


class Room(list[Device]):
    """The plugged devices."""

    def __call__(self) -> list[Device]:
        return list(self)


def session_of(room: Room, *devices: Device) -> list[BoundLocator]:
    """Return the locators of one session; its devices left together."""
    claims: list[DeviceClaim] = []
    session = [BoundLocator(binding_of(device, NOW), room, DeviceClaim(claims)) for device in devices]
    for where in session:
        where.lost()
        assert where.find() is None
    return session


def moved(device: Device, port: str) -> LocatedDevice:
    """Return the device as one that was at another port before, perhaps."""
    return LocatedDevice(device, moved_from=port, is_certain=False)


def bound_in(room: Room) -> Callable[[Device], BoundLocator]:
    """Return a factory of locators for devices found in `room`."""
    return lambda device: BoundLocator(binding_of(device, NOW), room)


def test_a_serial_number_is_known_in_any_port_with_any_node() -> None:
    room = Room()
    (where,) = session_of(room, CAMERA)
    elsewhere = msgspec.structs.replace(CAMERA, port="1-4", place="p1-4", node="/dev/video7")
    room.append(elsewhere)
    assert where.find() == LocatedDevice(elsewhere, moved_from="1-1")
    where.reopened()
    room.clear()
    where.lost()
    room.append(CAMERA)
    assert where.find() == LocatedDevice(CAMERA, moved_from="1-4")


@pytest.mark.parametrize(
    ("ours", "came", "is_taken"),
    [
        (stick("1-2"), [stick("1-4")], True),
        (stick("1-2"), [stick("1-3"), stick("1-4")], False),
        (stick("1-2"), [stick("1-4", capabilities="other")], False),
        (CAMERA, [msgspec.structs.replace(CAMERA, id="046d:0825:CAM2", serial="CAM2")], False),
        (msgspec.structs.replace(stick("1-2"), serial="A1"), [stick("1-4")], False),
        (msgspec.structs.replace(stick("1-2"), shared_serial="A1"), [stick("1-4")], False),
        (stick("1-2"), [msgspec.structs.replace(stick("1-4"), serial="A1")], False),
        (stick("1-2"), [msgspec.structs.replace(stick("1-4"), shared_serial="A1")], False),
    ],
)
def test_in_another_port_the_only_one_that_came_is_taken_and_that_is_not_certain(
    ours: Device, came: list[Device], *, is_taken: bool
) -> None:
    room = Room([stick("1-9")])  # a twin that was there all the time
    (where,) = session_of(room, ours)
    room.extend(came)
    assert where.find() == (moved(stick("1-4"), "1-2") if is_taken else None)
    room.append(ours)
    assert where.find() == LocatedDevice(ours), "in its own port it is itself, though another one was tried"


def test_what_was_missing_at_the_start_is_the_first_that_answers_and_then_that_one() -> None:
    room = Room()

    def named() -> Device:
        for device in room:
            return device
        raise DeviceNotFound("podium is missing")

    where = NamedLocator(named, bound_in(room), SimulatedClock())
    assert where.find() is None
    room.append(CAMERA)
    assert where.find() == LocatedDevice(CAMERA)
    room[:] = [stick("1-2")]
    where.lost()
    assert where.find() is None


def test_who_is_dear_to_ask_is_asked_seldom() -> None:
    asked: list[int] = []
    clock = SimulatedClock()

    def named() -> Device:
        asked.append(clock.now_ns())
        raise DeviceNotFound("the microphone is missing")

    where = NamedLocator(named, bound_in(Room()), clock, every_s=2.0)
    for _ in range(40):
        assert where.find() is None
        clock.advance_to(clock.now_ns() + NANOSECONDS // 4)
    assert len(asked) == 5


def test_once_it_was_there_it_is_looked_for_like_any_other_and_each_loss_begins_anew() -> None:
    room = Room([stick("1-2")])
    where = NamedLocator(lambda: room[0], bound_in(room), SimulatedClock())
    assert where.find() == LocatedDevice(stick("1-2"))
    assert where.find() == LocatedDevice(stick("1-2"))
    room[:] = [stick("1-3")]
    where.lost()
    assert where.find() is None, "this one was there when ours went"
    room.clear()
    where.lost()
    assert where.find() is None
    room.append(stick("1-3"))
    assert where.find() == moved(stick("1-3"), "1-2")
    where.reopened()
    where.lost()
    assert where.find() == LocatedDevice(stick("1-3"))


# Several inputs of a session, all of one make without serial numbers


def half(port: str) -> Device:
    """Return the audio device of a stick without a serial number."""
    return msgspec.structs.replace(
        stick(port), id=f"534d:2109@{port}+sound", kind=DeviceKind.MICROPHONE, node=None, alsa="hw:CARD=S,DEV=0"
    )


@pytest.mark.parametrize("has_place", [True, False])
def test_what_is_anothers_is_not_taken_also_when_it_is_there_alone(*, has_place: bool) -> None:
    room = Room()
    first, second = (
        msgspec.structs.replace(stick(port), place=f"p{port}" if has_place else None) for port in ("1-2", "1-3")
    )
    one, other = session_of(room, first, second)
    room.append(first)
    assert other.find() is None
    assert one.find() == LocatedDevice(first)
    assert other.find() is None
    room.append(second)
    assert other.find() == LocatedDevice(second)


@pytest.mark.parametrize("opens", [True, False], ids=["opened", "being opened"])
def test_two_that_were_moved_to_other_ports_one_by_one_are_both_found(opens: bool) -> None:
    room = Room()
    one, other = session_of(room, stick("1-2"), stick("1-3"))
    room.append(stick("2-1"))
    assert other.find() == moved(stick("2-1"), "1-3")
    if opens:
        other.reopened()
    assert one.find() is None
    room.append(stick("2-2"))
    assert one.find() == moved(stick("2-2"), "1-2")
    one.reopened()
    other.reopened()
    for where, port in ((one, "2-2"), (other, "2-1")):
        where.lost()
        assert where.find() == LocatedDevice(stick(port))


def test_one_that_was_tried_and_has_gone_again_is_anybodys() -> None:
    room = Room()
    one, other = session_of(room, stick("1-2"), stick("1-3"))
    room.append(stick("2-1"))
    assert other.find() is not None
    assert one.find() is None
    room.clear()
    assert other.find() is None
    room.append(stick("2-1"))
    assert one.find() == moved(stick("2-1"), "1-2")


def test_picture_and_sound_of_one_stick_go_together() -> None:
    room = Room()
    picture, sound, other, other_sound = session_of(room, stick("1-2"), half("1-2"), stick("1-3"), half("1-3"))
    room.extend([stick("2-1"), half("2-1")])
    assert other_sound.find() == moved(half("2-1"), "1-3")
    assert (picture.find(), sound.find()) == (None, None)
    assert other.find() == moved(stick("2-1"), "1-3")
    for where in (other, other_sound):
        where.reopened()
    room.extend([stick("2-2"), half("2-2")])
    assert picture.find() == moved(stick("2-2"), "1-2")
    assert sound.find() == moved(half("2-2"), "1-2")
    for where in (picture, sound):
        where.reopened()
    room[:] = []
    for where in (picture, sound, other, other_sound):
        where.lost()
        assert where.find() is None
    room[:] = [stick("3-1"), half("3-1")]  # one home is known at its new place, too
    assert picture.find() == moved(stick("3-1"), "2-2")
    assert sound.find() == moved(half("3-1"), "2-2")
    assert (other.find(), other_sound.find()) == (None, None)


def test_the_sound_of_anothers_stick_is_not_taken_where_only_its_picture_is_in_the_session() -> None:
    room = Room()
    _, other, other_sound = session_of(room, stick("1-2"), stick("1-3"), half("1-3"))
    room.extend([stick("1-2"), half("1-2")])
    assert (other.find(), other_sound.find()) == (None, None)
