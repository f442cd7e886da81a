"""The devices of the kit, and a command line that plugs one in.

    python -m tests.rig.devices webcam --port 0 --serial CAM0001
    python -m tests.rig.devices hdmi-stick --port 1
    python -m tests.rig.devices h264-camera --port 2

The device lives as long as the process.  It obeys lines on standard input, one command each,
and answers each with one line, "ok" or "error: ...":

    plug PORT           unplug
    set device.silent true          set video.picture no-signal      set audio.sound beep
    get video.frames_sent           get controls.brightness          set controls.stalls focus
"""

import argparse
import ast
import os
import sys
from multiprocessing.connection import Connection

from tests.rig import pictures
from tests.rig.uac import AudioFunction
from tests.rig.usbip_device import UsbDevice
from tests.rig.uvc import H264, MJPEG, YUYV, Mode, VideoFunction
from tests.rig.uvc_controls import CARD_CONTROLS

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
    """Make an HDMI capture stick that presents itself as a MacroSilicon MS2109.

    Those have no serial number of their own, so two of them differ by port only; pass
    serial="" to have it so here.
    """
    video = VideoFunction(3, STICK_MODES, CARD_CONTROLS)
    audio = AudioFunction(2, claims_mono_96k=True)
    audio.audio.ragged = True
    return UsbDevice(
        0x534D, 0x2109, [video, audio], manufacturer="MACROSILICON", product="USB Video", serial=serial, release=0x2100
    )


def h264_camera(serial: str) -> UsbDevice:
    """Make a camera that presents itself as a Logitech C920 and sends nothing but H.264."""
    for mode in H264_MODES:
        pictures.h264(mode.width, mode.height)  # encoded now, not while the first picture is waited for
    video = VideoFunction(1, H264_MODES)
    return UsbDevice(0x046D, 0x082D, [video], manufacturer="Test Rig", product="Rig H.264 Camera", serial=serial)


def cam_link(serial: str) -> UsbDevice:
    """Make a capture card that presents itself as an Elgato Cam Link 4K, made for USB 3, in a USB 2 port."""
    video = VideoFunction(1, WEBCAM_MODES, CARD_CONTROLS)
    return UsbDevice(0x0FD9, 0x0066, [video], manufacturer="Elgato", product="Cam Link 4K", serial=serial)


DEVICES = {"webcam": webcam, "hdmi-stick": hdmi_stick, "h264-camera": h264_camera, "cam-link": cam_link}


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


def answer_to(device: UsbDevice, line: str) -> str:
    """Carry out one command line and return "ok", with a value perhaps, or what went wrong."""
    try:
        return obey(device, line)
    except (OSError, LookupError, ValueError, AttributeError) as error:
        return f"error: {error!r}"


HARDWARE = -20
"""How nice a device is: real ones wait for no program, whatever the computer has to do."""


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
        commands.send(answer_to(device, line))


def answer(line: str) -> None:
    """Send one line to whoever gives the commands."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Run one device until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", choices=DEVICES)
    parser.add_argument("--port", type=int, help="plug it in here at once")
    parser.add_argument("--serial", default="")
    arguments = parser.parse_args()
    device = DEVICES[arguments.device](arguments.serial)
    if arguments.port is not None:
        device.plug(arguments.port)
    answer("ok ready")
    for line in sys.stdin:
        answer(answer_to(device, line))


if __name__ == "__main__":
    main()
