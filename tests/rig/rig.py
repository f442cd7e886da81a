"""For tests inside the guest: plug in the kit's devices, break them, pull them out."""

import multiprocessing
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

import pyudev

from devices.model.device import Device
from devices.monitor.snapshot import list_devices
from tests.rig import devices
from tests.support.waiting import wait_for

CAMERA, STICK, STICK_SOUND = "046d:0825:CAM0001", "534d:2109@1-2", "534d:2109@1-2+sound"
"""How Liput calls the webcam of the tests, and the stick in port 1."""
SETTINGS = """
[archive]
reserve = "50 MB"

[report]
made = false

[video]
step_down = false

[profiles.rig]
width = 320
height = 240
fps = {fps}
video_bitrate = "300k"
"""
"""Settings of sessions on the rig's devices, with the profile `rig` of the size that they give.

A guest's disk is memory, of which there is little. An emulated machine does not always keep up, and tests count
pictures: none is left out on purpose.
"""

# Devices are forked from a process that has imported everything: that takes 0.05 s instead of 2 s in the guest.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([devices.__name__])


class RigDevice:
    """One emulated device, in a process of its own (so that a busy test does not starve it).

    An order that the device refuses raises RuntimeError with its answer.
    """

    def __init__(self, kind: str, serial: str = "") -> None:
        self._commands, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=devices.serve, args=(kind, serial, theirs), name=kind, daemon=True)
        self._process.start()
        theirs.close()
        self.port: int | None = None  # where it is plugged in, or was last
        self._plugged = False
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Pull it out if it is plugged in, wait until the kernel has forgotten it, and end its process."""
        if self._plugged and self._process.is_alive():
            self.unplug()
        self._commands.close()
        self._process.join()
        if self.port is not None:
            wait_for(lambda: not Path(self.sysfs_path).exists(), 10, f"the end of {self.sysfs_path}")

    def _answer(self) -> str:
        try:
            answer = str(self._commands.recv())
        except EOFError:
            answer = "the device's process has ended"
        if not answer.startswith("ok"):
            raise RuntimeError(answer)
        return answer.removeprefix("ok").strip()

    def _tell(self, *words: object) -> str:
        self._commands.send(" ".join(map(str, words)))
        return self._answer()

    def plug(self, port: int) -> None:
        """Plug it into root-hub port `port` (0 is sysfs 1-1); its drivers and nodes come a second later."""
        self._tell("plug", port)
        self.port = port
        self._plugged = True

    def unplug(self) -> None:
        """Pull it out, whatever is in flight; returns when the kernel has let the port go."""
        self._plugged = False
        self._tell("unplug")

    def set(self, attribute: str, value: object) -> None:
        """Change an attribute of the device, its `video` or its `audio`: see their classes."""
        self._tell("set", attribute, value)

    def get(self, attribute: str) -> str:
        return self._tell("get", attribute)

    @property
    def sysfs_path(self) -> str:
        assert self.port is not None, "never plugged in"
        return f"/sys/bus/usb/devices/1-{self.port + 1}"

    def nodes(self, subsystem: str) -> list[pyudev.Device]:
        """Return the udev devices of `subsystem` on this USB device that udev has finished with."""
        prefix = str(Path(self.sysfs_path).resolve()) + "/"
        found = [
            device
            for device in pyudev.Context().list_devices(subsystem=subsystem)
            if device.sys_path.startswith(prefix) and device.device_node and device.is_initialized
        ]
        return sorted(found, key=lambda device: str(device.device_node))

    def wait_for_video(self) -> str:
        """Return the /dev/videoN that yields this device's pictures, once udev has it."""
        return self._wait_for("video4linux", "ID_V4L_CAPABILITIES", ":capture:")

    def wait_for_audio(self) -> str:
        """Return the /dev/snd/pcmC*D*c that yields this device's sound, once udev has it."""
        return self._wait_for("sound", "DEVTYPE", "pcm")

    def _wait_for(self, subsystem: str, name: str, value: str) -> str:
        def found() -> str | None:
            nodes = (node for node in self.nodes(subsystem) if node.properties.get(name) == value)
            return next((str(node.device_node) for node in nodes), None)

        return wait_for(found, 30, f"a {subsystem} node on {self.sysfs_path}") or ""


def listed(*ids: str) -> list[Device]:
    """Return these devices once all are plugged in, and udev is done with them."""

    def found() -> list[Device]:
        there = {device.id: device for device in list_devices()}
        return [there[one] for one in ids] if there.keys() >= set(ids) else []

    return wait_for(found, 20, f"{ids} among the devices")


def plugged(rig: RigDevice, port: int, device_id: str) -> Device:
    """Plug in a device, and return it as Liput lists it."""
    rig.plug(port)
    return listed(device_id)[0]


@contextmanager
def using(*words: str, says: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program that uses a device until the block ends; the block begins when the program has said `says`."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        assert program.stdout is not None
        assert any(says in line for line in program.stdout)
        try:
            yield program
        finally:
            program.kill()


def streaming(node: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Let another program stream from a camera until the block ends."""
    return using("v4l2-ctl", "-d", node, "--stream-mmap", "--stream-to=/dev/null", "--verbose", says="cap dqbuf")


@contextmanager
def vivid(*options: str) -> Iterator[Device]:
    """Load the kernel's virtual video driver with one device until the block ends."""
    subprocess.run(["modprobe", "vivid", "n_devs=1", "node_types=0x1", "num_inputs=1", *options], check=True)
    try:
        yield listed("platform-vivid.0")[0]
    finally:
        subprocess.run(["modprobe", "-r", "vivid"], check=True)


def configured(home: Path, fps: int = 10, more: str = "") -> Path:
    """Write settings into a home folder, which is returned."""
    settings = home / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS.format(fps=fps) + more)
    return home
