"""An hour with a camera and a microphone that are pulled and plugged in again, and a server that comes and goes.

    tests/rig/run-in-vm --modules "vhci-hcd uvcvideo snd-usb-audio" --artifacts out -- \
        .venv/bin/python -m tests.rig.soak_scenario SECONDS CYCLES

tests/proofs/soak.py runs it; what it leaves among the artifacts is `soak.json` and the recording, `program.mp4`.
"""

import json
import os
import shutil
import sys
from itertools import count
from pathlib import Path

from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT, rig_profile
from tests.support.rtmp_server import NginxRtmp
from tests.support.soaking import Disturbance, soak

CAMERA, MICROPHONE = "046d:0825:CAM0001", "534d:2109@1-2+sound"
CAMERA_PORTS, STICK_PORT = (0, 2), 1
FIGURES, PROGRAM = "soak.json", "program.mp4"
PROFILE = "rig5"
SETTINGS = ARCHIVE + NO_REPORT + rig_profile(5) + 'audio_bitrate = "64k"\npreset = "ultrafast"\n'
"""Pictures of the size and rate that the camera gives: each of them is in the recording, or has been lost.

It gives 15 a second, too, which take all that the emulated processor has.
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""With them the kernel gives 2 MB where one page is touched, and makes 2 MB of a few pages later: steps that hide the
little that is looked for, up and down."""


def main(seconds: float, cycles: int) -> None:
    """Record, and leave what was found."""
    HUGE_PAGES.write_text("never")
    artifacts, home = Path(os.environ["ARTIFACTS"]), Path("/root/soak")
    home.mkdir(parents=True)
    with RigDevice("webcam", serial="CAM0001") as camera, RigDevice("hdmi-stick") as stick:
        camera.plug(CAMERA_PORTS[0])
        stick.plug(STICK_PORT)
        camera.wait_for_video()
        stick.wait_for_audio()
        with NginxRtmp(home / "server") as server:
            run = soak(
                home, server, ("--video", CAMERA, "--audio", MICROPHONE), SETTINGS, PROFILE, replugs(camera, stick),
                seconds=seconds, cycles=cycles, say=say,
            )  # fmt: skip
        devices = {
            "camera_frames_dropped": int(camera.get("video.frames_dropped")),
            "stick_packets_lost": int(stick.get("audio.packets_lost")),
        }
    shutil.copyfile(run.program, artifacts / PROGRAM)
    (artifacts / FIGURES).write_text(json.dumps(run.facts() | devices))


def say(line: str) -> None:
    """Tell whoever waits for the guest how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def replugs(camera: RigDevice, stick: RigDevice) -> list[Disturbance]:
    """Return what happens to the devices in each cycle: the camera comes back in another port."""
    turn = count(1)

    def plug_camera() -> None:
        camera.plug(CAMERA_PORTS[next(turn) % len(CAMERA_PORTS)])
        camera.wait_for_video()

    def plug_stick() -> None:
        stick.plug(STICK_PORT)
        stick.wait_for_audio()

    return [
        Disturbance(0.50, "camera pulled", camera.unplug),
        Disturbance(0.56, "camera plugged in", plug_camera),
        Disturbance(0.62, "microphone pulled", stick.unplug),
        Disturbance(0.68, "microphone plugged in", plug_stick),
    ]


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
