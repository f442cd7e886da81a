"""What the table of devices is put together from, and which changes that makes."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.devices.board import DeviceBoard
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.roles.matching import RoleBinding, binding_of

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
STICK = Device(
    id="534d:2109@1-4", kind=DeviceKind.CAPTURE_CARD, name="Stick", vid="534d", pid="2109", port="1-4",
    node="/dev/video2",
)  # fmt: skip
ROOM = Device(id="sound:room", kind=DeviceKind.MICROPHONE, name="room")
SILENT = Health(HealthState.SILENT, "it gives nothing", datetime(2026, 11, 25, tzinfo=UTC), "no-data")


def board(*devices: Device) -> DeviceBoard:
    board = DeviceBoard(dict)
    board.begin(devices)
    return board


def changed(kind: ChangeKind, device: Device, before: Device | None, *devices: Device) -> DeviceChange:
    return DeviceChange(kind, device, before, devices)


def test_the_monitors_changes_are_told_in_its_own_words() -> None:
    shown = board(STICK)
    assert shown.hardware(changed(ChangeKind.PLUGGED, CAMERA, None, CAMERA, STICK)) == [("plugged", CAMERA)]
    assert shown.devices == (CAMERA, STICK)
    assert shown.hardware(changed(ChangeKind.UNPLUGGED, CAMERA, CAMERA, STICK)) == [("unplugged", CAMERA)]
    there = msgspec.structs.replace(CAMERA, port="1-7")
    assert shown.hardware(changed(ChangeKind.MOVED, there, CAMERA, there, STICK)) == [("moved", there)]
    assert shown.hardware(changed(ChangeKind.MOVED, there, CAMERA, there, STICK)) == []


def test_a_device_whose_id_changes_is_one_change_and_no_unplugging() -> None:
    shown = board(CAMERA)
    renamed = msgspec.structs.replace(CAMERA, id="046d:0825@1-2")
    assert shown.hardware(changed(ChangeKind.CHANGED, renamed, CAMERA, renamed)) == [("changed", renamed)]


def test_what_the_servers_offer_comes_and_goes_like_devices() -> None:
    shown = board(CAMERA)
    assert shown.inputs([ROOM]) == [("plugged", ROOM)]
    assert shown.devices == (CAMERA, ROOM)
    assert shown.inputs([ROOM]) == []
    assert shown.inputs([]) == [("unplugged", ROOM)]


def test_a_fault_that_a_recorder_found_is_a_change_of_health_until_it_is_over() -> None:
    shown = board(CAMERA, STICK)
    silent = msgspec.structs.replace(CAMERA, health=SILENT)
    assert shown.faults({CAMERA.id: SILENT, "gone": SILENT}) == [("health", silent)]
    assert list(shown.devices) == [silent, STICK]
    assert shown.hardware(changed(ChangeKind.UNPLUGGED, STICK, STICK, CAMERA)) == [("unplugged", STICK)]
    assert list(shown.devices) == [silent]
    assert shown.faults({}) == [("health", CAMERA)]


def test_a_device_that_somebody_takes_or_renames_is_told_by_what_differs() -> None:
    shown = board(CAMERA, STICK)
    busy = msgspec.structs.replace(CAMERA, health=Health(HealthState.BUSY, "zoom has it", None, "busy"))
    change = changed(ChangeKind.CHANGED, busy, CAMERA, busy, STICK)
    assert change.is_of_health_only
    assert shown.hardware(change) == [("health", busy)]
    # Who has it open may find a fault of it, which is what counts; when that is over it is still in use.
    silent = msgspec.structs.replace(CAMERA, health=SILENT)
    assert shown.faults({CAMERA.id: SILENT}) == [("health", silent)]
    assert shown.faults({}) == [("health", busy)]
    assert shown.hardware(changed(ChangeKind.CHANGED, CAMERA, busy, CAMERA, STICK)) == [("health", CAMERA)]
    moved = msgspec.structs.replace(CAMERA, node="/dev/video7")
    change = changed(ChangeKind.CHANGED, moved, CAMERA, moved, STICK)
    assert not change.is_of_health_only
    assert shown.hardware(change) == [("changed", moved)]


def test_a_role_that_is_given_is_a_change_and_one_whose_device_has_gone_is_missing() -> None:
    roles: dict[str, RoleBinding] = {}
    shown = DeviceBoard(lambda: roles)
    shown.begin([CAMERA, STICK])
    roles["slides"] = binding_of(STICK, datetime(2026, 11, 25, tzinfo=UTC))
    ((word, device),) = shown.roles()
    assert (word, device.id, device.role) == ("changed", STICK.id, "slides")
    assert shown.missing == []
    shown.hardware(changed(ChangeKind.UNPLUGGED, STICK, STICK, CAMERA))
    (sentence,) = shown.missing
    assert sentence.startswith("slides is missing: Stick (534d:2109@1-4): ")


def test_roles_that_cannot_be_read_cost_the_rest_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    (tmp_path / "roles.json").write_text("torn")
    shown = DeviceBoard()
    shown.begin([CAMERA])
    assert shown.devices == (CAMERA,)
