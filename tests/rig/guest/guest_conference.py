"""The conference on real output nodes: read back as Zoom would, never the far side, never a loss of the recording.

A session takes a minute in the guest where everything is slow, so that one of them shows several things.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.commands.conference import MISSING, conference_command
from agent.sessions.conference import CameraSetup, ConferencePaths
from config.settings.schema import ConferenceSettings
from devices.video_outputs import VideoOutputWriter, find_output
from tests.rig import pictures
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, NO_REPORT, rig_profile
from tests.support import media
from tests.support.command import Running, running
from tests.support.waiting import wait_for

WIDTH, HEIGHT = 320, 240
NODE, NODES = "/dev/video10", Path("/sys/class/video4linux")
USERS = Path("/sys/module/v4l2loopback/refcnt")
VIVID = "vivid-000-vid-out"
CAMERA, STICK = "046d:0825:CAM0001", "534d:2109@1-2"
SETTINGS = f"""{ARCHIVE}{NO_REPORT}{rig_profile(15)}
[conference]
camera = "{{camera}}"
width = 320
height = 240
fps = 15
far_side = ["{{far}}"]
"""
DARK, CARD_AT_LEAST, CARD_AT_MOST = 40, 30, 80

type Luma = NDArray[np.uint8]


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Have v4l2loopback set up as an operator does who says yes, and taken away again; give its node."""
    places, camera = ConferencePaths(), CameraSetup(ConferenceSettings(), ConferencePaths())
    assert "module" in {check.name for check in camera.checks() if not check.ok}
    assert conference_command_at_a_terminal("setup", monkeypatch) == MISSING  # nobody runs a sound server here
    wait_for(Path(NODE).exists)
    assert [check for check in camera.checks() if not check.ok] == []
    assert (places.load.read_text(), list(camera.commands())) == ("v4l2loopback\n", [])  # twice does nothing more
    yield NODE
    # Whoever looks at what is plugged in, as udev does, has it open for a moment: its module stays as long as that.
    wait_for(lambda: int(USERS.read_text()) == 0, what="a node that nobody has open")
    assert conference_command_at_a_terminal("setup --undo", monkeypatch) == 0
    assert not Path(NODE).exists()
    assert not places.load.exists()
    assert not places.options.exists()


def conference_command_at_a_terminal(words: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run it as root, at a terminal where somebody says yes; return the exit status.

    Who is before which terminal is tried in `tests/agent/terminal/test_terminal.py`: this one has no job control.
    """
    ours, theirs = os.openpty()
    try:
        os.write(ours, b"y\n")
        with open(theirs) as terminal, monkeypatch.context() as patch:  # noqa: PTH123 - a descriptor
            patch.setattr("sys.stdin", terminal)
            patch.setattr("agent.commands.conference.can_ask", lambda: True)
            return int(conference_command.main(words.split(), standalone_mode=False))
    finally:
        os.close(ours)


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


MOST_REPEATED, MOST_DROPPED = 3, 1


def end(command: Running) -> Path:
    """End the session; hardly anything may be missing in what was recorded. Return the film."""
    command.signal(signal.SIGINT)
    result = command.until("result")
    assert result["state"] == "sealed"
    command.wait_for_exit()
    last = [line for line in command.seen if line["type"] == "status"][-1]
    # An emulated PC composes and packs a second picture on one core: one that comes late is shown twice, and rarely one
    # is left out.
    assert int(str(last["dropped"])) <= MOST_DROPPED
    assert int(str(last["repeated"])) <= MOST_REPEATED
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


def film(path: Path) -> list[Luma]:
    return list(np.frombuffer(media.luma(path, WIDTH, HEIGHT), np.uint8).reshape(-1, HEIGHT, WIDTH))


def assert_in_order(shown: list[int], least: int) -> None:
    """Every picture is the one before it again, or the next: hardly any is left out, none comes late."""
    steps = [(after - before) % pictures.NUMBERS for before, after in pairwise(shown)]
    assert set(steps) <= {0, 1, 2}, str(shown)
    assert steps.count(2) <= len(steps) // 5, str(shown)
    assert sum(steps) >= least, str(shown)


def test_a_virtual_camera_shows_what_is_near_to_others_and_stays_when_the_session_is_over(
    loopback: str, camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    stick.set("video.picture", "black")
    for port, device in enumerate((camera, stick)):
        device.plug(port=port)
        device.wait_for_video()
    with (
        fed_by_another(loopback) as other,
        session(tmp_path, "--video", STICK, "--video", CAMERA, "--layout", "side-by-side", far=STICK) as command,
    ):
        # The node is another program's: that costs the recording nothing, and it is taken when it is free.
        assert told(command, "conference-lost")["reason"] == "busy"
        told(command, "session-live")
        go_on(command, 1)
        other.terminate()
        assert told(command, "conference-live") == {
            "node": NODE, "width": WIDTH, "height": HEIGHT, "format": "YUYV",
        }  # fmt: skip
        wait_for(lambda: conference(command)["state"] == "idle")  # nobody looks
        zoom = watching(loopback, 100, tmp_path / "seen.yuyv")
        wait_for(lambda: conference(command)["state"] == "live")
        go_on(command, 3)
        recorded = film(end(command))
    # Zoom saw the camera alone, in all of the picture, and has its own camera still, with a card.
    shown = seen(zoom, tmp_path / "seen.yuyv")
    bright = [bool(luma.mean() > CARD_AT_MOST) for luma in shown]
    first, end_card = bright.index(True), len(bright) - bright[::-1].index(True)
    assert all(bright[first:end_card])  # the far side beside it would make it as dark as a card
    assert_in_order([pictures.number_of(luma) for luma in shown[first + 30 : end_card]], 8)
    assert end_card < len(shown)
    assert min(luma.mean() for luma in shown) > CARD_AT_LEAST
    # The recording has both, beside each other.
    half, quarter = WIDTH // 2, HEIGHT // 4
    assert np.median([luma[quarter:-quarter, :half].mean() for luma in recorded]) < DARK
    assert_in_order([pictures.number_of(luma[quarter:-quarter, half:]) for luma in recorded[10:]], 20)
    # The next session takes it up again.
    node = VideoOutputWriter(find_output("Liput"), WIDTH, HEIGHT, Fraction(15))
    assert (node.format, node.size) == ("YUYV", (WIDTH, HEIGHT))
    assert node.write(memoryview(bytes(2 * WIDTH * HEIGHT)))
    node.close()


def conference(command: Running) -> dict[str, object]:
    line = command.until("status")["conference"]
    assert isinstance(line, dict)
    found: dict[str, object] = line["camera"]
    return found


@contextlib.contextmanager
def fed_by_another(node: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Have another program write to a node."""
    other = subprocess.Popen(
        ["v4l2-ctl", "-d", node, "--set-fmt-video-out=width=320,height=240,pixelformat=YUYV", "--stream-out-mmap"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _is_fed(node))
        yield other
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
