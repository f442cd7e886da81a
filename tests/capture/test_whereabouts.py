"""Where a device of a session is now."""

from datetime import UTC, datetime

import msgspec
import pytest

from capture.kept import Return
from capture.whereabouts import AlwaysThere, BoundWhereabouts, NamedWhereabouts
from config.errors import DeviceNotFound
from devices.clock import NANOSECONDS
from devices.model import Device, DeviceKind
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
    """What is plugged in."""

    def __call__(self) -> list[Device]:
        return list(self)


def test_a_serial_number_is_known_in_any_port_with_any_node() -> None:
    room = Room()
    where = BoundWhereabouts(binding_of(CAMERA, NOW), room)
    where.lost()
    assert where.find() is None
    moved = msgspec.structs.replace(CAMERA, port="1-4", place="p1-4", node="/dev/video7")
    room.append(moved)
    assert where.find() == Return(moved, moved_from="1-1")
    room.clear()
    where.lost()
    room.append(CAMERA)
    assert where.find() == Return(CAMERA, moved_from="1-4")


def test_another_camera_of_the_same_make_is_not_taken() -> None:
    other = msgspec.structs.replace(CAMERA, id="046d:0825:CAM2", serial="CAM2")
    where = BoundWhereabouts(binding_of(CAMERA, NOW), Room([other]))
    where.lost()
    assert where.find() is None


def test_a_stick_without_a_serial_number_is_known_in_its_port() -> None:
    where = BoundWhereabouts(binding_of(stick("1-2"), NOW), Room([stick("1-2")]))
    where.lost()
    assert where.find() == Return(stick("1-2"))


def test_in_another_port_it_is_taken_if_it_is_the_only_one_that_came_and_that_is_not_certain() -> None:
    room = Room([stick("1-3")])  # a twin that was there all the time
    where = BoundWhereabouts(binding_of(stick("1-2"), NOW), room)
    where.lost()
    assert where.find() is None
    room.append(stick("1-4"))
    assert where.find() == Return(stick("1-4"), moved_from="1-2", is_certain=False)


def test_of_two_that_came_none_is_taken() -> None:
    room = Room()
    where = BoundWhereabouts(binding_of(stick("1-2"), NOW), room)
    where.lost()
    assert where.find() is None
    room.extend([stick("1-3"), stick("1-4")])
    assert where.find() is None


def test_one_that_can_do_other_things_is_not_taken() -> None:
    room = Room()
    where = BoundWhereabouts(binding_of(stick("1-2"), NOW), room)
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

    where = NamedWhereabouts(named, room, SimulatedClock())
    assert where.find() is None
    room.append(CAMERA)
    assert where.find() == Return(CAMERA)
    room[:] = [stick("1-2")]
    where.lost()
    assert where.find() is None


def test_who_is_dear_to_ask_is_asked_seldom() -> None:
    asked: list[int] = []
    clock = SimulatedClock()

    def named() -> Device:
        asked.append(clock.now_ns())
        raise DeviceNotFound("the microphone is missing")

    where = NamedWhereabouts(named, Room(), clock, every_s=2.0)
    for _ in range(40):
        assert where.find() is None
        clock.advance_to(clock.now_ns() + NANOSECONDS // 4)
    assert len(asked) == 5


def test_an_input_of_a_sound_server_is_looked_for_by_opening_it() -> None:
    server = Device(id="pulse:mic", kind=DeviceKind.MICROPHONE, name="Mic")
    assert AlwaysThere(server).find() == Return(server)


@pytest.mark.parametrize("serials", [{"serial": "A1"}, {"shared_serial": "A1"}], ids=["its own", "shared"])
def test_whoever_has_a_serial_number_is_not_another_without_one_nor_the_other_way_round(
    serials: dict[str, str],
) -> None:
    known, nameless = msgspec.structs.replace(stick("1-2"), **serials), stick("1-4")
    for ours, came in ((known, nameless), (stick("1-2"), msgspec.structs.replace(stick("1-4"), **serials))):
        room = Room()
        where = BoundWhereabouts(binding_of(ours, NOW), room)
        where.lost()
        assert where.find() is None
        room.append(came)
        assert where.find() is None


def test_once_it_was_there_it_is_looked_for_like_any_other_and_each_loss_begins_anew() -> None:
    room = Room([stick("1-2")])
    where = NamedWhereabouts(lambda: room[0], room, SimulatedClock())
    assert where.find() == Return(stick("1-2"))
    assert where.find() == Return(stick("1-2"))
    room[:] = [stick("1-3")]
    where.lost()
    assert where.find() is None, "this one was there when ours went"
    room.clear()
    where.lost()
    assert where.find() is None
    room.append(stick("1-3"))
    assert where.find() == Return(stick("1-3"), moved_from="1-2", is_certain=False)
