"""Controls of real drivers: read, set, refused and set again after a plug."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import UsageError
from devices.controls import presets
from devices.controls.control import ControlKind
from devices.controls.panel import ControlPanel
from devices.controls.presets import set_controls
from devices.controls.setting import parse_values
from devices.health.log_line import LogKind
from devices.host.clock import SystemClock
from devices.model.device import Device
from tests.rig.rig import CAMERA, RigDevice, plugged, streaming, vivid
from tests.support.camera_controls import CONTRACT, Bench
from tests.support.health import Recorded
from tests.support.waiting import wait_for

RIG_NAMES = {
    "pan_absolute": "pan_tilt",
    "zoom_absolute": "zoom",
    "focus_absolute": "focus",
    "white_balance_automatic": "white_balance_temperature_auto",
}


class RigBench:
    """The rig's webcam, as the contract wants it."""

    def __init__(self, rig: RigDevice) -> None:
        self.panel = ControlPanel(rig.wait_for_video(), "Rig Webcam", to_set=True)
        self._rig = rig

    def refuse(self, name: str) -> None:
        self._rig.set("controls.stalls", name)

    def held(self, name: str) -> str:
        return self._rig.get(f"controls.{RIG_NAMES.get(name, name)}").split(",")[0]


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_uvcvideo_keeps_the_contract(camera: RigDevice, promise: Callable[[Bench], None]) -> None:
    camera.plug(0)
    bench = RigBench(camera)
    with bench.panel:
        promise(bench)


def test_a_control_that_the_camera_does_not_answer_for_hides_no_other(camera: RigDevice) -> None:
    camera.set("controls.unreadable", "contrast")
    device = plugged(camera, 0, CAMERA)
    with ControlPanel(device.node or "", device.name) as panel:
        names = set(panel.controls())
    assert "contrast" not in names
    assert {"brightness", "saturation", "power_line_frequency", "zoom_absolute"} <= names
    assert len(names) == 14


def test_50_hz_and_the_preset_are_set_again_after_every_plug(camera: RigDevice) -> None:
    record = Recorded(SystemClock())
    device = plugged(camera, 0, CAMERA)
    assert _restored(device, record) == ["power_line_frequency=50 Hz"]
    assert camera.get("controls.power_line_frequency") == "1"
    texts = {"focus_absolute": "30", "focus_automatic_continuous": "off", "brightness": "77"}
    with ControlPanel(device.node or "", device.name, to_set=True) as panel:
        set_controls(panel, device, texts, record=record, store=presets.preset_store())
    camera.unplug()  # it forgets them with the power
    device = plugged(camera, 0, CAMERA)
    changes = _restored(device, record)
    assert changes == [
        "brightness=77", "focus_absolute=30", "focus_automatic_continuous=off", "power_line_frequency=50 Hz",
    ]  # fmt: skip
    held = [camera.get(f"controls.{name}") for name in ("brightness", "focus", "focus_auto", "power_line_frequency")]
    assert held == ["77", "30", "0", "1"]
    line = record.of(LogKind.CONTROLS_APPLIED, device.id)[-1]
    assert sorted(line.reason.split(", ")) == changes
    assert _restored(device, record) == []


def _restored(device: Device, record: Recorded) -> list[str]:
    """Apply what is to be, and return what was set."""
    began = time.monotonic()
    changes = presets.restore_preset(device, power_line="50 Hz", record=record)
    assert time.monotonic() - began < 2.0
    return sorted(map(str, changes))


def test_the_command_sets_a_camera_that_another_process_streams_from(camera: RigDevice) -> None:
    device = plugged(camera, 0, CAMERA)
    liput = str(Path(sys.executable).with_name("liput"))
    words = [liput, "devices", "controls", device.id, "power_line_frequency=50_hz", "brightness=77", "--json"]
    with streaming(device.node or "") as holder:
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        sent = int(camera.get("video.frames_sent"))
        assert holder.poll() is None
        wait_for(lambda: int(camera.get("video.frames_sent")) > sent + 3)
    assert [(change["name"], change["after"]) for change in json.loads(done.stdout)["changes"]] == [
        ("power_line_frequency", 1), ("brightness", 77),
    ]  # fmt: skip
    assert (camera.get("controls.power_line_frequency"), camera.get("controls.brightness")) == ("1", "77")


def test_controls_of_every_kind() -> None:
    """Some of them uvcvideo does not have."""
    with vivid("input_types=0") as device, ControlPanel(device.node or "", "vivid", to_set=True) as panel:
        controls = panel.controls()
        assert {control.kind for control in controls.values()} == set(ControlKind)
        menu = controls["integer_menu"]
        for name, text, value in (
            ("string", "abc", "abc"),
            ("bitmask", "0x80002000", 0x80002000),
            ("integer_64_bits", "-5000000000", -5_000_000_000),
            ("integer_32_bits", "-5", -5),
            ("integer_menu", list(menu.entries.values())[-1], list(menu.entries)[-1]),
        ):
            panel.set(controls[name], controls[name].read(text))
            assert panel.controls()[name].value == value
        assert controls["button"].value is None
        assert panel.set(controls["button"], 1) is not None
        read_only = next(control.name for control in controls.values() if control.read_only)
        with pytest.raises(UsageError, match="can only be read"):
            parse_values(controls, {read_only: "1"})
        with pytest.raises(UsageError, match="gain is set by the camera itself while gain_automatic is on"):
            parse_values(controls, {"gain": "10"})
        panel.set(controls["gain_automatic"], False)
        assert not panel.controls()["gain"].inactive
