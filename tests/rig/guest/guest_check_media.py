"""Pictures and sound of real drivers before a session, and a rehearsal with them: what is wrong is told as what it is.

Whatever happens, Ctrl-C included, every device can be opened again afterwards and no process is left.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from agent.checks.check import CheckContext, CheckFunction, CheckResult
from agent.checks.kinds import encoder, pictures, sounds
from agent.checks.runner import CheckRunner
from capture.sound.source import SoundSource
from capture.sources.v4l2 import V4l2Source
from devices.model.device import Device
from devices.monitor.holders import holders
from devices.monitor.snapshot import list_devices
from recorder.session.request import SessionRequest
from tests.rig.rig import RigDevice
from tests.rig.settings import ARCHIVE, rig_profile
from tests.support import command
from tests.support.command import running
from tests.support.processes import children
from tests.support.situations import situation
from tests.support.waiting import wait_for

CAMERA, STICK, STICK_SOUND = "046d:0825:CAM0001", "534d:2109@1-2", "534d:2109@1-2+sound"
RATE = 10
FEW = 3
SETTINGS = ARCHIVE + rig_profile(10)
OPENS_AGAIN_S = 20.0
OF_DEVICES = {"devices", "picture", "sound", "encoder"}
WELL = {"video.picture": "live", "video.slowdown": "1.0"}


@pytest.fixture(autouse=True)
def _system_alsa(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sound children read the system's ALSA configuration, whatever other tests use."""
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    settings = tmp_path / ".config/liput/liput.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(SETTINGS)
    return tmp_path


def device(device_id: str) -> Device:
    """Return a device once it is plugged in."""
    wait_for(lambda: device_id in {one.id for one in list_devices()}, what=device_id)
    return next(one for one in list_devices() if one.id == device_id)


def asked(*videos: str, audios: tuple[str, ...] = ("none",)) -> CheckContext:
    wanted = SessionRequest(title="Rig", videos=videos, audios=audios, profile="240p15")
    return situation(wanted, devices=list_devices(), quick=False)


def found(look: CheckFunction, now: CheckContext) -> list[CheckResult]:
    return list(look(now))


def codes(results: list[CheckResult]) -> list[str]:
    return [result.code for result in results]


def opens_again(device_id: str) -> None:
    """Fail unless a device can be opened, and gives something."""
    known = device(device_id)
    source: SoundSource | V4l2Source = SoundSource(known)
    if known.node:
        wait_for(lambda: not holders(known.node or ""), 10, f"{holders(known.node)} holds {device_id}")
        source = V4l2Source(known, width=320, height=240, rate=RATE)
    with closing(source):
        source.open()
        deadline = time.monotonic() + OPENS_AGAIN_S
        while source.read(0.5) is None:
            assert time.monotonic() < deadline, f"{device_id} gives nothing"


# Pictures


@pytest.mark.parametrize(
    ("attribute", "value", "code"),
    [
        ("video.picture", "live", "ok"),
        ("video.picture", "frozen", "frozen"),
        ("video.picture", "black", "black"),
        ("video.slowdown", "1000", "no-picture"),
        ("device.silent", "true", "hangs"),
        ("video.truncate", "true", "damaged"),
    ],
    ids=["well", "frozen", "black", "no-picture", "silent", "truncated"],
)
def test_what_a_camera_shows_is_told(camera: RigDevice, attribute: str, value: str, code: str) -> None:
    camera.plug(0)
    device(CAMERA)
    camera.set(attribute, value)
    results = found(pictures.look, asked(CAMERA))
    assert codes(results) == [code], results
    camera.set(attribute, WELL.get(attribute, "false"))
    opens_again(CAMERA)


def test_a_stick_without_a_signal_says_so_and_its_slide_may_stand_still(stick: RigDevice) -> None:
    stick.plug(1)
    device(STICK)
    stick.set("video.picture", "no-signal")
    assert codes(found(pictures.look, asked(STICK))) == ["no-signal"]
    stick.set("video.picture", "frozen")
    assert codes(found(pictures.look, asked(STICK))) == ["ok"]


