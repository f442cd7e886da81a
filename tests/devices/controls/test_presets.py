"""What is kept of a device's controls, and what is set again when it is plugged in."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from config.errors import ControlRefused, DeviceError, DeviceNotFound, StateError, UsageError
from config.state import StateFile
from devices.controls import presets
from devices.controls.control import ControlKind, ControlValue
from devices.controls.presets import (
    ControlPreset,
    PresetRestorer,
    Presets,
    apply_preset,
    forget_values,
    keep_values,
    preset_store,
    reset_controls,
    restore_preset,
    set_controls,
)
from devices.controls.setting import ControlChange
from devices.health.log_line import LogKind, LogLevel, discard_line
from devices.model.device import Device, DeviceKind
from tests.support.camera_controls import WEBCAM, FakeCamera, number
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

type Store = StateFile[Presets]
CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    return preset_store()


@pytest.fixture
def record() -> Recorded:
    return Recorded(SimulatedClock())


@pytest.fixture
def camera() -> FakeCamera:
    return FakeCamera()


def by_hand(camera: FakeCamera, store: Store | None, **texts: str) -> list[ControlChange]:
    return set_controls(camera, CAMERA, texts, record=discard_line, store=store)


def kept(store: Store) -> dict[str, ControlValue]:
    found = store.read().get(CAMERA.id)
    return found.controls if found else {}


# Keeping


def test_what_was_set_by_hand_is_kept_and_added_to(camera: FakeCamera, store: Store) -> None:
    by_hand(camera, store, brightness="9")
    by_hand(camera, store, zoom_absolute="100", brightness="10")
    by_hand(camera, None, pan_absolute="3600")
    assert kept(store) == {"brightness": 10, "zoom_absolute": 100}, "also what was so already"
    assert store.read()[CAMERA.id].name == "Webcam"


def test_that_the_automatic_mode_is_off_is_kept_with_what_it_governs(camera: FakeCamera, store: Store) -> None:
    by_hand(camera, None, focus_automatic_continuous="off")
    by_hand(camera, store, focus_absolute="30")
    assert kept(store) == {"focus_absolute": 30, "focus_automatic_continuous": False}
    camera.power_on()
    apply_preset(camera, kept(store), "leave")
    assert camera.values["focus_absolute"] == 30


def test_what_a_kept_automatic_mode_governs_is_kept_no_longer(camera: FakeCamera, store: Store) -> None:
    by_hand(camera, store, focus_automatic_continuous="off", focus_absolute="30", brightness="9")
    by_hand(camera, store, focus_automatic_continuous="on")
    assert kept(store) == {"focus_automatic_continuous": True, "brightness": 9}


def test_a_button_is_pressed_and_not_kept(store: Store) -> None:
    button = msgspec.structs.replace(number("push", (0, 0, 1), 0), kind=ControlKind.BUTTON, default=None)
    camera = FakeCamera(button)
    assert [str(one) for one in by_hand(camera, store, push="1")] == ["push=1"]
    assert (camera.set_so_far, store.read()) == (["push"], {})


def test_presets_are_of_one_device_and_forgetting_the_last_control_forgets_it(store: Store) -> None:
    controls = FakeCamera().controls()
    other = msgspec.structs.replace(CAMERA, id="046d:0825:B2")
    keep_values(store, CAMERA, controls, ["brightness", "zoom_absolute"])
    keep_values(store, other, controls, ["brightness"])
    forget_values(store, CAMERA.id, ["brightness"])
    assert kept(store) == {"zoom_absolute": 100}
    forget_values(store, CAMERA.id, ["zoom_absolute"])
    assert list(store.read()) == [other.id]
    forget_values(store, other.id)
    forget_values(store, "nobody")
    assert store.read() == {}


def test_changes_by_hand_are_lines_of_the_health_log(camera: FakeCamera, store: Store, record: Recorded) -> None:
    set_controls(camera, CAMERA, {"power_line_frequency": "50 Hz"}, record=record, store=store)
    (line,) = record.of(LogKind.CONTROL_CHANGED, CAMERA.id)
    assert (line.level, line.name, line.reason) == (LogLevel.INFO, "Webcam", "power_line_frequency=50 Hz (was 60 Hz)")
    assert line.detail == {"control": "power_line_frequency", "before": 2, "after": 1, "kept": True}


def test_nothing_is_set_that_cannot_be_kept(camera: FakeCamera, store: Store) -> None:
    store.path.write_text("{")
    with pytest.raises(StateError):
        by_hand(camera, store, brightness="9")
    assert camera.set_so_far == []


def test_nothing_is_kept_or_told_of_what_the_camera_refuses(camera: FakeCamera, store: Store, record: Recorded) -> None:
    camera.refused = "zoom_absolute"
    with pytest.raises(ControlRefused):
        set_controls(camera, CAMERA, {"brightness": "9", "zoom_absolute": "200"}, record=record, store=store)
    assert (store.read(), record.lines, camera.values["brightness"]) == ({}, [], 128)


# Setting back


def put_back(camera: FakeCamera, store: Store, name: str | None, line: str = "50 Hz") -> list[str]:
    changes = reset_controls(camera, CAMERA, name, power_line=line, record=discard_line, store=store)
    return [str(one) for one in changes if one.problem is None]


def test_everything_goes_back_to_what_it_is_without_a_preset(camera: FakeCamera, store: Store) -> None:
    by_hand(camera, store, focus_automatic_continuous="off", focus_absolute="30", brightness="9")
    done = put_back(camera, store, None)
    assert done == ["brightness=128", "power_line_frequency=50 Hz", "focus_absolute=0", "focus_automatic_continuous=on"]
    assert store.read() == {}


def test_what_an_automatic_mode_sets_now_is_left_to_it(camera: FakeCamera, store: Store) -> None:
    camera.values["focus_absolute"] = 30
    assert reset_controls(camera, CAMERA, "focus_absolute", power_line="leave", record=discard_line, store=store) == []
    assert apply_preset(camera, {"focus_absolute": 30}, "leave") == []
    assert camera.set_so_far == []


def test_the_power_line_goes_back_to_the_settings_or_to_the_cameras_own(camera: FakeCamera, store: Store) -> None:
    by_hand(camera, store, zoom_absolute="200", power_line_frequency="Disabled")
    assert put_back(camera, store, "power_line_frequency") == ["power_line_frequency=50 Hz"]
    assert put_back(camera, store, "power_line_frequency", "leave") == ["power_line_frequency=60 Hz"]
    assert kept(store) == {"zoom_absolute": 200}, "the others stay"
    with pytest.raises(UsageError, match='no control "brightnes"'):
        put_back(camera, store, "brightnes")
    assert apply_preset(FakeCamera(WEBCAM[0]), {}, "50 Hz") == [], "it has none"


# Setting again after a plug


@pytest.mark.parametrize(
    ("kept", "line", "value"),
    [({}, "50 Hz", 1), ({}, "off", 0), ({}, "leave", 2), ({"power_line_frequency": 0}, "50 Hz", 0)],
)
def test_the_settings_power_line_counts_without_a_preset(kept: dict[str, ControlValue], line: str, value: int) -> None:
    camera = FakeCamera()
    apply_preset(camera, kept, line)
    assert camera.values["power_line_frequency"] == value


def test_each_that_cannot_be_set_is_told_and_the_others_are_set(camera: FakeCamera) -> None:
    camera.refused = "pan_absolute"
    wanted: dict[str, ControlValue] = {
        "brightness": 300, "led": 1, "pan_absolute": 3600, "focus_absolute": 30, "zoom_absolute": 200,
        "power_line_frequency": "50 Hz",
    }  # fmt: skip
    changes = apply_preset(camera, wanted, "50 Hz")
    assert {change.name: change.problem for change in changes if change.problem} == {
        "brightness": "it must be from 0 to 255",
        "led": "it has no such control any more",
        "pan_absolute": "the camera refuses pan_absolute=3600: it says no",
        "focus_absolute": "focus_automatic_continuous does not leave it to people",
        "power_line_frequency": "it must be one of Disabled, 50 Hz, 60 Hz",
    }
    assert camera.set_so_far == ["zoom_absolute"]


def applied(
    monkeypatch: pytest.MonkeyPatch, record: Recorded, camera: FakeCamera, problem: DeviceError | None = None
) -> list[str]:
    @contextmanager
    def panel(node: str, name: str, *, to_set: bool) -> Iterator[FakeCamera]:
        assert (node, name, to_set) == ("/dev/video0", "Webcam", True)
        if problem:
            raise problem
        yield camera

    monkeypatch.setattr(presets, "ControlPanel", panel)
    return [str(one) for one in restore_preset(CAMERA, power_line="50 Hz", record=record)]


def test_what_was_set_is_one_line(monkeypatch: pytest.MonkeyPatch, record: Recorded, store: Store) -> None:
    camera = FakeCamera()
    store.change(lambda all_: all_ | {CAMERA.id: ControlPreset("Webcam", {"brightness": 9, "zoom_absolute": 900})})
    done = applied(monkeypatch, record, camera)
    assert sorted(done) == ["brightness=9", "power_line_frequency=50 Hz", "zoom_absolute=900"]
    told, warning = record.of(LogKind.CONTROLS_APPLIED, CAMERA.id)
    assert (told.level, told.reason) == (LogLevel.INFO, "power_line_frequency=50 Hz, brightness=9")
    assert told.detail == {"controls": {"power_line_frequency": 1, "brightness": 9}}
    assert (warning.level, warning.detail) == (LogLevel.WARN, {"control": "zoom_absolute"})
    assert warning.reason == "zoom_absolute=900 could not be set: it must be from 100 to 500"
    assert applied(monkeypatch, record, camera) == ["zoom_absolute=900"]
    assert len(record.of(LogKind.CONTROLS_APPLIED)) == 3


def test_an_unreadable_preset_is_a_warning(monkeypatch: pytest.MonkeyPatch, record: Recorded, store: Store) -> None:
    store.path.write_text("{")
    assert applied(monkeypatch, record, FakeCamera()) == ["power_line_frequency=50 Hz"]
    warning, _ = record.lines
    assert warning.level is LogLevel.WARN
    assert warning.reason.startswith("its preset could not be read: ")


@pytest.mark.usefixtures("store")
def test_a_camera_that_does_not_open_is_a_warning(monkeypatch: pytest.MonkeyPatch, record: Recorded) -> None:
    camera = FakeCamera()
    denied = DeviceError("this user may not open it")
    assert applied(monkeypatch, record, camera, denied) == []
    (line,) = record.lines
    assert (line.level, line.reason) == (LogLevel.WARN, "its controls could not be set: this user may not open it")
    assert applied(monkeypatch, record, camera, DeviceNotFound("gone")) == []
    camera.gone = True
    assert applied(monkeypatch, record, camera) == []
    assert len(record.lines) == 1


OTHER = Device(id="046d:0825:B2", kind=DeviceKind.CAMERA, name="Other", node="/dev/video2")
SOUND = Device(id="046d:0825:A1+sound", kind=DeviceKind.MICROPHONE, name="Webcam (sound)", alsa="hw:CARD=W,DEV=0")


def moved(node: str) -> Device:
    return msgspec.structs.replace(CAMERA, node=node)


class Restoring:
    """Restores presets; the first node hangs until it is let go, and then fails."""

    def __init__(self) -> None:
        self.begun, self.hangs = threading.Event(), threading.Event()
        self.applied: list[str | None] = []

    def __call__(self, device: Device) -> None:
        if device.node == CAMERA.node:
            self.begun.set()
            self.hangs.wait(30)
        self.applied.append(device.node)
        if device.node == CAMERA.node:
            raise ValueError("it is reported, and the next plug is set")


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(args.exc_value))
    return found


def test_a_camera_that_hangs_holds_up_no_other_and_is_set_as_it_was_last_plugged_in(reported: list[object]) -> None:
    apply = Restoring()
    keeper = PresetRestorer(apply)
    keeper.apply_soon(CAMERA)
    assert apply.begun.wait(30)
    for device in (SOUND, OTHER, moved("/dev/video4"), moved("/dev/video6")):
        keeper.apply_soon(device)
    wait_for(lambda: apply.applied)
    assert apply.applied == ["/dev/video2"]
    apply.hangs.set()
    wait_for(lambda: len(apply.applied) == 3)
    assert apply.applied == ["/dev/video2", "/dev/video0", "/dev/video6"]
    assert [type(error) for error in reported] == [ValueError]


@pytest.mark.usefixtures("reported")
def test_nothing_is_set_once_it_is_over() -> None:
    apply = Restoring()
    keeper = PresetRestorer(apply)
    keeper.apply_soon(CAMERA)
    assert apply.begun.wait(30)
    keeper.apply_soon(moved("/dev/video4"))
    keeper.stop()
    keeper.apply_soon(OTHER)
    apply.hangs.set()
    wait_for(lambda: not any(thread.name.startswith("presets-") for thread in threading.enumerate()))
    assert apply.applied == ["/dev/video0"]
