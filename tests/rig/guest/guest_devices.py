"""What is plugged in, told from real drivers and a real udev: who a device is survives what changes its numbers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import msgspec
import pytest

from config.errors import DeviceNotFound
from devices.model.device import Device, DeviceKind, Mode
from devices.monitor import holders
from devices.monitor.identity import find_sound, find_video
from devices.monitor.modes import is_stream_free
from devices.monitor.snapshot import list_devices
from tests.rig.found import current
from tests.rig.rig import RigDevice

CAMERA = "046d:0825:CAM0001"
STREAM = {"input_format": "mjpeg", "video_size": "320x240", "framerate": "15", "fflags": "4"}


def listed(*conditions: Callable[[list[Device]], bool]) -> list[Device]:
    """Return what is plugged in, once every condition holds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        devices = list_devices()
        if all(condition(devices) for condition in conditions):
            return devices
        time.sleep(0.05)
    raise TimeoutError(f"not listed in time: {list_devices()}")


def of(devices: list[Device], rig: RigDevice) -> list[Device]:
    """Return the entries of one rig device: picture, then sound."""
    assert rig.port is not None
    return [device for device in devices if device.port == f"1-{rig.port + 1}"]


def has(rig: RigDevice, entries: int) -> Callable[[list[Device]], bool]:
    return lambda devices: len(of(devices, rig)) == entries


