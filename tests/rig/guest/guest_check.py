"""`liput check` and a rehearsal with real drivers and disks: each fault is told for its own reason, and all let go."""

import json
import os
import signal
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from agent.checks.check import CheckFunction, CheckResult
from agent.checks.kinds import equipment, pictures, sounds, storage
from capture.sources.v4l2 import V4l2Source
from config.settings.schema import ArchiveSettings as ArchiveSettings
from config.settings.schema import Profile, Settings
from config.settings.schema import StorageSettings as StorageSettings
from devices.controls.presets import ControlPreset, preset_store
from devices.monitor.holders import holders
from devices.monitor.snapshot import list_devices
from recorder.running.client import fetch_preview
from recorder.session.request import SessionRequest
from tests.rig.rig import CAMERA, STICK, STICK_SOUND, RigDevice, configured, listed, plugged
from tests.support import command, disks
from tests.support.disks import MappedDisk
from tests.support.previewed import Previewed
from tests.support.situations import situation
from tests.support.waiting import wait_for


def checked(look: CheckFunction, *videos: str, audios: tuple[str, ...] = ("none",)) -> dict[str, CheckResult]:
    """Return what is found of the devices of a session, by the name of each."""
    asked = SessionRequest(title="Rig", videos=videos, audios=audios, profile="240p15")
    results = list(look(situation(asked, devices=list_devices())))
    assert len({result.name for result in results}) == len(results), results
    return {result.name.partition(": ")[2]: result for result in results}


def codes(found: dict[str, CheckResult]) -> dict[str, str]:
    return {name: result.code for name, result in found.items()}


def test_the_right_devices_are_well_and_set_as_they_are_to_be_but_for_what_a_camera_refuses(
    camera: RigDevice, stick: RigDevice
) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK, STICK_SOUND)
    preset_store().change(lambda _: {CAMERA: ControlPreset("Rig Webcam", {"brightness": 77, "saturation": 5})})
    camera.set("controls.stalls", "brightness")
    refused = checked(equipment.look, CAMERA)["Rig Webcam"]
    assert (refused.code, refused.measured) == ("controls-refused", {"refused_controls": 1})
    assert camera.get("controls.saturation").startswith("5")
    camera.set("controls.stalls", "none")
    found = checked(equipment.look, CAMERA, STICK, audios=(STICK,))
    assert codes(found) == {
        "Rig Webcam": "ok", "MS2109 HDMI capture stick": "ok", "MS2109 HDMI capture stick (sound)": "ok",
    }  # fmt: skip
    figures = {"link_bps": 480_000_000, "width_pixels": 320, "height_pixels": 240, "rate_fps": 15.0}
    assert found["Rig Webcam"].measured == figures
    assert camera.get("controls.brightness").startswith("77")
    assert camera.get("controls.power_line_frequency").startswith("1")


def test_a_camera_that_hangs_is_told_and_hides_no_other(camera: RigDevice, stick: RigDevice) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK)
    camera.set("device.silent", "true")
    began = time.monotonic()
    found = checked(equipment.look, CAMERA, STICK)
    took_s = time.monotonic() - began
    camera.set("device.silent", "false")
    assert codes(found) == {"Rig Webcam": "no-answer", "MS2109 HDMI capture stick": "ok"}
    assert took_s < equipment.ANSWER_S + 2.0


def test_what_a_camera_shows_is_told_and_it_opens_again(camera: RigDevice) -> None:
    device = plugged(camera, 0, CAMERA)
    for attribute, value, well, code in (
        ("video.picture", "live", "live", "ok"),
        ("video.picture", "frozen", "live", "frozen"),
        ("video.truncate", "true", "false", "damaged"),
        ("device.silent", "true", "false", "hangs"),
    ):
        camera.set(attribute, value)
        assert codes(checked(pictures.look, CAMERA)) == {"Rig Webcam": code}
        camera.set(attribute, well)
        wait_for(lambda: not holders(device.node or ""), 10)
    with closing(V4l2Source(device, width=320, height=240, rate=10)) as source:
        source.open()
        assert source.read(20) is not None


def test_what_a_stick_gives_is_told(stick: RigDevice) -> None:
    plugged(stick, 1, STICK_SOUND)
    stick.set("video.picture", "no-signal")
    assert [*codes(checked(pictures.look, STICK)).values()] == ["no-signal"]
    for signal_, code in (("tone", "ok"), ("silence", "nothing")):
        stick.set("audio.sound", signal_)
        assert [*codes(checked(sounds.listen, "synthetic", audios=(STICK_SOUND,))).values()] == [code]


# The command


def test_all_checks_look_at_the_same_devices_at_once_and_none_is_in_the_way_of_another(
    camera: RigDevice, stick: RigDevice, tmp_path: Path
) -> None:
    camera.plug(0)
    stick.plug(1)
    listed(CAMERA, STICK_SOUND)
    home = configured(tmp_path)
    words = ["check", "--video", CAMERA, "--audio", STICK_SOUND, "--profile", "rig", "--archive", str(home / "arsip")]
    done = command.liput(home, *words, "--json", timeout=150)
    every = json.loads(done.stdout)["checks"]
    kinds = {"devices", "picture", "sound", "encoder"}
    media = {check["name"]: check["code"] for check in every if check["name"].split(":")[0] in kinds}
    assert set(media.values()) <= {"ok", "tight", "too-slow", "nothing-fits"}, media
    assert {name.split(":")[0] for name in media} == kinds
    (headroom,) = [check for check in every if check["name"] == "encoder"]
    assert headroom["measured"]["real_sources"] == 1


