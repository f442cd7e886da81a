"""`liput devices show`: the page of one device, for people and for scripts."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent.commands.devices import show as command
from config.errors import DeviceNotFound, UsageError
from devices.model.device import Device, DeviceKind, Health, HealthState, Mode
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support.ports import usb_tree

CAMERA = Device(
    id="046d:0893:5079EB25", kind=DeviceKind.CAMERA, name="Logitech StreamCam", vid="046d", pid="0893",
    serial="5079EB25", port="5-1.4", node="/dev/video0", paired_with="046d:0893:5079EB25+sound",
    link_bps=480_000_000, role="podium",
    modes=(
        Mode("YUYV", 1920, 1080, (20.0, 5.0)), Mode("MJPG", 1920, 1080, (60.0, 30.0)), Mode("MJPG", 1280, 720, (30.0,)),
    ),
)  # fmt: skip
SOUND = Device(
    id="046d:0893:5079EB25+sound", kind=DeviceKind.MICROPHONE, name="Logitech StreamCam (sound)", vid="046d",
    pid="0893", serial="5079EB25", port="5-1.4", alsa="hw:CARD=StreamCam,DEV=0", paired_with=CAMERA.id,
)  # fmt: skip
OTHER = Device(
    id="046d:0825:E190CC90", kind=DeviceKind.CAMERA, name="Logitech C270", vid="046d", pid="0825", serial="E190CC90",
    port="5-1.3.1.3.7", node="/dev/video2", modes=(Mode("MJPG", 1280, 720, (30.0,)),),
)  # fmt: skip
STICK = Device(
    id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="MS2109 HDMI capture stick", vid="534d", pid="2109",
    port="1-2", node="/dev/video4", modes=(Mode("MJPG", 1920, 1080, (60.0, 30.0)),),
    health=Health(HealthState.SILENT, "it does not list its modes", datetime(2026, 1, 1, tzinfo=UTC)),
)  # fmt: skip
ROOM = Device(id="pulse:room", kind=DeviceKind.MICROPHONE, name="room")
EVERYTHING = (CAMERA, OTHER, STICK, SOUND, ROOM)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sequence[Device]:
    """Plug everything in; the tree of hubs is a recorded one, in which the stick is not."""
    monkeypatch.setattr(command, "known_devices", lambda _: list(EVERYTHING))
    roles_store().change(lambda _: {"podium": binding_of(CAMERA, datetime(2026, 1, 1, tzinfo=UTC))})
    monkeypatch.setattr(command, "SYSFS", usb_tree("three_cameras", tmp_path))
    return EVERYTHING


def run(*words: str) -> Result:
    return CliRunner().invoke(command.show_command, words)


def shown(*words: str) -> dict[str, Any]:
    result = run(*words, "--json")
    assert result.exception is None, result.exception
    page: dict[str, Any] = json.loads(result.stdout)
    return page


@pytest.mark.usefixtures("devices")
def test_the_json_is_one_document_with_everything() -> None:
    page = shown(CAMERA.id)
    assert msgspec.convert(page["device"], Device) == CAMERA
    assert msgspec.convert(page["partner"], Device) == SOUND
    assert page["no_serial"] is None
    assert page["usb"] == {
        "path": [
            {"port": "usb5", "name": "xHCI Host Controller", "link_bps": 480_000_000, "is_hub": True},
            {"port": "5-1", "name": "USB 2.0 Hub", "link_bps": 480_000_000, "is_hub": True},
            {"port": "5-1.4", "name": "Logitech StreamCam", "link_bps": 480_000_000, "is_hub": False},
        ],
        "usable_bps": 196_608_000,
        "shared_with": ["H264 USB Camera (port 5-1.3.1.3.6)", "Logitech C270 (port 5-1.3.1.3.7)"],
    }
    assert (page["profile"], page["wanted"]) == ("1080p30", {"width": 1920, "height": 1080, "fps": 30.0})
    mode = {"format": "MJPG", "width": 1920, "height": 1080, "fps": 30.0, "needs_bps": None, "reason": None}
    assert page["mode"] == mode
    assert page["runners_up"] == [
        mode | {"width": 1280, "height": 720, "reason": "smaller"},
        mode | {"format": "YUYV", "fps": 5.0, "needs_bps": 165_888_000,
                "reason": "needs 664 Mbit/s at 20 frames a second, the link gives 197"},
    ]  # fmt: skip
    assert page["make"]["name"] == "Logitech StreamCam"
    assert "github.com/espressif/esp-usb" in page["make"]["source"]


@pytest.mark.usefixtures("devices")
def test_the_warnings_are_the_slow_port_and_the_bus_it_shares() -> None:
    slow, crowded = shown(CAMERA.id)["warnings"]
    assert slow["kind"] == "slow-port"
    assert slow["message"].endswith("the hub at port 5-1 is a USB 2 hub")
    assert "USB 3 port" in slow["hint"]
    assert crowded["kind"] == "may-not-fit"
    assert crowded["message"].startswith("Logitech StreamCam, Logitech C270 and Logitech StreamCam (sound) may not fit")
    assert crowded["hint"] == "Move one device to another port."


@pytest.mark.usefixtures("devices")
def test_uncompressed_modes_of_a_small_profile_make_it_certain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = tmp_path / "liput.toml"
    settings.write_text("[profiles.small]\nwidth = 640\nheight = 480\nfps = 30\nvideo_bitrate = '1M'\n")
    raw = [msgspec.structs.replace(device, modes=(Mode("YUYV", 640, 480, (30.0,)),)) for device in (CAMERA, OTHER)]
    monkeypatch.setattr(command, "known_devices", lambda _: raw)
    _, warning = shown(CAMERA.id, "--profile", "small", "--config", str(settings))["warnings"]
    assert warning["kind"] == "cannot-fit"
    assert warning["hint"] == "Move one device to another port or use MJPEG."


@pytest.mark.usefixtures("devices")
def test_what_others_do_to_each_other_is_not_on_this_page() -> None:
    assert [entry["kind"] for entry in shown(OTHER.id)["warnings"]] == ["may-not-fit"]
    assert shown(STICK.id)["warnings"] == []


@pytest.mark.usefixtures("devices")
def test_people_see_a_page() -> None:
    lines = [line.rstrip() for line in run("podium").stdout.splitlines()]
    assert lines[0] == "Logitech StreamCam, camera"
    text = "\n".join(lines)
    assert "Serial       5079EB25\n" in text
    assert "             └─ 5-1  USB 2.0 Hub, 480 Mbit/s\n" in text
    assert "                └─ 5-1.4  Logitech StreamCam, 480 Mbit/s\n" in text
    assert "Sound        046d:0893:5079EB25+sound (hw:CARD=StreamCam,DEV=0)\n" in text
    assert "Warning: Logitech StreamCam is made for USB 3 and runs at 480 Mbit/s" in text
    assert "For the profile 1080p30 (1920x1080 at 30):\n→  MJPG  1920x1080  at 30  is opened\n" in text
    assert "   MJPG  1280x720   at 30  smaller\n" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("devices")
def test_what_is_wrong_is_said_and_what_is_known_of_the_make() -> None:
    page = shown("1-2")
    assert page["no_serial"] == "it says none; its port tells it from others"
    assert page["usb"] is None
    assert page["mode"] == {
        "format": "MJPG", "width": 1920, "height": 1080, "fps": 30.0, "needs_bps": None, "reason": None,
    }  # fmt: skip
    text = run("1-2", "--profile", "1080p60").stdout
    assert "silent since" in text
    assert "it does not list its modes" in text
    assert "MS2109 HDMI capture stick (kernel: sound/usb/quirks-table.h, MacroSilicon MS2109)" in text
    assert "from 1920x1080 on, it gives 30 frames per second, not the listed rate" in text
    assert "→  MJPG  1920x1080  at 30  is opened" in [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("serial", "reason"),
    [("20210623", "it says 20210623, as every one of its model does"), ("A1B2", "as another that is plugged in does")],
)
def test_why_a_serial_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, devices: Sequence[Device], serial: str, reason: str
) -> None:
    twin = msgspec.structs.replace(devices[2], shared_serial=serial)
    monkeypatch.setattr(command, "known_devices", lambda _: [twin])
    assert reason in str(shown(twin.id)["no_serial"])


@pytest.mark.usefixtures("devices")
def test_sound_of_no_camera_has_a_page_without_modes() -> None:
    page = shown("pulse:room")
    assert (page["mode"], page["runners_up"], page["usb"], page["partner"], page["no_serial"]) == (
        None, [], None, None, None,
    )  # fmt: skip
    assert "For the profile" not in run("pulse:room").stdout


@pytest.mark.usefixtures("devices")
@pytest.mark.parametrize("name", [SOUND.id, "hw:card=streamcam,dev=0"])
def test_the_name_of_a_sound_is_that_of_no_picture(name: str) -> None:
    assert shown(name)["device"]["id"] == SOUND.id
    assert run(name).stdout.startswith("Logitech StreamCam (sound), microphone\n")


@pytest.mark.usefixtures("devices")
def test_a_role_whose_device_is_not_there_says_why() -> None:
    gone = msgspec.structs.replace(OTHER, id="046d:0825:X", serial="X", port="1-9", name="Lectern camera")
    roles_store().change(lambda _: {"lectern": binding_of(gone, datetime(2026, 1, 1, tzinfo=UTC))})
    error = run("Lectern").exception
    assert isinstance(error, DeviceNotFound)
    assert error.message == "lectern (Lectern camera) is missing: it is not plugged in (it was in port 1-9)"


@pytest.mark.usefixtures("devices")
def test_a_name_that_nothing_answers_to_lists_all_there_is() -> None:
    error = run("lectern").exception
    assert isinstance(error, DeviceNotFound)
    assert error.message == "no connected device is called 'lectern'"
    assert all(device.id in error.hint for device in EVERYTHING)


@pytest.mark.usefixtures("devices")
def test_an_unknown_profile_is_wrong_usage() -> None:
    assert isinstance(run(CAMERA.id, "--profile", "8k").exception, UsageError)
