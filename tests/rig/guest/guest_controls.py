"""Controls of real drivers: read, set, refused and set again after a plug; and pictures that come as H.264."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from capture.source import Frame
from capture.sources.v4l2 import V4l2Source
from config.errors import DeviceNotFound, MediaError, UsageError
from devices.controls import presets
from devices.controls.control import ControlKind, Controls
from devices.controls.panel import ControlPanel
from devices.controls.presets import set_controls
from devices.controls.setting import parse_values
from devices.health.log_line import LogKind, LogLevel, discard_line
from devices.host.clock import SystemClock
from devices.model.device import Device, Health
from devices.monitor.snapshot import list_devices
from tests.rig import pictures
from tests.rig.found import device_of
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT
from tests.support import command, web
from tests.support.camera_controls import CONTRACT, Bench
from tests.support.health import Recorded
from tests.support.waiting import wait_for

RIG_NAMES = {
    "pan_absolute": "pan_tilt",
    "zoom_absolute": "zoom",
    "focus_absolute": "focus",
    "white_balance_automatic": "white_balance_temperature_auto",
}


@pytest.fixture(autouse=True)
def _own_presets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))


@pytest.fixture
def record() -> Recorded:
    return Recorded(SystemClock())


def panel_of(rig: RigDevice) -> ControlPanel:
    return ControlPanel(rig.wait_for_video(), "Rig Webcam", to_set=True)


class RigBench:
    """The rig's webcam, as the contract wants it."""

    def __init__(self, rig: RigDevice, panel: ControlPanel) -> None:
        self.panel = panel
        self._rig = rig

    def refuse(self, name: str) -> None:
        self._rig.set("controls.stalls", name)

    def held(self, name: str) -> str:
        return self._rig.get(f"controls.{RIG_NAMES.get(name, name)}").split(",")[0]


@pytest.mark.parametrize("promise", CONTRACT, ids=lambda promise: promise.__name__)
def test_uvcvideo_keeps_the_contract(camera: RigDevice, promise: Callable[[Bench], None]) -> None:
    camera.plug(0)
    with panel_of(camera) as panel:
        promise(RigBench(camera, panel))


REFUSALS = {
    "brightness=256": "brightness must be from 0 to 255",
    "focus_absolute=251": "focus_absolute must be from 0 to 250 in steps of 5",
    "power_line_frequency=70 Hz": "power_line_frequency must be one of Disabled, 50 Hz, 60 Hz",
    "brightnes=1": 'there is no control "brightnes"; did you mean "brightness"?',
    "focus_absolute=30": "focus_absolute is set by the camera itself while focus_automatic_continuous is on",
    "exposure_time_absolute=9": "exposure_time_absolute is set by the camera itself while auto_exposure is Aperture",
}


def test_what_cannot_be_set_is_refused_before_the_camera_is_asked(camera: RigDevice) -> None:
    camera.plug(0)
    device = device_of(camera)
    with panel_of(camera) as panel:
        controls = panel.controls()
        before = camera.get("controls.times_set")  # uvcvideo has tried the power line
        for text, said in REFUSALS.items():
            name, _, value = text.partition("=")
            with pytest.raises(UsageError) as caught:
                set_controls(panel, device, {"zoom_absolute": "200", name: value}, record=discard_line, store=None)
            assert caught.value.message.startswith(said)
        assert camera.get("controls.times_set") == before
        assert panel.controls() == controls


def test_a_control_that_the_camera_does_not_answer_for_hides_no_other(camera: RigDevice) -> None:
    camera.set("controls.unreadable", "contrast")
    camera.plug(0)
    with panel_of(camera) as panel:
        names = set(panel.controls())
    assert "contrast" not in names
    assert {"brightness", "saturation", "power_line_frequency", "zoom_absolute"} <= names
    assert len(names) == 14


def plugged(rig: RigDevice, record: Recorded) -> tuple[float, list[str]]:
    """Plug it in and apply what is to be; return how long after its node was there that was done, and what was set."""
    rig.plug(0)
    rig.wait_for_video()
    began = time.monotonic()
    changes = presets.restore_preset(device_of(rig), power_line="50 Hz", record=record)
    return time.monotonic() - began, [str(change) for change in changes]


def test_50_hz_and_the_preset_are_set_again_after_every_plug(camera: RigDevice, record: Recorded) -> None:
    took, changes = plugged(camera, record)
    assert changes == ["power_line_frequency=50 Hz"]
    assert camera.get("controls.power_line_frequency") == "1"
    device, store = device_of(camera), presets.preset_store()
    with panel_of(camera) as panel:
        texts = {"focus_absolute": "30", "focus_automatic_continuous": "off", "brightness": "77"}
        set_controls(panel, device, texts, record=record, store=store)
    camera.unplug()
    again, changes = plugged(camera, record)  # it has forgotten them with the power
    assert sorted(changes) == [
        "brightness=77", "focus_absolute=30", "focus_automatic_continuous=off", "power_line_frequency=50 Hz",
    ]  # fmt: skip
    held = [camera.get(f"controls.{name}") for name in ("brightness", "focus", "focus_auto", "power_line_frequency")]
    assert held == ["77", "30", "0", "1"]
    assert max(took, again) < 2.0
    Path(os.environ["ARTIFACTS"], "controls-applied-s.json").write_text(json.dumps([round(took, 3), round(again, 3)]))
    line = record.of(LogKind.CONTROLS_APPLIED, device.id)[-1]
    assert (line.level, line.name) == (LogLevel.INFO, "Rig Webcam")
    assert sorted(line.reason.split(", ")) == sorted(changes)
    assert device_of(camera).health == Health()
    assert line.detail["controls"] == {
        "brightness": 77, "focus_absolute": 30, "focus_automatic_continuous": False, "power_line_frequency": 1,
    }  # fmt: skip
    assert presets.restore_preset(device, power_line="50 Hz", record=record) == []
    assert len(record.of(LogKind.CONTROLS_APPLIED)) == 2


