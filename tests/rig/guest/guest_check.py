"""`liput check` with real drivers and real disks: what is wrong with a device or a disk is told for its own reason."""

import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from agent.checks.check import CheckResult
from agent.checks.kinds import equipment, storage
from config.settings.schema import ArchiveSettings as ArchiveSettings
from config.settings.schema import Profile, Settings
from config.settings.schema import StorageSettings as StorageSettings
from devices.controls.presets import ControlPreset, preset_store
from devices.health.log_line import discard_line
from devices.host.clock import SystemClock
from devices.kernel.udev import read_udev_devices as list_plugged
from devices.model.device import Device
from devices.monitor.holders import holders
from devices.monitor.snapshot import list_devices, nodes_in_use, nodes_open_elsewhere
from devices.roles.assignment import assign, roles_store
from recorder.disk.archive_folder import MountMemory
from recorder.disk.forecast import measure_write_bps
from recorder.session.request import SessionRequest
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE
from tests.support import command, disks
from tests.support.disks import MappedDisk
from tests.support.processes import be_powerless_root, confined
from tests.support.situations import situation
from tests.support.waiting import wait_for

CAMERA, STICK, CAM_LINK = "046d:0825:CAM0001", "534d:2109@1-2", "0fd9:0066:LINK1"
NOBODY = 65534
SIZE = 64_000_000


@pytest.fixture(autouse=True)
def _system_alsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sound children read the system's ALSA configuration, whatever other tests use."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)


