"""For tests inside the guest: plug in the kit's devices, break them, pull them out.

with RigDevice("webcam", serial="CAM0001") as camera:
    camera.plug(port=0)
    node = camera.wait_for_video()  # "/dev/video0"
    camera.set("video.picture", "frozen")
    camera.unplug()
"""

import multiprocessing
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pyudev

from tests.rig import devices

# Devices are forked from a process that has imported everything: that takes 0.05 s instead of 2 s in the guest.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([devices.__name__])


class RigDevice:
    """One emulated device, in a process of its own (so that a busy test does not starve it).

    kind is "webcam" (046d:0825, a camera without sound), "hdmi-stick" (534d:2109, with sound), "h264-camera" or
    "cam-link" (0fd9:0066, in a port that is too slow for it); their modes, attributes and faults are in devices.py,
    uvc.py and uac.py. An order that the device refuses raises RuntimeError with its answer.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Pull it out if it is plugged in, wait until the kernel has forgotten it, and end its process."""
        if self._plugged and self._process.is_alive():
            self.unplug()
        self._commands.close()
        self._process.join()
        if self.port is not None:
            deadline = time.monotonic() + 10
            while Path(self.sysfs_path).exists() and time.monotonic() < deadline:
                time.sleep(0.01)

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
        """Return an attribute as text, for example "video.frames_sent"."""
        return self._tell("get", attribute)

    @property
    def sysfs_path(self) -> str:
        """The device's folder in sysfs while it is plugged in."""
        assert self.port is not None, "never plugged in"
        return f"/sys/bus/usb/devices/1-{self.port + 1}"

    def nodes(self, subsystem: str) -> list[pyudev.Device]:
        """Return the udev devices of `subsystem` on this USB device that udev has finished with.

        A camera has two video4linux nodes: the one with ":capture:" among its ID_V4L_CAPABILITIES
        yields pictures, the other yields metadata only.
        """
        prefix = str(Path(self.sysfs_path).resolve()) + "/"
        found = [
            device
            for device in pyudev.Context().list_devices(subsystem=subsystem)
            if device.sys_path.startswith(prefix) and device.device_node and device.is_initialized
        ]
        return sorted(found, key=lambda device: str(device.device_node))

    def wait_for_video(self, timeout: float = 30) -> str:
        """Return the /dev/videoN that yields this device's pictures, once udev has it."""
        return self._wait_for("video4linux", "ID_V4L_CAPABILITIES", ":capture:", timeout)

    def wait_for_audio(self, timeout: float = 30) -> str:
        """Return the /dev/snd/pcmC*D*c that yields this device's sound, once udev has it."""
        return self._wait_for("sound", "DEVTYPE", "pcm", timeout)

    def _wait_for(self, subsystem: str, name: str, value: str, timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for device in self.nodes(subsystem):
                if device.properties.get(name) == value:
                    return str(device.device_node)
            time.sleep(0.1)
        raise TimeoutError(f"no {subsystem} node on {self.sysfs_path}")
