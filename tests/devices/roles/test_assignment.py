"""Roles: given, taken, replaced, proposed; and what the health log gets to know of it."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.errors import DeviceNotFound, StateError, UsageError
from config.state import StateFile
from devices.health.log_line import LogKind
from devices.model.device import Device, DeviceKind, Mode
from devices.monitor.identity import find_video
from devices.roles import assignment
from devices.roles.matching import RoleBinding, binding_of
from tests.support.health import Recorded
from tests.support.ports import MICROPHONE, STICK, WEBCAM, PortRoom
from tests.support.simulated import SimulatedClock

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Office:
    def __init__(self, folder: Path) -> None:
        self.room = PortRoom()
        self.record = Recorded(SimulatedClock())
        self.store: StateFile[dict[str, RoleBinding]] = assignment.roles_store(folder / "roles.json")

    def assign(self, role: str, port: str, *, moves: bool = False) -> RoleBinding | None:
        devices = self.room.devices()
        device = next(device for device in devices if device.port == port)
        return assignment.assign(self.store, role, device, devices, now=NOW, record=self.record, moves=moves)

    def listed(self) -> dict[str, str | None]:
        return {device.id: device.role for device in assignment.with_roles(self.room.devices(), self.store.read())}


@pytest.fixture
def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    office.room.plug(WEBCAM, "1-1")
    office.room.plug(STICK, "1-2")
    return office


def test_a_role_is_kept_and_shown_with_its_device(office: Office) -> None:
    assert office.assign("Podium", "1-1") is None
    assert office.listed() == {"046d:0825:A1": "podium", "534d:2109@1-2": None, "534d:2109@1-2+sound": None}
    (line,) = office.record.lines
    assert (line.kind, line.device) == (LogKind.ROLE_ASSIGNED, "046d:0825:A1")
    assert line.detail == {"role": "podium", "old": None, "new": "046d:0825:A1"}


def test_one_whose_twin_was_seen_is_not_taken_for_it_when_the_twin_is_there_alone(office: Office) -> None:
    """Cheap cameras of a make say the same number; the second may look at the audience."""
    office.assign("podium", "1-1")
    kept = office.store.path.stat()
    assignment.update_bindings(office.store, office.room.devices())
    assert office.store.path.stat() == kept, "nothing is written where there is none"
    office.room.plug(WEBCAM, "1-3")
    assignment.update_bindings(office.store, office.room.devices())
    assert office.listed()["046d:0825@1-1"] == "podium"
    office.room.unplug("1-1")
    assert set(office.listed().values()) == {None}
    with pytest.raises(DeviceNotFound, match=r"podium .* is missing"):
        assignment.device_with_role("podium", office.store.read(), office.room.devices())
    office.room.plug(WEBCAM, "1-1")
    office.room.unplug("1-3")
    assert office.listed()["046d:0825:A1"] == "podium", "alone in its port it is that one"


def test_what_is_not_there_and_what_says_no_number_is_kept_as_it_was(office: Office) -> None:
    office.assign("podium", "1-1")
    office.assign("slides", "1-2")
    given = office.store.read()
    webcam, _ = office.room.unplug("1-1"), office.room.unplug("1-2")
    for usb, port in ((None, ""), (STICK, "1-2"), (replace(webcam, capabilities=None), "1-1")):
        if usb is not None:
            office.room.plug(usb, port)
        assignment.update_bindings(office.store, office.room.devices())
        assert office.store.read() == given, usb
    office.room.unplug("1-1")
    office.room.plug(replace(webcam, capabilities="other"), "1-1")
    assignment.update_bindings(office.store, office.room.devices())
    assert office.store.read()["podium"].capabilities == "other", "as a new firmware has it; it is known by its number"


def test_one_that_was_moved_is_told_from_a_twin_by_the_port_that_it_is_in_now(office: Office) -> None:
    office.assign("podium", "1-1")
    office.room.unplug("1-1")
    office.room.plug(WEBCAM, "1-4")
    assignment.update_bindings(office.store, office.room.devices())
    assert office.store.read()["podium"].port == "1-4"
    office.room.plug(WEBCAM, "1-3")
    assignment.update_bindings(office.store, office.room.devices())
    office.room.unplug("1-4")
    with pytest.raises(DeviceNotFound, match="not in port 1-4, and others say its serial number A1, too"):
        assignment.device_with_role("podium", office.store.read(), office.room.devices())


def test_a_device_has_one_role(office: Office) -> None:
    office.assign("podium", "1-1")
    with pytest.raises(UsageError, match="is podium already") as caught:
        office.assign("room", "1-1")
    assert "liput devices unassign podium" in caught.value.hint
    assert office.store.read().keys() == {"podium"}
    office.assign("podium", "1-1")
    assert office.record.lines[-1].reason == "is podium from now on"


def test_a_device_that_moves_gives_up_the_role_that_it_has_in_one_step(office: Office) -> None:
    office.assign("podium", "1-1")
    office.assign("room", "1-2")
    before = office.assign("room", "1-1", moves=True)
    assert (before and before.id) == "534d:2109@1-2"
    assert {role: binding.id for role, binding in office.store.read().items()} == {"room": "046d:0825:A1"}
    assert [(line.kind, line.detail["role"]) for line in office.record.lines[-2:]] == [
        (LogKind.ROLE_UNASSIGNED, "podium"), (LogKind.ROLE_ASSIGNED, "room"),
    ]  # fmt: skip


def test_a_device_that_cannot_move_keeps_its_role(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.assign("podium", "1-1")
    lines = len(office.record.lines)
    with pytest.raises(UsageError):
        office.assign("none", "1-1", moves=True)

    def full(*_args: object, **_named: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("config.state.replace_file", full)
    with pytest.raises(StateError):
        office.assign("room", "1-1", moves=True)
    assert office.store.read().keys() == {"podium"}
    assert len(office.record.lines) == lines


def test_a_role_is_taken_away(office: Office) -> None:
    office.assign("podium", "1-1")
    taken = assignment.unassign(office.store, "PODIUM", record=office.record)
    assert (taken.id, office.store.read()) == ("046d:0825:A1", {})
    line = office.record.lines[-1]
    assert (line.kind, line.device) == (LogKind.ROLE_UNASSIGNED, "046d:0825:A1")
    with pytest.raises(UsageError, match="no device has the role podium"):
        assignment.unassign(office.store, "podium", record=office.record)
    office.assign("podium", "1-1")
    with pytest.raises(UsageError, match='the role podum; did you mean "podium"') as caught:
        assignment.unassign(office.store, "podum", record=office.record)
    assert caught.value.hint == "roles given: podium"


@pytest.mark.parametrize("word", ["", "1-1", "-x", "two words", "x" * 33, "None", "046d:0825:A1"])
def test_what_cannot_be_a_role_is_refused(office: Office, word: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a role"):
        office.assign(word, "1-1")
    assert office.store.read() == {}


@pytest.mark.parametrize("word", ["Camera_2", "ruang-sidang"])
def test_a_free_name_is_kept_in_small_letters(word: str) -> None:
    assert assignment.role_name(word) == word.casefold()
    with pytest.raises(UsageError, match="uses it otherwise"):
        assignment.role_name(word, {word.casefold()})


def test_a_missing_role_says_why_and_what_to_do(office: Office) -> None:
    office.assign("slides", "1-2")
    office.assign("podium", "1-1")
    given = office.store.read()
    assert assignment.device_with_role("slides", given, office.room.devices()).id == "534d:2109@1-2"
    office.room.unplug("1-2")
    with pytest.raises(DeviceNotFound, match=r"slides \(MS2109 .*\) is missing: it is not plugged in") as caught:
        assignment.device_with_role("slides", given, office.room.devices())
    assert caught.value.hint.endswith("; to give the role to another: liput devices assign slides DEVICE")
    office.room.plug(replace(STICK, capabilities="dddd"), "1-2")
    office.room.plug(STICK, "1-4")
    with pytest.raises(DeviceNotFound) as caught:
        assignment.device_with_role("slides", given, office.room.devices())
    assert caught.value.hint.endswith("; to take the one in its port: liput devices assign slides 534d:2109@1-2")
    office.room.unplug("1-2")
    with pytest.raises(DeviceNotFound) as caught:
        assignment.device_with_role("slides", given, office.room.devices())
    assert caught.value.hint.endswith("; if it is in port 1-4 now: liput devices assign slides 534d:2109@1-4")
    # Copied as it stands, the command does it.
    *_, role, name = shlex.split(caught.value.hint.rpartition(": ")[2])
    office.assign(role, find_video(office.room.devices(), name).port or "")
    assert assignment.device_with_role("slides", office.store.read(), office.room.devices()).port == "1-4"


# Proposals


def proposed(room: PortRoom, *more: Device) -> dict[str, str]:
    return {role: device.id for role, device in assignment.propose_roles([*room.devices(), *more]).items()}


def test_roles_are_proposed_from_what_is_plugged_in(office: Office) -> None:
    office.room.plug(MICROPHONE, "1-3")
    assert proposed(office.room) == {
        "slides": "534d:2109@1-2", "podium": "046d:0825:A1", "microphone": "534d:2109@1-2+sound",
    }  # fmt: skip
    office.room.unplug("1-2")
    assert proposed(office.room) == {"podium": "046d:0825:A1", "microphone": "0d8c:0134@1-3"}
    office.room.unplug("1-3")
    assert proposed(office.room) == {"podium": "046d:0825:A1"}
    assert proposed(PortRoom()) == {}


def test_more_cards_and_cameras_get_numbered_roles_and_a_built_in_one_comes_last(office: Office) -> None:
    office.room.plug(STICK, "1-4")
    office.room.plug(replace(WEBCAM, serial="B2"), "1-5")
    mode = Mode("MJPG", 9, 9, (30.0,))
    built_in = Device(id="platform-cam", kind=DeviceKind.CAMERA, name="In", node="/dev/video0", modes=(mode,))
    devices = assignment.propose_roles([built_in, *office.room.devices()])
    assert {role: device.id for role, device in devices.items()} == {
        "slides": "534d:2109@1-2", "slides2": "534d:2109@1-4", "podium": "046d:0825:A1", "room": "046d:0825:B2",
        "room2": "platform-cam", "microphone": "534d:2109@1-2+sound",
    }  # fmt: skip


def test_the_microphone_of_a_camera_and_a_built_in_one_are_not_proposed() -> None:
    room = PortRoom(sounding=("046d",))
    room.plug(WEBCAM, "1-1")
    built_in = Device(id="pci-0000:00:1f.3", kind=DeviceKind.MICROPHONE, name="PCH", alsa="hw:CARD=PCH,DEV=0")
    assert proposed(room, built_in) == {"podium": "046d:0825:A1"}


def test_a_binding_keeps_all_traits() -> None:
    room = PortRoom()
    room.plug(WEBCAM, "1-1")
    (device,) = room.devices()
    assert binding_of(device, NOW) == RoleBinding(
        id="046d:0825:A1", name="C270", kind=DeviceKind.CAMERA, vid="046d", pid="0825", serial="A1", port="1-1",
        place="pci-0000:00:14.0-usb2-1", capabilities="bbbb", at=NOW,
    )  # fmt: skip