def test_what_the_camera_refuses_is_told_and_the_rest_is_set(camera: RigDevice, record: Recorded) -> None:
    camera.plug(0)
    device, store = device_of(camera), presets.preset_store()
    with panel_of(camera) as panel:
        set_controls(panel, device, {"brightness": "77", "zoom_absolute": "200"}, record=record, store=store)
    camera.unplug()
    camera.set("controls.stalls", "brightness")
    _, changes = plugged(camera, record)
    assert sorted(changes) == ["brightness=77", "power_line_frequency=50 Hz", "zoom_absolute=200"]
    (warning,) = [line for line in record.lines if line.level is LogLevel.WARN]
    assert (warning.device, warning.kind) == (device.id, LogKind.CONTROLS_APPLIED)
    assert f"Rig Webcam ({device.node}) refuses brightness=77: the camera says no" in warning.reason
    assert (camera.get("controls.brightness"), camera.get("controls.zoom")) == ("128", "200")


def test_a_camera_that_hangs_or_has_gone_is_told_and_not_waited_for(camera: RigDevice, record: Recorded) -> None:
    camera.plug(0)
    device = device_of(camera)
    camera.set("device.silent", "true")
    began = time.monotonic()
    assert presets.restore_preset(device, power_line="50 Hz", record=record) == []
    assert time.monotonic() - began < 6.5  # one question of the kernel's, which takes it 5 s
    (line,) = record.lines
    assert (line.level, "does not answer" in line.reason) == (LogLevel.WARN, True)
    camera.set("device.silent", "false")
    camera.unplug()
    assert presets.restore_preset(device, power_line="50 Hz", record=record) == []
    assert len(record.lines) == 1
    with pytest.raises(DeviceNotFound):
        ControlPanel(device.node or "", device.name)


