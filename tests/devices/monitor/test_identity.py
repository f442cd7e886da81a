"""Who a device is, which one a word means, and what is remembered of those that were seen."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.errors import DeviceError, DeviceNotFound, UsageError
from devices.kernel.udev import UsbDevice
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.monitor.identity import base_id, find_sound, find_video, plug_part, unique_serials
from devices.monitor.known_devices import MAX_KNOWN_DEVICES, KnownDevice, KnownDevices, confirm, known_store, with_swaps
from tests.support.errors import because


def usb(port: str, serial: str | None = None, *, pid: str = "0825") -> UsbDevice:
    return UsbDevice("046d", pid, serial, port, "Webcam", "Maker", 480_000_000)


def base(plug: UsbDevice, *others: UsbDevice | None) -> str:
    return base_id(plug, unique_serials([plug, *others]).get(plug), "usb")


@pytest.mark.parametrize("port", ["1-1", "2-4.3"])
def test_an_own_serial_is_the_identity_wherever_the_device_is_plugged_in(port: str) -> None:
    assert base(usb(port, "A1B2")) == "046d:0825:A1B2"


@pytest.mark.parametrize("serial", [None, "SN0001", "00000000"])
def test_no_serial_or_a_factorys_leaves_the_port(serial: str | None) -> None:
    plug = usb("1-4.2", serial)
    assert base(plug) == "046d:0825@1-4.2"
    assert unique_serials([plug]) == {}


def test_equal_serials_count_only_for_another_model_or_the_same_device() -> None:
    first, twin, other = usb("1-1", "A1"), usb("1-2", "A1"), usb("1-3", "A1", pid="9999")
    assert base(first, first, twin, other, None) == "046d:0825@1-1"
    assert base(twin, first, first, other, None) == "046d:0825@1-2"
    assert base(other, first, first, twin, None) == "046d:9999:A1"
    picture, sound = usb("1-1", "A1"), usb("1-1", "A1")
    assert unique_serials([picture, sound])[picture] == "A1"


CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", serial="A1", port="1-1", node="/dev/video0")
STICK = Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Stick", port="1-2", node="/dev/video2",
               paired_with="534d:2109@1-2+sound")  # fmt: skip
SOUND = Device(id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", port="1-2",
               alsa="hw:CARD=MS2109,DEV=0", paired_with=STICK.id)  # fmt: skip
DEVICES = [CAMERA, STICK, SOUND]


@pytest.mark.parametrize("name", ["046D:0825:a1", " A1 ", "1-1", "/dev/video0"])
def test_a_camera_answers_to_its_id_serial_port_and_node(name: str) -> None:
    assert find_video(DEVICES, name) == CAMERA


@pytest.mark.parametrize("name", [SOUND.id, "/dev/video2", "1-2"])
def test_picture_and_sound_of_one_plug_stand_for_each_other(name: str) -> None:
    assert find_video(DEVICES, name) == STICK
    assert find_sound(DEVICES, name) == SOUND


def test_what_is_trusted_more_wins() -> None:
    named_like_a_port = Device(id="x", kind=DeviceKind.CAMERA, name="Odd", serial="1-1", port="1-9", node="/dev/video8")
    assert find_video([CAMERA, named_like_a_port], "1-1") == named_like_a_port
    role = Device(id="y", kind=DeviceKind.CAMERA, name="Role", role="podium", port="1-7", node="/dev/video9")
    assert find_video([CAMERA, role], "podium") == role


def test_a_word_that_means_nothing_or_too_much_says_so() -> None:
    with pytest.raises(DeviceNotFound, match="'podium'") as caught:
        find_video(DEVICES, "podium")
    assert caught.value.hint == "Plugged in: 046d:0825:A1 (Webcam), 534d:2109@1-2 (Stick)"
    with pytest.raises(DeviceNotFound) as caught:
        find_sound([CAMERA], "podium")
    assert caught.value.hint == "Nothing of that kind is plugged in."
    with pytest.raises(DeviceError, match=r"Webcam \(046d:0825:A1\) gives no sound", check=because("unsupported")):
        find_sound(DEVICES, "A1")
    second = Device(id="046d:0825:A1+picture2", kind=DeviceKind.CAMERA, name="Webcam", port="1-1", node="/dev/video4")
    with pytest.raises(UsageError, match=r"'1-1' means more than one device: 046d:0825:A1 and 046d:0825:A1\+picture2"):
        find_video([CAMERA, second], "1-1")


def test_a_device_is_a_part_of_its_plug() -> None:
    second = Device(id="046d:0825:A1+picture2", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video4")
    third = Device(id="pci-0000:00:1f.3+sound3", kind=DeviceKind.MICROPHONE, name="Line in")
    assert [plug_part(device.id, device.kind) for device in (CAMERA, SOUND, second, third)] == [
        ("picture", 1), ("sound", 1), ("picture", 2), ("sound", 3),
    ]  # fmt: skip
    assert plug_part("0d8c:0134@1-5", DeviceKind.MICROPHONE) == ("sound", 1)


NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_first_and_last_time_are_kept_over_runs(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    first = KnownDevices(store)
    first.remember([CAMERA], NOW)
    first.save()
    later = KnownDevices(store)
    later.remember([CAMERA], NOW + timedelta(days=7))
    later.save()
    assert store.read() == {
        CAMERA.id: KnownDevice(name="Webcam", first_seen=NOW, last_seen=NOW + timedelta(days=7), port="1-1")
    }


def test_two_monitors_lose_nothing_of_each_other(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    one, two = KnownDevices(store), KnownDevices(store)
    one.remember([CAMERA], NOW)
    two.remember([STICK], NOW)
    one.save()
    two.save()
    assert store.read().keys() == {CAMERA.id, STICK.id}
    assert one.get(STICK.id) is None
    assert one.refresh() is True
    assert one.get(STICK.id) is not None
    assert one.refresh() is False


def test_a_file_that_is_damaged_costs_the_past_only(tmp_path: Path) -> None:
    path = tmp_path / "devices.json"
    path.write_text("{")
    known = KnownDevices(known_store(path))
    known.remember([CAMERA], NOW)
    known.save()
    assert path.read_text() == "{"
    assert known.get(CAMERA.id) is not None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    known = KnownDevices(store)
    for number in range(MAX_KNOWN_DEVICES + 50):
        device = Device(id=f"dead:beef:{number}", kind=DeviceKind.CAMERA, name="")
        known.remember([device], NOW + timedelta(hours=number))
    known.save()
    assert list(store.read()) == [f"dead:beef:{number}" for number in range(MAX_KNOWN_DEVICES + 49, 49, -1)]


def test_what_is_unclear_is_kept_and_confirmed_by_id(tmp_path: Path) -> None:
    store = known_store(tmp_path / "devices.json")
    assert confirm(store, [CAMERA.id]) == []
    assert not store.path.exists()
    known = KnownDevices(store)
    known.remember([CAMERA, STICK], NOW)
    known.mark_swapped(CAMERA.id, "may be another", NOW)
    known.mark_swapped(STICK.id, "may be another", NOW)
    known.mark_swapped("is:unknown", "may be another", NOW)
    known.remember([CAMERA], NOW)
    known.save()
    assert confirm(store, [STICK.id, "is:unknown"]) == [STICK.id]
    assert known.refresh() is True
    assert known.swapped().keys() == {CAMERA.id}
    marked, clear = with_swaps([CAMERA, STICK], store.read())
    assert marked.health == Health(HealthState.DEGRADED, "may be another", NOW, "swapped")
    assert clear == STICK