def test_cameras_are_looked_at_side_by_side(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    device(CAMERA)
    device(STICK)
    (first, second) = found(pictures.look, asked(CAMERA, STICK))
    assert (first.code, second.code) == ("ok", "ok")


def test_a_camera_that_is_pulled_out_meanwhile_is_lost(camera: RigDevice) -> None:
    camera.plug(0)
    device(CAMERA)

    def pull() -> None:
        wait_for(lambda: int(camera.get("video.frames_sent")) > FEW)
        camera.unplug()

    thread = threading.Thread(target=pull)
    thread.start()
    results = found(pictures.look, asked(CAMERA))
    thread.join()
    assert codes(results) == ["lost"], results


def test_a_camera_that_another_program_has_is_busy_and_names_it(camera: RigDevice) -> None:
    camera.plug(0)
    known = device(CAMERA)
    with closing(V4l2Source(known, width=320, height=240, rate=RATE)) as other:
        other.open()
        (result,) = found(pictures.look, asked(CAMERA))
    assert result.code == "busy"


# Sound


@pytest.mark.parametrize(
    ("sound", "wrong"),
    [
        ("tone", ["ok"]),
        ("silence", ["nothing"]),
        ("clipping", ["clipping"]),
        ("bad-cable", ["hum", "dead-channel"]),
    ],
)
def test_what_a_microphone_gives_is_told(stick: RigDevice, sound: str, wrong: list[str]) -> None:
    stick.plug(1)
    device(STICK_SOUND)
    stick.set("audio.sound", sound)
    results = found(sounds.listen, asked("synthetic", audios=(STICK_SOUND,)))
    assert codes(results) == wrong, results
    opens_again(STICK_SOUND)


# The encoder


def test_the_encoder_is_measured_with_the_camera_and_lets_go_of_it(camera: RigDevice) -> None:
    camera.plug(0)
    device(CAMERA)
    (result,) = found(encoder.measure, asked(CAMERA))
    assert result.measured["real_sources"] == 1, result
    assert children("recorder.live_encode.measure_child") == []
    opens_again(CAMERA)


def test_it_waits_for_whoever_looks_at_the_camera_at_the_same_time(camera: RigDevice) -> None:
    camera.plug(0)
    device(CAMERA)
    now = asked(CAMERA)
    picture, headroom = CheckRunner([*pictures.CHECKS, *encoder.CHECKS], now).run()
    assert picture.code == "ok"
    assert headroom.measured["real_sources"] == 1, headroom


# Everything at once


def test_all_checks_look_at_the_same_devices_at_once_and_none_is_in_the_way_of_another(
    camera: RigDevice, stick: RigDevice, home: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    device(CAMERA)
    device(STICK_SOUND)
    words = ["check", "--video", CAMERA, "--audio", STICK_SOUND, "--profile", "rig10", "--archive", str(home / "arsip")]
    done = command.liput(home, *words, "--json", timeout=150)
    every = json.loads(done.stdout)["checks"]
    media = {check["name"]: check["code"] for check in every if check["name"].split(":")[0] in OF_DEVICES}
    assert set(media.values()) <= {"ok", "tight", "too-slow", "nothing-fits"}, media
    assert {name.split(":")[0] for name in media} == OF_DEVICES
    (headroom,) = [check for check in every if check["name"] == "encoder"]
    assert headroom["measured"]["real_sources"] == 1


# What a session has open


def test_what_a_session_has_open_is_asked_of_it(camera: RigDevice, home: Path) -> None:
    camera.plug(0)
    device(CAMERA)
    words = ["arm", "--title", "Rig", "--video", CAMERA, "--audio", "none", "--profile", "rig10"]
    armed = command.liput(home, *words, "--archive", home / "arsip", timeout=100)
    assert armed.returncode == 0, armed.stderr
    done = command.liput(
        home, "check", "--video", CAMERA, "--audio", "none", "--profile", "rig10", "--json", timeout=100
    )
    of_picture = [check for check in json.loads(done.stdout)["checks"] if check["name"].startswith("picture")]
    assert [check["code"] for check in of_picture] == ["ok-held"], of_picture
    assert of_picture[0]["measured"]["held_by"] == "Rig"
    assert of_picture[0]["measured"]["luma_levels"] > 50
    encoders = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "encoder"]
    assert [check["code"] for check in encoders] == ["in-session"]
    refused = command.liput(home, "rehearse", "--video", CAMERA, "--audio", "none", "--profile", "rig10", timeout=100)
    assert refused.returncode == 1
    assert 'is used by the session "Rig"' in refused.stderr
    assert command.liput(home, "disarm").returncode == 0


# Ctrl-C


@contextmanager
def interrupted(home: Path, *words: str, when_open: str) -> Iterator[None]:
    """Run a command until it has a device open, and press Ctrl-C; provide what is after that."""
    node = device(when_open).node or ""
    with running(home, *words, "--json") as checking:
        wait_for(lambda: holders(node), 60, "nothing was opened")
        below = psutil.Process(checking.pid).children(recursive=True)
        checking.interrupt_everything()
        began = time.monotonic()
        assert checking.wait_for_exit(30) == 1
        assert time.monotonic() - began < 10
        yield
        assert not [child for child in below if child.is_running()]


def test_ctrl_c_lets_go_of_every_device_and_leaves_no_process(stick: RigDevice, home: Path) -> None:
    stick.plug(1)
    device(STICK_SOUND)
    more = ("--video", STICK, "--audio", STICK_SOUND, "--profile", "rig10")
    with interrupted(home, "check", *more, when_open=STICK):
        opens_again(STICK)
        opens_again(STICK_SOUND)


# A rehearsal


def rehearsed(home: Path, *words: str) -> dict[str, dict[str, object]]:
    done = command.liput(home, "rehearse", "--profile", "rig10", "--json", *words, timeout=150)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ready"] else 1)
    return {f"{check['name']} {check['code']}": check for check in answer["checks"]}


def test_a_rehearsal_with_a_capture_stick_says_how_it_was(stick: RigDevice, home: Path) -> None:
    stick.plug(1)
    device(STICK_SOUND)
    stick.set("audio.sound", "beep")
    found_ = rehearsed(home, "--video", STICK, "--audio", STICK_SOUND, "--for", "10s")
    assert "recording ok" in found_, found_
    assert "picture ok" in found_, found_
    assert {name for name in found_ if name.startswith("sync")} <= {"sync ok", "sync sound-late", "sync sound-early"}
    (sync,) = [check for name, check in found_.items() if name.startswith("sync")]
    measured = sync["measured"]
    assert isinstance(measured, dict)
    assert measured["from"] == "flash"
    assert abs(float(measured["offset_s"])) < 0.15
    state = home / ".local/state/liput/rehearsals"
    assert not state.exists() or not list(state.iterdir())
