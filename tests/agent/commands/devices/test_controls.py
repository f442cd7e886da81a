"""`liput devices controls`: what a camera can be set to, set all or not at all, and kept."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.commands.devices import controls as command
from agent.devices import page
from config.errors import DeviceNotFound, LiputError
from devices.controls import presets
from devices.health.log_line import discard_line
from devices.model.device import Device, DeviceKind
from devices.roles.assignment import assign, roles_store
from tests.support.camera_controls import FakeCamera

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0", port="1-1")


class Desk:
    """A PC with one camera, and the command for it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.camera = FakeCamera()
        self.devices = [CAMERA]
        self.opened_to_set: list[bool] = []

    def __call__(self, node: str, name: str, *, to_set: bool) -> "Desk":
        assert (node, name) == ("/dev/video0", "Webcam")
        self.opened_to_set.append(to_set)
        return self

    def __enter__(self) -> FakeCamera:
        return self.camera

    def __exit__(self, *exc: object) -> None:
        pass

    def run(self, *words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(command.controls_command, [CAMERA.id, *words], standalone_mode=False)
        assert result.return_value == status, result.output
        return result

    def fail(self, *words: str) -> LiputError:
        error = CliRunner().invoke(command.controls_command, [CAMERA.id, *words]).exception
        assert isinstance(error, LiputError)
        return error

    @property
    def kept(self) -> dict[str, object]:
        found = presets.preset_store().read().get(CAMERA.id)
        return dict(found.controls) if found else {}

    @property
    def log(self) -> list[str]:
        files = sorted((self.state / "health").glob("*.jsonl"))
        lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [f"{line['level']} {line['device']} {line['reason']}" for line in lines]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Desk:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LIPUT_CONFIG", str(tmp_path / "liput.toml"))
    (tmp_path / "liput.toml").write_text("")
    desk = Desk(tmp_path / "state")
    monkeypatch.setattr(command, "ControlPanel", desk)
    monkeypatch.setattr(page, "list_devices", lambda: desk.devices)
    return desk


def rows(result: Result) -> dict[str, str]:
    return {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines()}


def test_the_table_says_value_range_default_and_why(desk: Desk) -> None:
    desk.run("focus_automatic_continuous=off", "brightness=9")
    desk.camera.set(desk.camera.controls()["brightness"], 10)
    shown = rows(desk.run())
    assert shown["Name"] == "Value Takes Note"
    assert shown["brightness"] == "10 from 0 to 255 kept: 9, default 128"
    assert shown["focus_automatic_continuous"] == "off on or off kept, default on"
    assert shown["white_balance_temperature"].endswith(" set by white_balance_automatic")
    assert shown["pan_absolute"] == "0 from -36000 to 36000 in steps of 3600"
    assert shown["power_line_frequency"] == "60 Hz one of Disabled, 50 Hz, 60 Hz"
    assert desk.opened_to_set == [True, False]


def test_values_are_set_kept_logged_and_what_changed_is_printed(desk: Desk) -> None:
    done = desk.run("focus_automatic_continuous=off", "focus_absolute=30", "power_line_frequency=50 Hz")
    assert done.stdout.splitlines() == [
        "focus_automatic_continuous: on -> off",
        "focus_absolute: 0 -> 30",
        "power_line_frequency: 60 Hz -> 50 Hz",
    ]
    assert done.stderr == "Kept: set again whenever Webcam is plugged in.\n"
    assert desk.kept == {"focus_automatic_continuous": False, "focus_absolute": 30, "power_line_frequency": 1}
    assert desk.log == [
        "info 046d:0825:A1 focus_automatic_continuous=off (was on)",
        "info 046d:0825:A1 focus_absolute=30 (was 0)",
        "info 046d:0825:A1 power_line_frequency=50 Hz (was 60 Hz)",
    ]
    assert "already" in desk.run("focus_absolute=30").stderr
    done = desk.run("zoom_absolute=200", "--no-keep")
    assert (desk.camera.values["zoom_absolute"], "zoom_absolute" in desk.kept, done.stderr) == (200, False, "")


def test_back_to_the_defaults(desk: Desk) -> None:
    desk.run("zoom_absolute=200", "brightness=9")
    done = desk.run("--reset", "zoom_absolute")
    assert (done.stdout, done.stderr) == ("zoom_absolute: 200 -> 100\n", "")
    assert desk.kept == {"brightness": 9}
    assert desk.run("--reset").stdout == "brightness: 9 -> 128\npower_line_frequency: 60 Hz -> 50 Hz\n"
    assert desk.kept == {}
    assert desk.log[-1] == "info 046d:0825:A1 power_line_frequency=50 Hz (was 60 Hz)"


def test_json_is_one_document_with_the_changes_and_all_controls(desk: Desk) -> None:
    document = json.loads(desk.run("power_line_frequency=50_hz", "--json").stdout)
    assert (document["device"], document["name"], document["node"]) == (CAMERA.id, "Webcam", "/dev/video0")
    assert document["changes"] == [
        {
            "name": "power_line_frequency", "before": 2, "after": 1, "before_text": "60 Hz", "after_text": "50 Hz",
            "problem": None,
        }
    ]  # fmt: skip
    controls = {control["name"]: control for control in document["controls"]}
    line, focus = controls["power_line_frequency"], controls["focus_absolute"]
    assert (line["kind"], line["value"], line["default"], line["kept"], line["note"]) == ("menu", 1, 2, 1, "kept")
    assert line["entries"] == {"0": "Disabled", "1": "50 Hz", "2": "60 Hz"}
    assert (focus["min"], focus["max"], focus["step"], focus["value"]) == (0, 250, 5, 0)
    assert (focus["inactive"], focus["governor"], focus["kept"]) == (True, "focus_automatic_continuous", None)
    assert json.loads(desk.run("--json").stdout)["changes"] == []


def test_a_camera_that_is_not_there_is_told_with_what_is_kept_for_it(desk: Desk) -> None:
    desk.run("zoom_absolute=200")
    desk.devices = []
    error = desk.fail()
    assert isinstance(error, DeviceNotFound)
    assert error.message == "Webcam (046d:0825:A1) is not plugged in"
    assert error.hint == "Kept, and set when it is plugged in: zoom_absolute=200"
    presets.forget_values(presets.preset_store(), CAMERA.id)
    assert "no connected device is called" in desk.fail().message


def test_a_camera_is_named_by_its_role_also_when_it_is_not_there(desk: Desk) -> None:
    assign(roles_store(), "podium", CAMERA, [CAMERA], now=datetime.now().astimezone(), record=discard_line)
    result = CliRunner().invoke(command.controls_command, ["podium", "zoom_absolute=200"], standalone_mode=False)
    assert (result.return_value, result.stdout) == (0, "zoom_absolute: 100 -> 200\n")
    desk.devices = []
    error = CliRunner().invoke(command.controls_command, ["podium"]).exception
    assert isinstance(error, DeviceNotFound)
    assert error.message.startswith("podium (Webcam) is missing")
    assert error.hint == "Kept, and set when it is plugged in: zoom_absolute=200"


def test_words_that_mean_nothing_are_refused(desk: Desk) -> None:
    assert desk.fail("brightness").message == "'brightness' is not NAME=VALUE"
    assert desk.fail("brightness=1", "brightness=2").message == "brightness stands there twice"
    done = CliRunner().invoke(command.controls_command, [CAMERA.id, "brightness=1", "--reset"])
    assert (done.exit_code, "goes" in done.stderr) == (2, True)
    assert desk.opened_to_set == []
