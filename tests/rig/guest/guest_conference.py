"""The conference on real output nodes: read back as Zoom would, never the far side, never a loss of the recording."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.rig import pictures
from tests.rig.rig import RigDevice
from tests.support import media
from tests.support.command import Running, running
from tests.support.waiting import wait_for

WIDTH, HEIGHT = 320, 240
NODE, NODES = "/dev/video42", Path("/sys/class/video4linux")
VIVID = "vivid-000-vid-out"
CAMERA, STICK = "046d:0825:CAM0001", "534d:2109@1-2"
SETTINGS = """
[archive]
reserve = "50 MB"

[profiles.rig15]
width = 320
height = 240
fps = 15
video_bitrate = "300k"

[conference]
camera = "{camera}"
width = 320
height = 240
fps = 15
far_side = ["{far}"]
"""
DARK, CARD_AT_MOST = 40, 80

type Luma = NDArray[np.uint8]


@pytest.fixture
def loopback() -> Iterator[str]:
    """Load v4l2loopback as the guide says."""
    subprocess.run(
        ["modprobe", "v4l2loopback", "exclusive_caps=1", "card_label=Liput", "video_nr=42"], check=True, timeout=60
    )
    wait_for(Path(NODE).exists)
    yield NODE
    subprocess.run(["rmmod", "v4l2loopback"], check=True, timeout=60)


@pytest.fixture
def vivid() -> Iterator[str]:
    """Load vivid with one HDMI output, whose device can be taken away; give its node."""
    options = ["n_devs=1", "node_types=0x100", "num_outputs=1", "output_types=0x1"]
    subprocess.run(["modprobe", "vivid", *options], check=True, timeout=60)
    (name,) = wait_for(lambda: [path for path in NODES.glob("*/name") if path.read_text().strip() == VIVID])
    yield f"/dev/{name.parent.name}"
    subprocess.run(["rmmod", "vivid"], check=True, timeout=60)


@contextlib.contextmanager
def session(home: Path, *words: str, camera: str = "Liput", far: str = "nobody") -> Iterator[Running]:
    settings = home / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(SETTINGS.format(camera=camera, far=far))
    arguments = ["record", "--conference", "--title", "Rig", "--json", "--archive", str(home / "arsip")]
    with running(home, *arguments, "--profile", "rig15", "--audio", "none", *words) as command:
        yield command


def end(command: Running) -> Path:
    """End the session; nothing may be missing in what was recorded. Return the film."""
    command.signal(signal.SIGINT)
    result = command.until("result")
    assert result["state"] == "sealed"
    command.wait_for_exit()
    last = [line for line in command.seen if line["type"] == "status"][-1]
    assert (last["dropped"], last["repeated"]) == (0, 0)
    return Path(str(result["package"])) / "data/media/program.mp4"


def told(command: Running, kind: str, **wanted: object) -> dict[str, object]:
    """Return the detail of the first event of `kind` that was told, or the next where none was yet."""
    wanted |= {"type": "event", "kind": kind}
    line = next((line for line in command.seen if wanted.items() <= line.items()), None)
    detail = (line or command.until("event", **{name: wanted[name] for name in wanted.keys() - {"type"}}))["detail"]
    assert isinstance(detail, dict)
    return detail


def go_on(command: Running, seconds: float) -> None:
    elapsed = float(str(command.until("status")["elapsed_s"]))
    while float(str(command.until("status")["elapsed_s"])) < elapsed + seconds:
        pass


def watching(node: str, count: int, path: Path) -> "subprocess.Popen[str]":
    """Begin to read `count` pictures from the virtual camera, as another program does."""
    return subprocess.Popen(
        ["v4l2-ctl", "-d", node, "--get-fmt-video", "--stream-mmap", f"--stream-count={count}", f"--stream-to={path}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def seen(watcher: "subprocess.Popen[str]", path: Path) -> list[Luma]:
    """Return the luma of what was read."""
    try:
        told, errors = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
    assert watcher.returncode == 0, told + errors
    assert "Width/Height      : 320/240" in told
    assert "'YUYV'" in told
    data = np.fromfile(path, np.uint8).reshape(-1, HEIGHT, WIDTH, 2)
    return list(data[..., 0])


def read_back(node: str, count: int, path: Path) -> list[Luma]:
    return seen(watching(node, count, path), path)


def film(path: Path) -> list[Luma]:
    return list(np.frombuffer(media.luma(path, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH))


def assert_in_order(shown: list[int], least: int) -> None:
    """Every picture is the one before it again, or the next: hardly any is left out, none comes late."""
    steps = [(after - before) % pictures.NUMBERS for before, after in pairwise(shown)]
    assert set(steps) <= {0, 1, 2}, str(shown)
    assert steps.count(2) <= len(steps) // 5, str(shown)
    assert sum(steps) >= least, str(shown)


def test_other_programs_see_the_program_in_a_virtual_camera_and_it_stays(
    loopback: str, camera: RigDevice, tmp_path: Path
) -> None:
    camera.plug(port=0)
    camera.wait_for_video()
    with session(tmp_path, "--video", CAMERA) as command:
        assert told(command, "conference-live") == {
            "node": NODE, "width": WIDTH, "height": HEIGHT, "format": "YUYV",
        }  # fmt: skip
        wait_for(lambda: conference(command)["state"] == "idle")  # nobody looks
        shown = read_back(loopback, 70, tmp_path / "seen.yuyv")
        assert_in_order([pictures.number_of(luma) for luma in shown[30:]], 20)
        zoom = watching(loopback, 60, tmp_path / "after.yuyv")
        wait_for(lambda: conference(command)["state"] == "live")
        recorded = film(end(command))
    assert_in_order([pictures.number_of(luma) for luma in recorded[10:]], 20)
    # Zoom's camera is still there, with a card.
    after = [float(luma.mean()) for luma in seen(zoom, tmp_path / "after.yuyv")]
    assert max(after) > CARD_AT_MOST > after[-1] > 30
    with session(tmp_path, "--video", CAMERA) as command:  # and is taken up again
        told(command, "conference-live")
        end(command)


def conference(command: Running) -> dict[str, object]:
    line = command.until("status")["conference"]
    assert isinstance(line, dict)
    found: dict[str, object] = line["camera"]
    return found


def test_the_far_side_is_recorded_and_never_in_the_virtual_camera(
    loopback: str, camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    stick.set("video.picture", "black")
    for port, device in enumerate((camera, stick)):
        device.plug(port=port)
        device.wait_for_video()
    with session(tmp_path, "--video", STICK, "--video", CAMERA, far=STICK) as command:
        told(command, "conference-live")
        told(command, "session-live")
        shown = read_back(loopback, 50, tmp_path / "seen.yuyv")
        recorded = film(end(command))
    assert np.median([luma.mean() for luma in recorded]) < DARK  # the recording shows the far side
    assert min(luma.mean() for luma in shown) > DARK
    assert_in_order([pictures.number_of(luma) for luma in shown[30:]], 8)


def test_a_node_that_another_program_feeds_costs_the_recording_nothing_and_is_taken_when_it_is_free(
    loopback: str, camera: RigDevice, tmp_path: Path
) -> None:
    camera.plug(port=0)
    camera.wait_for_video()
    other = subprocess.Popen(
        ["v4l2-ctl", "-d", loopback, "--set-fmt-video-out=width=320,height=240,pixelformat=YUYV", "--stream-out-mmap"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _is_fed(loopback))
        with session(tmp_path, "--video", CAMERA) as command:
            assert told(command, "conference-lost")["reason"] == "busy"
            told(command, "session-live")
            go_on(command, 2)
            other.terminate()
            other.wait()
            told(command, "conference-live")
            shown = read_back(loopback, 50, tmp_path / "seen.yuyv")
            assert_in_order([pictures.number_of(luma) for luma in shown[30:]], 8)
            recorded = film(end(command))
        assert_in_order([pictures.number_of(luma) for luma in recorded[10:]], 20)
    finally:
        other.kill()
        other.wait()


def _is_fed(node: str) -> bool:
    """Return whether somebody writes to a node: only then it is a camera."""
    said = subprocess.run(["v4l2-ctl", "-d", node, "--info"], capture_output=True, text=True, check=False).stdout
    return "Video Capture" in said


def test_any_output_node_will_do_and_one_that_goes_costs_the_recording_nothing(
    vivid: str, camera: RigDevice, tmp_path: Path
) -> None:
    camera.plug(port=0)
    camera.wait_for_video()
    with session(tmp_path, "--video", CAMERA, camera=VIVID) as command:
        detail = told(command, "conference-live")
        assert (detail["node"], detail["width"], detail["height"]) == (vivid, WIDTH, HEIGHT)
        told(command, "session-live")
        go_on(command, 1)
        subprocess.run(["v4l2-ctl", "-d", vivid, "-c", "disconnect=1"], check=True, timeout=30)
        assert told(command, "conference-lost")["reason"] == "gone"
        command.until("event", kind="conference-live")
        go_on(command, 1)
        recorded = film(end(command))
    assert_in_order([pictures.number_of(luma) for luma in recorded[10:]], 20)
