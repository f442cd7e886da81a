"""The main job on real drivers: what the rig's devices showed and sounded is what the archive holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.rig import pictures
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT, rig_profile
from tests.support import media

SECONDS = 10
WIDTH, HEIGHT = 320, 240
LEFT_HERTZ, RIGHT_HERTZ = 440, 880
SETTINGS = ARCHIVE + rig_profile(10)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "liput.toml"
    path.write_text(SETTINGS)
    return path


def liput(settings: Path, *arguments: str) -> str:
    """Run `liput … --json` as an operator's script would and return its output; anything but success fails."""
    environment = {name: value for name, value in os.environ.items() if name != "ALSA_CONFIG_PATH"}
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli.main", *arguments, "--json"],
        env=environment | {"LIPUT_CONFIG": str(settings)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr}"
    return done.stdout


def record(settings: Path, archive: Path, *arguments: str) -> Path:
    """Record SECONDS and return the archived MP4; nothing may have been lost on the way."""
    output = liput(
        settings, "record", "--title", "Rig", "--for", f"{SECONDS}s", "--archive", str(archive), *arguments
    )  # fmt: skip
    lines = [json.loads(line) for line in output.splitlines()]
    result = lines[-1]
    assert (result["type"], result["state"], result["degraded"]) == ("result", "sealed", []), lines
    statuses = [line for line in lines if line["type"] == "status"]
    assert len(statuses) >= SECONDS
    assert (statuses[-1]["dropped"], statuses[-1]["repeated"]) == (0, 0)
    return Path(str(result["package"])) / "data" / "media" / "program.mp4"


def numbers(program: Path) -> list[int]:
    """Return the numbers that the recorded pictures carry, as the ffmpeg command decodes them."""
    luma = np.frombuffer(media.luma(program, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH)
    return [pictures.number_of(picture) for picture in luma]


def assert_unbroken(shown: list[int], rate: int) -> None:
    """After the first second every picture is the one after the last: none lost, none repeated, none out of order."""
    assert len(shown) >= rate * (SECONDS - 1)
    steps = {
        (after - before) % pictures.NUMBERS for before, after in zip(shown[rate:], shown[rate + 1 :], strict=False)
    }
    assert steps == {1}, shown


def tones(program: Path) -> NDArray[np.int64]:
    """Return the strongest frequency of each channel, in hertz, over five seconds in the middle."""
    pcm = subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "2.5", "-t", "5", "-i", str(program), "-map", "0:a:0", "-ac", "2",
         "-ar", "48000", "-f", "s16le", "-"],
        capture_output=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    channels = np.frombuffer(pcm, np.int16).reshape(-1, 2).T
    return np.array([int(np.abs(np.fft.rfft(channel)).argmax()) * 48_000 // channels.shape[1] for channel in channels])


def test_ten_seconds_of_the_webcam_are_in_the_archive(camera: RigDevice, settings: Path, tmp_path: Path) -> None:
    camera.plug(0)
    camera.wait_for_video()
    settings.write_text(SETTINGS + NO_REPORT)
    program = record(settings, tmp_path / "archive", "--audio", "none", "--profile", "240p15")
    media.decodes_cleanly(program)
    assert_unbroken(numbers(program), 15)


def test_ten_seconds_of_the_stick_are_in_the_archive_with_its_sound_and_a_report(
    stick: RigDevice, settings: Path, tmp_path: Path
) -> None:
    stick.plug(1)
    stick.wait_for_video()
    stick.wait_for_audio()
    program = record(settings, tmp_path / "archive", "--profile", "rig10")
    media.decodes_cleanly(program)
    assert_unbroken(numbers(program), 10)
    assert tones(program).tolist() == [LEFT_HERTZ, RIGHT_HERTZ]
    assert media.decoded(program, "a").end_s == pytest.approx(SECONDS, abs=0.1)


def test_devices_names_both_and_pairs_the_sticks_sound(camera: RigDevice, stick: RigDevice, settings: Path) -> None:
    camera.plug(0)
    stick.plug(1)
    for wait in (camera.wait_for_video, stick.wait_for_video, stick.wait_for_audio):
        wait()
    devices = json.loads(liput(settings, "devices"))
    named = {device["id"]: device for device in devices}
    assert set(named) == {"046d:0825:CAM0001", "534d:2109@1-2", "534d:2109@1-2+sound"}
    assert named["534d:2109@1-2"]["paired_with"] == "534d:2109@1-2+sound"
    assert named["534d:2109@1-2+sound"]["paired_with"] == "534d:2109@1-2"
    assert named["046d:0825:CAM0001"]["kind"] == "camera"
    assert named["534d:2109@1-2"]["kind"] == "capture-card"
