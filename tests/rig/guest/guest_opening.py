"""Opening on real drivers: every refusal says who or what is in the way, and what to do; a device has a page."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from capture.detectors.source_health import patience_for
from capture.sound.source import SoundSource
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import DeviceLocator, DeviceSupervision, VideoWorker
from config.errors import DeviceError
from config.settings.schema import Settings
from devices.health.faults import Fault, HealthTracker
from devices.health.log_line import LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.kernel import v4l2
from devices.model.device import Device
from devices.usb.budget import UsbStream, bandwidth_claim, usable_bps
from devices.usb.slow_ports import port_of, port_warning, streaming_neighbours
from devices.usb.topology import UsbTopology
from tests.rig.found import current, listed
from tests.rig.rig import RigDevice
from tests.support.errors import because
from tests.support.health import Recorded
from tests.support.ports import usb_tree
from tests.support.processes import be_powerless_root, be_user, confined, refuse_ioctl
from tests.support.workers import judged_video

CLOCK = SystemClock()
CAMERA = "046d:0825:CAM0001"
STICK = "534d:2109@1-2"
NOBODY = 65534


@pytest.fixture(autouse=True)
def _system_alsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sound children read the system's ALSA configuration, whatever other tests use."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)


def refusal_of(source: V4l2Source | SoundSource | VideoWorker, confine: Callable[[], None]) -> DeviceError:
    """Return what opening `source` ends with on a thread that is confined."""
    try:
        with pytest.raises(DeviceError) as caught:
            confined(confine, source.open)
    finally:
        source.close()
    return caught.value


def picture(device: Device) -> V4l2Source:
    return V4l2Source(device, width=320, height=240, rate=15)


@contextmanager
def running(*words: str, says: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; the block begins when it has said that it runs."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert any(says in line for line in process.stdout)
        try:
            yield process
        finally:
            process.kill()


# ENOSPC: the rig's cameras stream in bulk and never get it, so the kernel is told to say it


def test_a_full_bus_names_what_else_is_on_it_and_what_to_do(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    device = listed(CAMERA)
    listed(STICK)
    recorded = Recorded(CLOCK)
    patience = patience_for(Settings(), device.kind)
    source = picture(device)
    tracker = HealthTracker(device.id, device.name, record=recorded, clock=CLOCK)
    worker, health = judged_video(source, device, patience, tracker)
    began = CLOCK.now()
    caught = refusal_of(worker, lambda: refuse_ioctl(v4l2.VIDIOC_STREAMON, errno.ENOSPC))
    assert caught.why == "bus-full"
    stick_there = "MS2109 HDMI capture stick (port 1-2)"
    assert caught.message == f"this USB bus is full: Rig Webcam ({device.node}) gets no room beside {stick_there}"
    assert caught.hint == "Move one device to another port or use MJPEG."
    assert (health.now.state, health.now.fault) == ("degraded", "bus-full")
    assert health.now.reason == caught.message
    refused, found = recorded.lines
    assert (refused.kind, refused.device, refused.level) == (LogKind.REFUSED, CAMERA, LogLevel.WARN)
    assert (refused.reason, refused.detail["hint"]) == (caught.message, caught.hint)
    assert (found.kind, found.device, found.level) == (LogKind.DEGRADED, CAMERA, LogLevel.WARN)
    assert (found.reason, found.detail["fault"]) == (caught.message, Fault.BUS_FULL)
    assert (found.at - began).total_seconds() < 2
    again = VideoWorker(source, CLOCK, supervision=DeviceSupervision(DeviceLocator(), health))
    again.open()
    recovered, opened = recorded.lines[2:]
    assert (recovered.kind, recovered.detail["fault"], opened.kind) == (
        LogKind.RECOVERED,
        Fault.BUS_FULL,
        LogKind.OPENED,
    )
    assert health.now.state == "ok"
    again.close()


# EBUSY


def test_a_busy_camera_names_who_streams_from_it(camera: RigDevice) -> None:
    camera.plug(0)
    device = listed(CAMERA)
    node = str(device.node)
    with running("v4l2-ctl", "-d", node, "--stream-mmap", "--verbose", says="cap dqbuf") as holder:
        source = picture(device)
        with pytest.raises(DeviceError, check=because("busy")) as caught:
            source.open()
        source.close()
    assert caught.value.message == f"Rig Webcam ({node}) is used by pid {holder.pid} (v4l2-ctl)"
    assert caught.value.hint == "Close that program, or name another device."


def test_busy_sound_names_who_records_it(stick: RigDevice) -> None:
    stick.plug(1)
    device = listed(f"{STICK}+sound")
    node = stick.wait_for_audio()
    recording = ("arecord", "-D", str(device.alsa), "-f", "S16_LE", "-r", "48000", "-c", "2", "-v", "/dev/null")
    with running(*recording, says="Its setup is") as holder:
        source = SoundSource(device)
        with pytest.raises(DeviceError, check=because("busy")) as caught:
            source.open()
        source.close()
    assert caught.value.message == f"{device.name} ({node}) is used by pid {holder.pid} (arecord)"
    assert caught.value.hint == "Close that program, or name another device."


# EACCES


def test_who_may_not_open_a_camera_is_told_the_group_and_the_command(camera: RigDevice) -> None:
    camera.plug(0)
    device = listed(CAMERA)
    caught = refusal_of(picture(device), lambda: be_user(NOBODY))
    assert caught.why == "denied"
    assert caught.message == (f"this user may not open Rig Webcam ({device.node}): it belongs to the group video")
    assert caught.hint == 'Join it with: sudo usermod -aG video "$USER", then log out and in again.'


def test_who_may_not_open_sound_is_told_the_group_and_the_command(stick: RigDevice) -> None:
    stick.plug(1)
    device = listed(f"{STICK}+sound")
    node = stick.wait_for_audio()
    # Sound is opened by a child, which has to read the checkout: a root without rights, whom the node is not.
    os.chown(node, NOBODY, -1)
    caught = refusal_of(SoundSource(device), be_powerless_root)
    assert caught.why == "denied"
    assert caught.message == f"this user may not open {device.name} ({node}): it belongs to the group audio"
    assert caught.hint == 'Join it with: sudo usermod -aG audio "$USER", then log out and in again.'


# Where it is


def test_the_tree_is_the_one_that_was_recorded_and_the_page_of_a_device_says_what_would_be_opened(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    device = listed(CAMERA)
    listed(STICK)
    live, recorded = UsbTopology.read(), UsbTopology.read(usb_tree("rig", tmp_path))
    assert [node.port for node in live.path("1-1")] == ["usb1", "1-1"]
    for node in recorded:
        found = live.node(node.port)
        assert found is not None
        assert (found.name, found.link_bps, found.is_hub) == (node.name, node.link_bps, node.is_hub)
        assert (found.superspeed, found.endpoints) == (node.superspeed, node.endpoints)
    webcam = live.node("1-1")
    assert webcam is not None
    claimed = bandwidth_claim(webcam, UsbStream(device))
    assert claimed == (0.0, 0.0)
    assert usable_bps(webcam) == 425_984_000
    assert port_warning(live, device) is None
    assert port_of(str(device.node)) == "1-1"
    assert port_of(stick.wait_for_audio()) == "1-2"
    assert streaming_neighbours(str(device.node)) == ["MS2109 HDMI capture stick (port 1-2)"]
    sound = listed(f"{STICK}+sound")
    liput = str(Path(sys.executable).with_name("liput"))
    words = [liput, "devices", "show", STICK, "--profile", "240p15", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    page = json.loads(done.stdout)
    assert [hop["port"] for hop in page["usb"]["path"]] == ["usb1", "1-2"]
    assert page["partner"]["id"] == sound.id
    assert page["no_serial"] == "it says none; its port tells it from others"
    assert (page["mode"]["format"], page["mode"]["width"], page["mode"]["fps"]) == ("MJPG", 320, 30.0)
    reasons = {f"{row['format']} {row['width']}": row["reason"] for row in page["runners_up"]}
    assert reasons["YUYV 160"] == "smaller"
    assert reasons["MJPG 1280"] == "larger than wanted"
    source = picture(current(STICK))
    try:
        source.open()
        assert source.mode is not None
        assert source.mode.mode.width == page["mode"]["width"]
    finally:
        source.close()