def test_camera_and_stick_are_listed_with_the_sticks_sound_paired(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    devices = listed(has(camera, 1), has(stick, 2))
    (webcam,) = of(devices, camera)
    picture, sound = of(devices, stick)
    assert (webcam.id, webcam.kind, webcam.name) == (CAMERA, DeviceKind.CAMERA, "Rig Webcam")
    assert (webcam.vid, webcam.pid, webcam.serial, webcam.port) == ("046d", "0825", "CAM0001", "1-1")
    assert (webcam.node, webcam.alsa, webcam.paired_with) == (camera.wait_for_video(), None, None)
    assert webcam.link_bps == 480_000_000
    assert webcam.modes[:2] == (Mode("MJPG", 640, 480, (30, 15, 5)), Mode("MJPG", 320, 240, (30, 15, 5)))
    assert webcam.modes[2:] == (Mode("YUYV", 160, 120, (30, 15, 5)),)
    assert (picture.id, picture.kind) == ("534d:2109@1-2", DeviceKind.CAPTURE_CARD)
    assert (picture.serial, picture.name) == (None, "MS2109 HDMI capture stick")
    assert (picture.node, picture.alsa) == (stick.wait_for_video(), None)
    assert (sound.id, sound.kind, sound.node) == ("534d:2109@1-2+sound", DeviceKind.MICROPHONE, None)
    assert (sound.alsa, sound.modes) == ("hw:CARD=MS2109,DEV=0", ())
    assert (picture.paired_with, sound.paired_with) == (sound.id, picture.id)


def test_the_id_survives_another_port_and_a_node_that_is_held(camera: RigDevice) -> None:
    camera.plug(0)
    before = of(listed(has(camera, 1)), camera)[0]
    held = os.open(before.node or "", os.O_RDWR)
    try:
        camera.unplug()
        listed(lambda devices: not devices)
        with pytest.raises(DeviceNotFound):
            current(CAMERA)
        camera.plug(4)
        after = of(listed(has(camera, 1)), camera)[0]
    finally:
        os.close(held)
    assert after.node != before.node
    assert (after.id, after.port) == (before.id, "1-5")
    assert current(CAMERA).node == after.node


def test_two_sticks_without_serials_are_told_apart_by_their_ports(stick: RigDevice) -> None:
    with RigDevice("hdmi-stick") as other:
        other.plug(4)
        listed(has(other, 2))
        stick.plug(1)
        devices = listed(has(stick, 2), has(other, 2))
        for rig, alsa in ((other, "hw:CARD=MS2109,DEV=0"), (stick, "hw:CARD=MS2109_1,DEV=0")):
            picture, sound = of(devices, rig)
            assert picture.id == f"534d:2109@{picture.port}"
            assert (picture.paired_with, sound.paired_with) == (sound.id, picture.id)
            assert sound.alsa == alsa
            assert find_video(devices, picture.port or "") == picture
            assert find_sound(devices, picture.id) == sound
        assert len({device.id for device in devices}) == len({device.name for device in devices}) == 4


def test_a_serial_that_two_devices_share_counts_for_neither(camera: RigDevice) -> None:
    with RigDevice("webcam", serial="CAM0001") as twin:
        camera.plug(0)
        twin.plug(1)
        devices = listed(has(camera, 1), has(twin, 1))
        assert [device.id for device in devices] == ["046d:0825@1-1", "046d:0825@1-2"]
        assert [device.serial for device in devices] == [None, None]


def test_listing_disturbs_no_stream_and_takes_little_time(camera: RigDevice) -> None:
    camera.plug(0)
    took: list[float] = []
    times: list[int] = []
    with av.open(camera.wait_for_video(), format="v4l2", options=STREAM) as container:
        deadline = time.monotonic() + 20
        while len(times) < 45:
            assert time.monotonic() < deadline
            try:
                pts = next(container.demux()).pts  # a packet is memory of the device, and must be gone before it
                assert pts is not None
                times.append(pts)
            except BlockingIOError:
                began = time.monotonic()
                assert [device.id for device in list_devices()] == [CAMERA]
                took.append(time.monotonic() - began)
    assert len(took) >= 10
    assert sorted(took)[len(took) // 2] < 0.3
    assert (len(times) - 1) / (times[-1] - times[0]) * 1e6 == pytest.approx(15, rel=0.1)


@pytest.fixture
def holder(camera: RigDevice) -> Iterator[subprocess.Popen[str]]:
    """Provide another process that streams from the camera."""
    camera.plug(0)
    words = ["v4l2-ctl", "-d", camera.wait_for_video(), "--stream-mmap", "--stream-to=/dev/null", "--verbose"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert any("cap dqbuf" in line for line in process.stdout)
        yield process
        process.kill()


def told() -> list[Device]:
    """Return what `liput devices` says: another process than the one that has the device."""
    liput = Path(sys.executable).with_name("liput")
    done = subprocess.run([liput, "devices", "--json"], capture_output=True, text=True, check=True)
    return msgspec.json.decode(done.stdout, type=list[Device])


def test_a_busy_device_names_the_process(camera: RigDevice, holder: subprocess.Popen[str]) -> None:
    node = camera.wait_for_video()
    assert [found.pid for found in holders.holders(node)] == [holder.pid]
    error = holders.device_busy_error("Rig Webcam", node)
    assert error.why == "busy"
    assert error.message == f"Rig Webcam ({node}) is used by pid {holder.pid} (v4l2-ctl)"
    (device,) = told()
    assert (device.id, device.health.state, device.health.fault) == (CAMERA, "busy", "busy")
    assert f"pid {holder.pid} (v4l2-ctl)" in (device.health.reason or "")
    assert holder.stdout is not None
    for _ in range(5):  # its stream goes on however often it is looked at
        assert not is_stream_free(node)
        assert any("cap dqbuf" in line for line in holder.stdout)


def test_a_device_that_a_program_merely_has_open_is_not_busy(camera: RigDevice) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    fd = os.open(node, os.O_RDONLY)
    try:
        assert [found.pid for found in holders.holders(node)] == [os.getpid()]
        assert is_stream_free(node)
        (device,) = told()
    finally:
        os.close(fd)
    assert (device.id, device.health.state) == (CAMERA, "ok")


def test_a_user_outside_the_group_is_told_which_group(camera: RigDevice) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    listed(has(camera, 1))
    # The rights are dropped once all is imported: the checkout may lie where that user may not look.
    script = (
        "import os; from devices.monitor.snapshot import list_devices;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "d, = list_devices(); print(d.id, d.health.state, d.health.reason, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    reason = f"this user may not open Rig Webcam ({node}): it belongs to the group video"
    assert done.stdout.strip() == f"{CAMERA}|degraded|{reason}"


def test_devices_without_a_usb_plug_have_ids_that_do_not_depend_on_numbers(camera: RigDevice) -> None:
    camera.plug(0)
    node = camera.wait_for_video()
    for module in ("vivid", "snd-aloop"):
        subprocess.run(["modprobe", module], check=True)
    try:
        devices = listed(lambda devices: len(devices) == 4)
        vivid, loopback, second = (device for device in devices if device.id != CAMERA)
        assert vivid.id == "platform-vivid.0"
        assert (vivid.kind, vivid.node != node, vivid.port) == (DeviceKind.CAPTURE_CARD, True, None)
        assert {"YUYV", "NV12"} <= {mode.format for mode in vivid.modes}
        assert all(mode.fps for mode in vivid.modes)
        assert (loopback.id, loopback.alsa) == ("platform-snd_aloop.0", "hw:CARD=Loopback,DEV=0")
        assert (second.id, second.alsa) == ("platform-snd_aloop.0+sound2", "hw:CARD=Loopback,DEV=1")
    finally:
        for module in ("vivid", "snd-aloop"):
            subprocess.run(["modprobe", "-r", module], check=True)


def test_the_command_lists_the_same_as_json(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    devices = listed(has(camera, 1), has(stick, 2))
    liput = Path(sys.executable).with_name("liput")
    done = subprocess.run([liput, "devices", "--json"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert msgspec.json.decode(done.stdout, type=list[Device])[: len(devices)] == devices