def test_what_an_armed_session_holds_is_asked_of_it(camera: RigDevice, tmp_path: Path) -> None:
    plugged(camera, 0, CAMERA)
    home = configured(tmp_path)
    words = ("--video", CAMERA, "--audio", "none", "--profile", "rig")
    armed = command.liput(home, "arm", "--title", "Rig", *words, "--archive", home / "arsip", timeout=100)
    assert armed.returncode == 0, armed.stderr
    set_before = camera.get("controls.times_set")
    done = command.liput(home, "check", *words, "--json", timeout=100)
    found = {check["name"].partition(":")[0]: check for check in json.loads(done.stdout)["checks"]}
    assert {kind: found[kind]["code"] for kind in ("devices", "picture", "encoder")} == {
        "devices": "held", "picture": "ok-held", "encoder": "in-session",
    }  # fmt: skip
    assert found["picture"]["measured"]["held_by"] == "Rig"
    assert found["picture"]["measured"]["luma_levels"] > 50
    assert camera.get("controls.times_set") == set_before
    refused = command.liput(home, "rehearse", *words, timeout=100)
    assert (refused.returncode, 'is used by the session "Rig"' in refused.stderr) == (1, True)
    assert command.liput(home, "disarm").returncode == 0


def test_ctrl_c_lets_go_of_a_camera_that_hangs(camera: RigDevice, tmp_path: Path) -> None:
    node = plugged(camera, 0, CAMERA).node or ""
    camera.set("device.silent", "true")
    with command.running(configured(tmp_path), "check", "--quick", "--video", CAMERA, "--audio", "none") as check:
        wait_for(lambda: check.pid in {holder.pid for holder in holders(node)})
        check.signal(signal.SIGINT)
        assert check.wait_for_exit(20) == 1
        wait_for(lambda: not holders(node))
    camera.set("device.silent", "false")
    assert checked(equipment.look, CAMERA)["Rig Webcam"].code == "ok"


def test_a_rehearsal_with_a_capture_stick_says_how_it_was(stick: RigDevice, tmp_path: Path) -> None:
    plugged(stick, 1, STICK_SOUND)
    stick.set("audio.sound", "beep")
    home = configured(tmp_path)
    words = ("rehearse", "--profile", "rig", "--json", "--video", STICK, "--audio", STICK_SOUND, "--for", "10s")
    done = command.liput(home, *words, timeout=150)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["ready"] else 1)
    found = {check["name"].partition(":")[0]: check for check in answer["checks"]}
    assert (found["recording"]["code"], found["picture"]["code"]) == ("ok", "ok"), found
    assert found["sync"]["code"] in {"ok", "sound-late", "sound-early"}
    assert found["sync"]["measured"]["from"] == "flash"
    assert abs(float(found["sync"]["measured"]["offset_s"])) < 0.15
    assert [*home.glob(".local/state/liput/rehearsals/*")] == []


def test_the_preview_of_an_idle_room_gives_its_camera_to_whoever_opens_it(camera: RigDevice, tmp_path: Path) -> None:
    device = plugged(camera, 0, CAMERA)
    room = Previewed(tmp_path, video=CAMERA, audio="none")
    room.plugged.append(device)
    home = configured(tmp_path / "home")
    with room.running():
        shown = room.shown()
        assert fetch_preview(shown.folder, "program", 10)[:2] == b"\xff\xd8"
        assert listed(CAMERA)[0].health.state == "ok", "a preview is no session"
        done = command.liput(home, "check", "--video", CAMERA, "--audio", "none", "--profile", "rig", timeout=100)
        assert "Rig Webcam: " in done.stdout
        assert "in use" not in done.stdout
        shown = room.shown()
        with Path(str(device.node)).open("rb"):
            wait_for(lambda: not shown.info.is_alive)
        assert room.shown().info.id != shown.info.id


def test_a_disk_that_hangs_or_fails_is_told_in_time_and_hides_no_other(tmp_path: Path) -> None:
    disks.load(*disks.MODULES)
    with closing(MappedDisk(tmp_path, "check", 64_000_000)) as disk:
        settings = Settings(
            archive=ArchiveSettings(path=disk.mount_point, reserve=1),
            storage=StorageSettings(paths=(tmp_path,)),
            profiles={"rig": Profile(width=320, height=240, fps=Fraction(15), video_bitrate=300_000)},
        )
        asked = SessionRequest(title="Rig", profile="rig", duration_s=60.0)

        def found() -> list[str]:
            return [result.code for result in storage.look(situation(asked, settings, quick=False))]

        disk.hang()
        began = time.monotonic()
        assert found() == ["hangs", "ok"]
        assert time.monotonic() - began < 10
        disk.go_on()
        wait_for(lambda: os.listdir(disk.mount_point) == ["lost+found"])  # noqa: PTH208 - names are enough
        disk.become_read_only()
        assert found() == ["read-only", "ok"]
        disk.become_writable()
        disk.fail()
        assert found()[0] in {"unwritable", "read-only"}
        disk.heal()
