"""Presets are applied after every enumeration; a camera that hangs holds up nobody but itself."""

import threading

import msgspec
import pytest

from devices.controls.presets import PresetKeeper
from devices.model.device import Device, DeviceKind
from tests.support.waiting import wait_for

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0")
OTHER = Device(id="046d:0825:B2", kind=DeviceKind.CAMERA, name="Other", node="/dev/video2")
SOUND = Device(id="046d:0825:A1+sound", kind=DeviceKind.MICROPHONE, name="Webcam (sound)", alsa="hw:CARD=W,DEV=0")


def moved(node: str) -> Device:
    return msgspec.structs.replace(CAMERA, node=node)


def test_each_enumeration_of_a_camera_is_one_setting_and_sound_is_none() -> None:
    applied: list[str | None] = []
    keeper = PresetKeeper(lambda device: applied.append(device.node))
    for device in (CAMERA, SOUND, OTHER):
        keeper.enumerated(device)
    wait_for(lambda: sorted(map(str, applied)) == ["/dev/video0", "/dev/video2"])
    wait_for(lambda: not keeper._busy)
    keeper.enumerated(moved("/dev/video0"))
    wait_for(lambda: len(applied) == 3)
    assert applied[2] == "/dev/video0"


def test_a_camera_that_hangs_holds_up_no_other_and_is_set_as_it_was_last_plugged_in() -> None:
    hangs = threading.Event()
    applied: list[str | None] = []

    def apply(device: Device) -> None:
        if device.node == "/dev/video0":
            hangs.wait(30)
        applied.append(device.node)

    keeper = PresetKeeper(apply)
    keeper.enumerated(CAMERA)
    wait_for(lambda: not keeper._waiting)
    for device in (OTHER, moved("/dev/video4"), moved("/dev/video6")):
        keeper.enumerated(device)
    wait_for(lambda: applied)
    assert applied == ["/dev/video2"]
    hangs.set()
    wait_for(lambda: len(applied) == 3)
    assert applied == ["/dev/video2", "/dev/video0", "/dev/video6"]


def test_a_setting_that_fails_is_reported_and_the_next_plug_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    applied: list[str | None] = []

    def apply(device: Device) -> None:
        applied.append(device.node)
        raise ValueError("no such thing")

    keeper = PresetKeeper(apply)
    for _ in range(2):
        keeper.enumerated(CAMERA)
        wait_for(lambda: not keeper._busy)
    assert applied == ["/dev/video0", "/dev/video0"]
    assert [str(error) for error in reported] == ["no such thing"] * 2


def test_nothing_is_set_once_it_is_over() -> None:
    hangs = threading.Event()
    applied: list[str | None] = []

    def apply(device: Device) -> None:
        hangs.wait(30)
        applied.append(device.node)

    keeper = PresetKeeper(apply)
    keeper.enumerated(CAMERA)
    wait_for(lambda: not keeper._waiting)
    keeper.enumerated(moved("/dev/video4"))
    keeper.stop()
    keeper.enumerated(OTHER)
    hangs.set()
    wait_for(lambda: not keeper._busy)
    assert applied == ["/dev/video0"]
