"""Locators find the devices of a session."""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from capture.sources.locator import BoundLocator, DeviceClaim, NamedLocator
from capture.sources.worker import FixedLocator, LocatedDevice
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


def bound_in(room: Room) -> Callable[[Device], BoundLocator]:
    """Return a factory of locators for devices found in `room`."""
    return lambda device: BoundLocator(binding_of(device, NOW), room)


def test_a_serial_number_is_known_in_any_port_with_any_node() -> None:
    room = Room()
    where = BoundLocator(binding_of(CAMERA, NOW), room)
    where.lost()
    assert where.find() is None
    moved = msgspec.structs.replace(CAMERA, port="1-4", place="p1-4", node="/dev/video7")
    room.append(moved)
    assert where.find() == LocatedDevice(moved, moved_from="1-1")
    where.reopened()
    room.clear()
    where.lost()
    room.append(CAMERA)
    assert where.find() == LocatedDevice(CAMERA, moved_from="1-4")


def test_another_camera_of_the_same_make_is_not_taken() -> None:
    other = msgspec.structs.replace(CAMERA, id="046d:0825:CAM2", serial="CAM2")
    where = BoundLocator(binding_of(CAMERA, NOW), Room([other]))
    where.lost()
    assert where.find() is None


def test_a_stick_without_a_serial_number_is_known_in_its_port() -> None:
    where = BoundLocator(binding_of(stick("1-2"), NOW), Room([stick("1-2")]))
    where.lost()
    assert where.find() == LocatedDevice(stick("1-2"))


def test_in_another_port_it_is_taken_if_it_is_the_only_one_that_came_and_that_is_not_certain() -> None:
    room = Room([stick("1-3")])  # a twin that was there all the time
    where = BoundLocator(binding_of(stick("1-2"), NOW), room)
    where.lost()
    assert where.find() is None
    room.append(stick("1-4"))
    assert where.find() == LocatedDevice(stick("1-4"), moved_from="1-2", is_certain=False)


def test_of_two_that_came_none_is_taken() -> None:
    room = Room()
    where = BoundLocator(binding_of(stick("1-2"), NOW), room)
    where.lost()
    assert where.find() is None
    room.extend([stick("1-3"), stick("1-4")])
    assert where.find() is None


def test_one_that_can_do_other_things_is_not_taken() -> None:
    room = Room()
    where = BoundLocator(binding_of(stick("1-2"), NOW), room)
    where.lost()
    assert where.find() is None
    room.append(stick("1-3", capabilities="other"))
    assert where.find() is None


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


def test_an_input_of_a_sound_server_is_looked_for_by_opening_it() -> None:
    server = Device(id="pulse:mic", kind=DeviceKind.MICROPHONE, name="Mic")
    assert FixedLocator(server).find() == LocatedDevice(server)


@pytest.mark.parametrize("serials", [{"serial": "A1"}, {"shared_serial": "A1"}], ids=["its own", "shared"])
def test_whoever_has_a_serial_number_is_not_another_without_one_nor_the_other_way_round(
    serials: dict[str, str],
) -> None:
    known, nameless = msgspec.structs.replace(stick("1-2"), **serials), stick("1-4")
    for ours, came in ((known, nameless), (stick("1-2"), msgspec.structs.replace(stick("1-4"), **serials))):
        room = Room()
        where = BoundLocator(binding_of(ours, NOW), room)
        where.lost()
        assert where.find() is None
        room.append(came)
        assert where.find() is None


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
    assert where.find() == LocatedDevice(stick("1-3"), moved_from="1-2", is_certain=False)


# Several inputs of a session, all of one make without serial numbers


def half(port: str) -> Device:
    """Return the audio device of a stick without a serial number."""
    return msgspec.structs.replace(
        stick(port), id=f"534d:2109@{port}+sound", kind=DeviceKind.MICROPHONE, node=None, alsa="hw:CARD=S,DEV=0"
    )


def session_of(room: Room, *devices: Device) -> list[BoundLocator]:
    """Return the locators of one session; its devices left together."""
    claims: list[DeviceClaim] = []
    session = [BoundLocator(binding_of(device, NOW), room, DeviceClaim(claims)) for device in devices]
    for where in session:
        where.lost()
        assert where.find() is None
    return session


def test_what_is_anothers_is_not_taken_also_when_it_is_there_alone() -> None:
    room = Room()
    one, other = session_of(room, stick("1-2"), stick("1-3"))
    room.append(stick("1-2"))
    assert other.find() is None
    assert one.find() == LocatedDevice(stick("1-2"))
    assert other.find() is None
    room.append(stick("1-3"))
    assert other.find() == LocatedDevice(stick("1-3"))


