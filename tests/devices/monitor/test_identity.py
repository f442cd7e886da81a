"""Who a device is, and which one a word means."""

import pytest

from config.errors import DeviceError, DeviceNotFound, UsageError
from devices.kernel.udev import UsbDevice
from devices.model.device import Device, DeviceKind
from devices.monitor.identity import base_id, find_sound, find_video, plug_part, unique_serials
from tests.support.errors import because


def usb(port: str, serial: str | None = None, *, pid: str = "0825") -> UsbDevice:
    return UsbDevice("046d", pid, serial, port, "Webcam", "Maker", 480_000_000)


def base(plug: UsbDevice, *others: UsbDevice | None) -> str:
    return base_id(plug, unique_serials([plug, *others]).get(plug), "usb")


@pytest.mark.parametrize("port", ["1-1", "2-4.3"])
def test_an_own_serial_is_the_identity_wherever_the_device_is_plugged_in(port: str) -> None:
    assert base(usb(port, "A1B2")) == "046d:0825:A1B2"


@pytest.mark.parametrize("serial", [None, "SN0001", "200901010001", "20210623", "00000000"])
def test_no_serial_or_a_factorys_leaves_the_port(serial: str | None) -> None:
    plug = usb("1-4.2", serial)
    assert base(plug) == "046d:0825@1-4.2"
    assert unique_serials([plug]) == {}


def test_equal_serials_count_only_for_another_model() -> None:
    first, twin, other = usb("1-1", "A1"), usb("1-2", "A1"), usb("1-3", "A1", pid="9999")
    assert base(first, first, twin, other, None) == "046d:0825@1-1"
    assert base(twin, first, first, other, None) == "046d:0825@1-2"
    assert base(other, first, first, twin, None) == "046d:9999:A1"


def test_one_device_with_picture_and_sound_does_not_collide_with_itself() -> None:
    picture, sound = usb("1-1", "A1"), usb("1-1", "A1")
    assert unique_serials([picture, sound])[picture] == "A1"


CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", serial="A1", port="1-1", node="/dev/video0")
STICK = Device(id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Stick", port="1-2", node="/dev/video2",
               paired_with="534d:2109@1-2+sound")  # fmt: skip
SOUND = Device(id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", port="1-2",
               alsa="hw:CARD=MS2109,DEV=0", paired_with=STICK.id)  # fmt: skip
DEVICES = [CAMERA, STICK, SOUND]


@pytest.mark.parametrize("name", ["046d:0825:A1", "046D:0825:a1", "A1", "1-1", "/dev/video0", " A1 "])
def test_a_camera_answers_to_its_id_serial_port_and_node(name: str) -> None:
    assert find_video(DEVICES, name) == CAMERA


@pytest.mark.parametrize("name", [STICK.id, SOUND.id, "1-2", "/dev/video2", "hw:CARD=MS2109,DEV=0"])
def test_picture_and_sound_of_one_plug_stand_for_each_other(name: str) -> None:
    assert find_video(DEVICES, name) == STICK
    assert find_sound(DEVICES, name) == SOUND


def test_what_is_trusted_more_wins() -> None:
    named_like_a_port = Device(id="x", kind=DeviceKind.CAMERA, name="Odd", serial="1-1", port="1-9", node="/dev/video8")
    assert find_video([CAMERA, named_like_a_port], "1-1") == named_like_a_port
    role = Device(id="y", kind=DeviceKind.CAMERA, name="Role", role="podium", port="1-7", node="/dev/video9")
    assert find_video([CAMERA, role], "podium") == role


def test_an_unknown_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(DeviceNotFound, match="'podium'") as caught:
        find_video(DEVICES, "podium")
    assert caught.value.hint == "Plugged in: 046d:0825:A1 (Webcam), 534d:2109@1-2 (Stick)"
    with pytest.raises(DeviceNotFound) as caught:
        find_sound([CAMERA], "podium")
    assert caught.value.hint == "Nothing of that kind is plugged in."


def test_a_camera_without_a_microphone_has_no_sound() -> None:
    with pytest.raises(DeviceError, match=r"Webcam \(046d:0825:A1\) gives no sound", check=because("unsupported")):
        find_sound(DEVICES, "A1")


def test_a_name_that_means_two_devices_says_which() -> None:
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