def liput(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("liput")
    return subprocess.run([program, "devices", "controls", *words], capture_output=True, text=True, check=False)


def test_the_command_sets_a_camera_that_another_process_streams_from(camera: RigDevice) -> None:
    camera.plug(0)
    device = device_of(camera)
    words = ["v4l2-ctl", "-d", device.node or "", "--stream-mmap", "--stream-to=/dev/null", "--verbose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as holder:
        assert holder.stdout is not None
        assert any("cap dqbuf" in line for line in holder.stdout)
        done = liput(device.id, "power_line_frequency=50_hz", "brightness=77", "--json")
        sent = int(camera.get("video.frames_sent"))
        assert holder.poll() is None
        wait_for(lambda: int(camera.get("video.frames_sent")) > sent + 3)
        holder.kill()
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [(change["name"], change["after"]) for change in document["changes"]] == [
        ("power_line_frequency", 1), ("brightness", 77),
    ]  # fmt: skip
    assert (camera.get("controls.power_line_frequency"), camera.get("controls.brightness")) == ("1", "77")
    (log,) = Path(os.environ["LIPUT_STATE"], "health").glob("*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["reason"] for line in lines if line["kind"] == "control-changed"] == [
        "power_line_frequency=50 Hz (was 60 Hz)", "brightness=77 (was 128)",
    ]  # fmt: skip


def test_the_page_tries_keeps_and_resets_a_control_of_a_camera_that_is_being_recorded(
    camera: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    device = device_of(camera)
    at = f"/api/v1/devices/{device.id}/controls"
    words = ["record", "--title", "Rig", "--video", device.id, "--audio", "none", "--profile", "240p15"]
    words += ["--archive", f"{tmp_path}/arsip"]
    settings = tmp_path / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(ARCHIVE + NO_REPORT)
    with web.serving(config_file=settings) as page, command.running(tmp_path, *words, "--json") as session:
        session.until("event", kind="session-live")
        for value, keep, kept in (("200", False, {}), ("210", True, {"brightness": 210})):
            answer = page.ask("PATCH", at, {"values": {"brightness": value}, "keep": keep})
            assert (answer.status, answer.json["changes"][0]["after"]) == (200, int(value))
            assert camera.get("controls.brightness") == value
            found = presets.preset_store().read().get(device.id)
            assert (found.controls if found else {}) == kept
        assert page.ask("DELETE", f"{at}/brightness").json["changes"][0]["after"] == 128
        assert (camera.get("controls.brightness"), presets.preset_store().read()) == ("128", {})
        camera.set("controls.stalls", "brightness")
        refused = page.ask("PATCH", at, {"values": {"brightness": "9"}})
        assert (refused.status, "refuses brightness=9" in refused.json["message"]) == (409, True)
        sent = int(camera.get("video.frames_sent"))
        wait_for(lambda: int(camera.get("video.frames_sent")) > sent + 15, what="the recording to go on")
        session.signal(signal.SIGINT)
        assert session.until("result")["state"] == "sealed"


# Kinds that uvcvideo does not have


@contextmanager
def vivid() -> Iterator[ControlPanel]:
    words = ["modprobe", "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", "input_types=0"]
    subprocess.run(words, check=True)
    try:
        found = wait_for(lambda: [d for d in list_devices() if d.id == "platform-vivid.0" and d.modes])
        with ControlPanel(found[0].node or "", "vivid", to_set=True) as panel:
            yield panel
    finally:
        subprocess.run(["modprobe", "-r", "vivid"], check=True)


def set_text(panel: ControlPanel, name: str, text: str) -> Controls:
    control = panel.controls()[name]
    panel.set(control, control.read(text))
    return panel.controls()


def test_controls_of_every_kind() -> None:
    with vivid() as panel:
        controls = panel.controls()
        kinds = {control.kind for control in controls.values()}
        assert kinds == set(ControlKind)
        assert controls["string"].value == "  "
        assert set_text(panel, "string", "abc")["string"].value == "abc"
        assert set_text(panel, "bitmask", "0x80002000")["bitmask"].value == 0x80002000
        assert set_text(panel, "integer_64_bits", "-5000000000")["integer_64_bits"].value == -5_000_000_000
        assert set_text(panel, "integer_32_bits", "-5")["integer_32_bits"].value == -5
        menu = controls["integer_menu"]
        text = list(menu.entries.values())[-1]
        assert menu.show(set_text(panel, "integer_menu", text)["integer_menu"].value) == text
        assert controls["button"].value is None
        assert panel.set(controls["button"], 1) is not None
        read_only = [control.name for control in controls.values() if control.read_only]
        assert read_only
        with pytest.raises(UsageError, match="can only be read"):
            parse_values(controls, {read_only[0]: "1"})
        with pytest.raises(UsageError, match="gain is set by the camera itself while gain_automatic is on"):
            parse_values(controls, {"gain": "10"})
        assert not set_text(panel, "gain_automatic", "off")["gain"].inactive


# H.264


@pytest.fixture
def h264_camera() -> Iterator[RigDevice]:
    with RigDevice("h264-camera", serial="H264A") as device:
        yield device


def frames_of(source: V4l2Source, count: int) -> list[Frame]:
    frames: list[Frame] = []
    deadline = time.monotonic() + 20
    while len(frames) < count:
        assert time.monotonic() < deadline
        frame = source.read(0.5)
        frames += [frame] if frame is not None else []
    return frames


def number_in(source: V4l2Source, frame: Frame) -> int:
    return pictures.number_of(source.decode(frame).to_ndarray(format="gray").astype(np.uint8, copy=False))


def test_h264_pictures_come_in_order_from_a_camera_that_was_prepared(h264_camera: RigDevice, record: Recorded) -> None:
    h264_camera.plug(0)

    def prepare(device: Device) -> None:
        presets.restore_preset(device, power_line="50 Hz", record=record)

    source = V4l2Source(device_of(h264_camera), width=320, height=240, rate=15, prepare=prepare)
    with closing(source):
        opened = source.open()
        assert source.mode is not None
        assert source.mode.mode.format == "H264"
        assert (opened.width, opened.height, float(opened.rate)) == (320, 240, 15.0)
        assert h264_camera.get("controls.power_line_frequency") == "1"
        frames = frames_of(source, 24)
        frames += frames_of(source, 1)
        age_s = time.monotonic() - frames[-1].timestamp_ns / 1e9
        numbers = [number_in(source, frame) for frame in frames]
    assert {(after - before) % pictures.NUMBERS for before, after in itertools.pairwise(numbers)} == {1}
    assert source.stamps.is_monotonic
    assert age_s < 0.05  # not held back until the next one has come
    assert frames[-1].timestamp_ns - frames[0].timestamp_ns == pytest.approx(24 / 15 * 1e9, rel=0.1)


def test_h264_that_begins_between_two_keyframes_is_joined_at_the_next(h264_camera: RigDevice) -> None:
    h264_camera.plug(0)
    h264_camera.set("video.first", 5)
    with closing(V4l2Source(device_of(h264_camera), width=320, height=240, rate=15)) as source:
        source.open()
        frames = frames_of(source, 20)
        decoded: list[int] = []
        for frame in frames:
            try:
                decoded.append(number_in(source, frame))
            except MediaError:
                assert not decoded
    assert decoded[0] == pictures.KEYFRAME_EVERY
    assert decoded == list(range(pictures.KEYFRAME_EVERY, pictures.KEYFRAME_EVERY + len(decoded)))
    assert len(decoded) >= 5