def test_one_that_is_refused_in_another_port_is_still_looked_for_in_its_own() -> None:
    room = Room()
    where = BoundLocator(binding_of(stick("1-3"), NOW), room)
    where.lost()
    assert where.find() is None
    room.append(stick("1-2"))
    for _ in range(2):  # each time it is refused, and it is as uncertain as before
        assert where.find() == LocatedDevice(stick("1-2"), moved_from="1-3", is_certain=False)
    room.append(stick("1-3"))
    assert where.find() == LocatedDevice(stick("1-3"))


def test_one_that_was_opened_in_another_port_is_looked_for_there() -> None:
    room = Room()
    where = BoundLocator(binding_of(stick("1-3"), NOW), room)
    where.lost()
    assert where.find() is None
    room.append(stick("1-2"))
    assert where.find() == LocatedDevice(stick("1-2"), moved_from="1-3", is_certain=False)
    where.reopened()
    where.lost()
    assert where.find() == LocatedDevice(stick("1-2"))


@pytest.mark.parametrize("opens", [True, False], ids=["opened", "being opened"])
def test_two_that_were_moved_to_other_ports_one_by_one_are_both_found(opens: bool) -> None:
    room = Room()
    one, other = session_of(room, stick("1-2"), stick("1-3"))
    room.append(stick("2-1"))
    assert other.find() == LocatedDevice(stick("2-1"), moved_from="1-3", is_certain=False)
    if opens:
        other.reopened()
    assert one.find() is None
    room.append(stick("2-2"))
    assert one.find() == LocatedDevice(stick("2-2"), moved_from="1-2", is_certain=False)
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
    assert one.find() == LocatedDevice(stick("2-1"), moved_from="1-2", is_certain=False)


def test_picture_and_sound_of_one_stick_go_together() -> None:
    room = Room()
    picture, sound, other, other_sound = session_of(room, stick("1-2"), half("1-2"), stick("1-3"), half("1-3"))
    room.extend([stick("2-1"), half("2-1")])
    assert other_sound.find() == LocatedDevice(half("2-1"), moved_from="1-3", is_certain=False)
    assert (picture.find(), sound.find()) == (None, None)
    assert other.find() == LocatedDevice(stick("2-1"), moved_from="1-3", is_certain=False)
    for where in (other, other_sound):
        where.reopened()
    room.extend([stick("2-2"), half("2-2")])
    assert picture.find() == LocatedDevice(stick("2-2"), moved_from="1-2", is_certain=False)
    assert sound.find() == LocatedDevice(half("2-2"), moved_from="1-2", is_certain=False)
    for where in (picture, sound):
        where.reopened()
    room[:] = [stick("3-1"), half("3-1")]  # one home is known at its new place, too
    for where in (picture, sound, other, other_sound):
        where.lost()
        assert where.find() is None, "this one was there when ours went"
    room[:] = []
    for where in (picture, sound, other, other_sound):
        where.lost()
        assert where.find() is None
    room[:] = [stick("3-1"), half("3-1")]
    assert picture.find() == LocatedDevice(stick("3-1"), moved_from="2-2", is_certain=False)
    assert sound.find() == LocatedDevice(half("3-1"), moved_from="2-2", is_certain=False)
    assert (other.find(), other_sound.find()) == (None, None)


def test_the_sound_of_anothers_stick_is_not_taken_where_only_its_picture_is_in_the_session() -> None:
    room = Room()
    _, other, other_sound = session_of(room, stick("1-2"), stick("1-3"), half("1-3"))
    room.extend([stick("1-2"), half("1-2")])
    assert (other.find(), other_sound.find()) == (None, None)


def test_what_a_role_was_given_to_is_not_taken_before_it_was_ever_there() -> None:
    room, claims = Room(), list[DeviceClaim]()
    awaited = DeviceClaim(claims)
    awaited.expect(binding_of(stick("1-2"), NOW))
    where = BoundLocator(binding_of(stick("1-3"), NOW), room, DeviceClaim(claims))
    where.lost()
    assert where.find() is None
    room.append(stick("1-2"))
    assert where.find() is None
    found = BoundLocator(binding_of(stick("1-2"), NOW), room, awaited)
    assert found.find() == LocatedDevice(stick("1-2"))
    assert where.find() is None
    room.append(stick("2-1"))
    assert where.find() == LocatedDevice(stick("2-1"), moved_from="1-3", is_certain=False)