def listed(*ids: str) -> list[Device]:
    """Return what is plugged in, once these are."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        devices = list_devices()
        if set(ids) <= {device.id for device in devices}:
            return devices
        time.sleep(0.05)
    raise TimeoutError(f"{ids} are not listed: {list_devices()}")


def give(role: str, device_id: str) -> Device:
    """Give a role to a device that is plugged in."""
    devices = listed(device_id)
    device = next(device for device in devices if device.id == device_id)
    assign(roles_store(), role, device, devices, now=SystemClock().now(), record=discard_line)
    return device


def checked(*videos: str, audios: tuple[str, ...] = ("none",), profile: str = "240p15") -> dict[str, CheckResult]:
    """Return what is found of the devices of a session, by the name of each."""
    asked = SessionRequest(title="Rig", videos=videos, audios=audios, profile=profile)
    results = list(equipment.look(situation(asked, devices=list_devices())))
    assert len({result.name for result in results}) == len(results), results
    return {result.name.removeprefix("devices: "): result for result in results}


@contextmanager
def using(node: str, *words: str) -> Iterator[int]:
    """Let a program that this one has not started have `node` open until the block ends; yield its number."""
    subprocess.run(["setsid", "--fork", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    wait_for(lambda: node in nodes_in_use(list_plugged(), nodes_open_elsewhere(list_plugged())))
    (user,) = holders(node)
    try:
        yield user.pid
    finally:
        os.kill(user.pid, signal.SIGKILL)
        wait_for(lambda: not holders(node))


# Right


def test_the_right_devices_are_well_and_set_as_they_are_to_be(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    give("podium", CAMERA)
    preset_store().change(lambda _: {CAMERA: ControlPreset("Rig Webcam", {"brightness": 77})})
    listed(STICK, f"{STICK}+sound")
    found = checked("podium", STICK, audios=(STICK,))
    assert {name: result.code for name, result in found.items()} == {
        "podium": "ok", "MS2109 HDMI capture stick": "ok", "MS2109 HDMI capture stick (sound)": "ok",
    }  # fmt: skip
    figures = {"link_bps": 480_000_000, "width_pixels": 320, "height_pixels": 240, "rate_fps": 15.0}
    assert found["podium"].measured == figures
    assert found["podium"].reason.english == "Rig Webcam: 320x240, 15 fps, USB 480 Mbit/s"
    assert camera.get("controls.brightness").startswith("77")
    assert camera.get("controls.power_line_frequency").startswith("1")


# Wrong


def test_what_is_missing_or_another_one_is_told(camera: RigDevice) -> None:
    camera.plug(0)
    give("podium", CAMERA)
    camera.unplug()
    wait_for(lambda: not list_devices())
    assert checked("podium")["podium"].code == "missing"
    with RigDevice("webcam", serial="CAM0002") as other:
        other.plug(0)
        listed("046d:0825:CAM0002")
        replaced = checked("podium")["podium"]
    assert replaced.code == "replaced"
    assert replaced.advice.english.endswith("liput devices assign podium 046d:0825:CAM0002")


def test_a_stick_in_another_port_is_told_with_both_ports(stick: RigDevice) -> None:
    stick.plug(1)
    give("slides", STICK)
    stick.unplug()
    wait_for(lambda: not list_devices())
    stick.plug(4)
    listed("534d:2109@1-5")
    moved = checked("slides")["slides"]
    assert moved.code == "moved"
    assert ("port 1-2" in moved.reason.english, "port 1-5" in moved.reason.english) == (True, True)


def test_a_usb_3_card_in_a_usb_2_port_is_in_the_wrong_port() -> None:
    with RigDevice("cam-link", serial="LINK1") as card:
        card.plug(0)
        listed(CAM_LINK)
        found = checked(CAM_LINK)["Cam Link 4K"]
    assert (found.code, found.measured) == ("slow-port", {"link_bps": 480_000_000})


def test_a_mode_that_the_camera_does_not_have_is_told(camera: RigDevice) -> None:
    camera.plug(0)
    listed(CAMERA)
    found = checked(CAMERA, profile="1080p30")["Rig Webcam"]
    assert found.code == "small-mode"
    assert found.reason.english == "Rig Webcam gives 640x480, 30 fps at most; the profile asks for 1920x1080, 30 fps"


def test_a_control_that_the_camera_does_not_take_is_told(camera: RigDevice) -> None:
    camera.plug(0)
    listed(CAMERA)
    preset_store().change(lambda _: {CAMERA: ControlPreset("Rig Webcam", {"brightness": 77, "saturation": 5})})
    camera.set("controls.stalls", "brightness")
    found = checked(CAMERA)["Rig Webcam"]
    assert (found.code, found.measured) == ("controls-refused", {"refused_controls": 1})
    assert found.reason.english.endswith(": brightness=77")
    assert camera.get("controls.saturation").startswith("5")
    camera.set("controls.stalls", "none")
    assert checked(CAMERA)["Rig Webcam"].code == "ok"


def test_busy_devices_name_who_has_them(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    devices = {device.id: device for device in listed(CAMERA, f"{STICK}+sound")}
    node, alsa = camera.wait_for_video(), str(devices[f"{STICK}+sound"].alsa)
    records = ("arecord", "-D", alsa, "-f", "S16_LE", "-r", "48000", "-c", "2", "/dev/null")
    with (
        using(node, "v4l2-ctl", "-d", node, "--stream-mmap") as films,
        using(stick.wait_for_audio(), *records) as hears,
    ):
        found = checked(CAMERA, audios=(STICK,))
        sent = int(camera.get("video.frames_sent"))
        wait_for(lambda: int(camera.get("video.frames_sent")) > sent)
    assert {name: (result.code, result.reason.english) for name, result in found.items()} == {
        "Rig Webcam": ("busy", f"Rig Webcam is in use by v4l2-ctl (pid {films})"),
        "MS2109 HDMI capture stick (sound)": (
            "busy", f"MS2109 HDMI capture stick (sound) is in use by arecord (pid {hears})",
        ),
    }  # fmt: skip


def test_who_may_not_open_a_camera_is_told_the_group(camera: RigDevice) -> None:
    camera.plug(0)
    listed(CAMERA)
    os.chown(camera.wait_for_video(), NOBODY, -1)
    denied = confined(be_powerless_root, lambda: checked(CAMERA))["Rig Webcam"]
    assert denied.code == "denied"
    assert "usermod -aG video" in denied.advice.english


def test_a_camera_that_hangs_is_told_and_hides_no_other(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK)
    camera.set("device.silent", "true")
    began = time.monotonic()
    found = checked(CAMERA, STICK)
    took_s = time.monotonic() - began
    camera.set("device.silent", "false")
    assert {name: result.code for name, result in found.items()} == {
        "Rig Webcam": "no-answer", "MS2109 HDMI capture stick": "ok",
    }  # fmt: skip
    assert took_s < equipment.ANSWER_S + 2.0


# The command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = tmp_path / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(ARCHIVE)
    return tmp_path


def test_what_an_armed_session_holds_is_asked_of_it(camera: RigDevice, home: Path) -> None:
    camera.plug(0)
    listed(CAMERA)
    words = ("--video", CAMERA, "--audio", "none", "--profile", "240p15", "--archive", str(home / "arsip"))
    armed = command.liput(home, "arm", "--title", "Wisuda", *words, timeout=100)
    assert armed.returncode == 0, armed.stderr
    set_before = camera.get("controls.times_set")
    done = command.liput(home, "check", "--quick", "--json", *words, timeout=100)
    (found,) = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "devices: Rig Webcam"]
    assert (found["verdict"], found["code"]) == ("ok", "held")
    assert found["en"]["reason"] == 'In use by the session "Wisuda", without faults'
    assert camera.get("controls.times_set") == set_before
    command.liput(home, "disarm")
    wait_for(lambda: not holders(camera.wait_for_video()))
    assert checked(CAMERA)["Rig Webcam"].code == "ok"
    assert list(home.glob("arsip/*")) == []


def test_ctrl_c_lets_go_of_a_camera_that_hangs(camera: RigDevice, home: Path) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    listed(CAMERA)
    camera.set("device.silent", "true")
    with command.running(home, "check", "--quick", "--video", CAMERA, "--audio", "none") as check:
        wait_for(lambda: check.pid in {holder.pid for holder in holders(node)})
        check.signal(signal.SIGINT)
        assert check.wait_for_exit(20) == 1
        wait_for(lambda: not holders(node))
    camera.set("device.silent", "false")
    assert checked(CAMERA)["Rig Webcam"].code == "ok"


# Disks


NUMBERS = itertools.count()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MappedDisk]:
    disks.load(*disks.MODULES, "dm-delay")
    disk = MappedDisk(tmp_path, f"check-{next(NUMBERS)}", SIZE)
    yield disk
    disk.close()


def kept_on(*roots: Path, bitrate: int = 300_000, reserve: int = 1) -> list[CheckResult]:
    """Return what is found of places."""
    profile = Profile(width=320, height=240, fps=Fraction(15), video_bitrate=bitrate)
    settings = Settings(
        archive=ArchiveSettings(path=roots[0], reserve=reserve),
        storage=StorageSettings(paths=roots[1:]),
        profiles={"rig": profile},
    )
    asked = SessionRequest(title="Rig", profile="rig", duration_s=60.0)
    return list(storage.look(situation(asked, settings, quick=False)))


def test_a_disk_that_hangs_is_told_within_ten_seconds_and_hides_no_other(disk: MappedDisk, tmp_path: Path) -> None:
    disk.hang()
    began = time.monotonic()
    first, second = kept_on(disk.mount_point, tmp_path)
    took_s = time.monotonic() - began
    disk.go_on()
    assert (first.code, second.code) == ("hangs", "ok")
    assert took_s < 10
    wait_for(lambda: os.listdir(disk.mount_point) == ["lost+found"])  # noqa: PTH208 - names are enough


def test_a_disk_that_is_slow_for_a_profile_is_told(disk: MappedDisk) -> None:
    assert kept_on(disk.mount_point)[0].code == "ok"
    disk.slow_down(100)
    measured = measure_write_bps(disk.mount_point, 2.0, threading.Event())
    assert measured is not None
    assert kept_on(disk.mount_point, bitrate=round(measured / 3))[0].code == "slow"
    assert kept_on(disk.mount_point, bitrate=round(measured))[0].code == "too-slow"


def test_a_disk_that_can_only_be_read_or_fails_or_is_full_is_told(disk: MappedDisk) -> None:
    disk.fill(5_000_000)
    assert [result.code for result in kept_on(disk.mount_point, reserve=6_000_000)] == ["full"]
    assert [result.code for result in kept_on(disk.mount_point, reserve=4_000_000)] == ["ok", "short"]
    disk.become_read_only()
    assert [result.code for result in kept_on(disk.mount_point)] == ["read-only"]
    disk.become_writable()
    disk.fail()
    (failed,) = kept_on(disk.mount_point)
    assert failed.code in {"unwritable", "read-only"}
    disk.heal()


def test_a_disk_that_was_recorded_to_and_is_not_mounted_is_told(disk: MappedDisk) -> None:
    MountMemory().remember(disk.mount_point)
    disk.unmount()
    assert [result.code for result in kept_on(disk.mount_point)] == ["not-mounted"]
    disk.mount()
    assert [result.code for result in kept_on(disk.mount_point)] == ["ok"]
