"""The devices of the kit, each of which obeys lines in a process of its own; tests/rig/README.md has the faults."""

import ast
import os
from multiprocessing.connection import Connection

from tests.rig import pictures
from tests.rig.uac import AudioFunction
from tests.rig.usbip_device import UsbDevice
from tests.rig.uvc import CARD_CONTROLS, H264, MJPEG, YUYV, Mode, VideoFunction

WEBCAM_MODES = (
    Mode(MJPEG, 640, 480, (30, 15, 5)),
    Mode(MJPEG, 320, 240, (30, 15, 5)),
    Mode(YUYV, 160, 120, (30, 15, 5)),
)
STICK_MODES = (
    Mode(MJPEG, 1280, 720, (30, 10, 5)),
    Mode(MJPEG, 640, 480, (30, 10, 5)),
    Mode(MJPEG, 320, 240, (30, 10, 5)),
    Mode(YUYV, 160, 120, (30, 10, 5)),
)
H264_MODES = (Mode(H264, 320, 240, (30, 15, 5)),)


def webcam(serial: str) -> UsbDevice:
    """Make a camera that presents itself as a Logitech C270, without its microphone."""
    video = VideoFunction(1, WEBCAM_MODES)
    return UsbDevice(0x046D, 0x0825, [video], manufacturer="Test Rig", product="Rig Webcam", serial=serial)


def hdmi_stick(serial: str) -> UsbDevice:
    """Make an HDMI capture stick that presents itself as a MacroSilicon MS2109: those have no serial number."""
    video = VideoFunction(3, STICK_MODES, CARD_CONTROLS)
    return UsbDevice(
        0x534D, 0x2109, [video, AudioFunction(2)],
        manufacturer="MACROSILICON", product="USB Video", serial=serial, release=0x2100,
    )  # fmt: skip


def h264_camera(serial: str) -> UsbDevice:
    """Make a camera that presents itself as a Logitech C920 and sends nothing but H.264."""
    for mode in H264_MODES:
        pictures.h264(mode.width, mode.height)  # encoded now, not while the first picture is waited for
    video = VideoFunction(1, H264_MODES)
    return UsbDevice(0x046D, 0x082D, [video], manufacturer="Test Rig", product="Rig H.264 Camera", serial=serial)


DEVICES = {"webcam": webcam, "hdmi-stick": hdmi_stick, "h264-camera": h264_camera}


def parts_of(device: UsbDevice) -> dict[str, object]:
    """Return the objects whose attributes `set` and `get` reach, by name."""
    parts: dict[str, object] = {"device": device}
    for function in device.functions:
        parts |= {name: getattr(function, name) for name in ("video", "audio", "controls") if hasattr(function, name)}
    return parts


def parse(text: str) -> object:
    """Return the number or truth value that `text` is, else the text itself."""
    try:
        return ast.literal_eval(text.title() if text in ("true", "false") else text)
    except (ValueError, SyntaxError):
        return text


def obey(device: UsbDevice, line: str) -> str:
    """Carry out one command line and return the answer to it."""
    command, *words = line.split()
    if command == "plug":
        device.plug(int(words[0]))
    elif command == "unplug":
        device.unplug()
    elif command in ("set", "get"):
        part, attribute = words[0].split(".")
        owner = parts_of(device)[part]
        current = getattr(owner, attribute)
        if command == "get":
            return f"ok {current}"
        setattr(owner, attribute, parse(words[1]))
    else:
        raise ValueError(f"unknown command {command}")
    return "ok"


HARDWARE = -20  # how nice a device is: real ones wait for no program, whatever the computer has to do


def serve(kind: str, serial: str, commands: Connection) -> None:
    """Be one device until the other end of `commands` is closed: lines come in, answers go out."""
    os.setpriority(os.PRIO_PROCESS, 0, HARDWARE)
    device = DEVICES[kind](serial)
    commands.send("ok ready")
    while True:
        try:
            line = commands.recv()
        except EOFError:
            return
        try:
            commands.send(obey(device, line))
        except (OSError, LookupError, ValueError, AttributeError) as error:
            commands.send(f"error: {error!r}")
