"""`liput conference`: what is missing is said, what can be done without root is done, once, and undone."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sessions.conference import CameraSetup, ConferencePaths
from config.errors import DeviceNotFound
from config.settings.schema import ConferenceSettings
from devices.video_outputs import VideoOutput
from tests.support.command import liput
from tests.support.sound_server import PipeWireMicrophone, PulseMicrophone

pytestmark = pytest.mark.server


@pytest.fixture(params=[PulseMicrophone, PipeWireMicrophone])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PulseMicrophone]:
    with request.param(tmp_path) as server:
        yield server


def run(home: Path, server: PulseMicrophone, *words: str) -> "subprocess.CompletedProcess[str]":
    more = {name: value for name, value in server.environment.items() if name != "HOME"}
    return liput(home, "conference", *words, more=more)


def states(home: Path, server: PulseMicrophone) -> dict[str, bool]:
    done = run(home, server, "status", "--json")
    assert done.returncode == 1  # no machine of a test has such a camera
    return {check["name"]: check["ok"] for check in json.loads(done.stdout)}


def test_the_microphone_is_made_once_kept_and_taken_away(server: PulseMicrophone, tmp_path: Path) -> None:
    theirs = ".include /etc/pulse/default.pa\nload-module module-echo-cancel"  # no end of line at its end
    default = tmp_path / ".config/pulse/default.pa"
    default.parent.mkdir(parents=True, exist_ok=True)
    default.write_text(theirs)
    shown = run(tmp_path, server, "setup", "--print")
    assert shown.returncode == 0
    assert "pactl load-module module-null-sink sink_name=liput" in shown.stdout
    before = states(tmp_path, server)
    assert (before["sink"], before["microphone"]) == (False, False)  # nothing was done

    made = run(tmp_path, server, "setup")
    assert "As root:" in made.stdout
    assert "modprobe v4l2loopback" in made.stdout
    assert made.returncode == 1  # the camera is still missing, which is said
    assert "Missing:" in made.stdout
    there = states(tmp_path, server)
    assert (there["sink"], there["microphone"], there["microphone-kept"]) == (True, True, True)
    sources = server.control("list", "sources")
    assert re.search(r"Description: Liput$", sources, re.MULTILINE)
    assert "liput_microphone" in sources
    assert default.read_text().startswith(theirs)
    kept = list((tmp_path / ".config").rglob("*liput*.conf"))
    modules = server.control("list", "short", "modules")
    run(tmp_path, server, "setup")
    assert server.control("list", "short", "modules") == modules
    assert default.read_text().count("module-null-sink") == (0 if kept else 1)
    for file in kept:
        starts_with(file, tmp_path / "again")

    run(tmp_path, server, "setup", "--undo")
    there = states(tmp_path, server)
    assert (there["sink"], there["microphone"], there["microphone-kept"]) == (False, False, False)
    assert not list((tmp_path / ".config").rglob("*liput*.conf"))
    assert default.read_text().rstrip() == theirs


def starts_with(written: Path, folder: Path) -> None:
    """Fail unless PipeWire makes the microphone at its next start from the file."""
    settings = folder / "pulse-home/.config/pipewire/pipewire-pulse.conf.d"
    settings.mkdir(parents=True)
    (settings / written.name).write_text(written.read_text())
    with PipeWireMicrophone(folder) as server:
        sources = server.control("list", "short", "sources")
    assert "liput_microphone" in sources
    assert "liput.monitor" in sources


def test_without_a_sound_server_it_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    more = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = liput(tmp_path, "conference", "setup", more=more)
    assert done.returncode == 1
    assert "no sound server answers" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def places(tmp_path: Path) -> ConferencePaths:
    for folder in ("etc/modules-load.d", "etc/modprobe.d", "sys/module"):
        (tmp_path / folder).mkdir(parents=True)
    return ConferencePaths(tmp_path / "etc", tmp_path / "sys", tmp_path / "config")


def loaded(places: ConferencePaths, caps: str) -> None:
    folder = places.module / "parameters"
    folder.mkdir(parents=True)
    (folder / "exclusive_caps").write_text(caps)


def test_what_needs_root_is_only_what_is_missing(places: ConferencePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = CameraSetup(ConferenceSettings(), places)
    first = list(camera.commands())
    assert first[0].startswith("apt-get install -y linux-headers-")
    for command in first[1:-1]:  # writing the files, into folders of the test
        subprocess.run(["sh", "-c", command], check=True)
    assert first[-1] == "modprobe v4l2loopback"
    assert re.fullmatch(
        r"options v4l2loopback exclusive_caps=1 card_label=Liput video_nr=\d+\n", places.options.read_text()
    )
    assert places.load.read_text() == "v4l2loopback\n"
    loaded(places, "Y,N,N")
    monkeypatch.setattr(
        "agent.sessions.conference.find_output", lambda _: VideoOutput("/dev/video10", "Liput", is_loopback=False)
    )
    assert list(camera.commands()) == []
    assert all(check.ok for check in camera.checks())
    assert list(camera.undo_commands()) == [f"rm -f {places.load} {places.options}", "modprobe -r v4l2loopback"]


def test_options_of_somebody_else_are_left_alone_and_told(
    places: ConferencePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.modprobe / "obs.conf").write_text('options v4l2loopback card_label="OBS"\n')
    loaded(places, "N")

    def missing(word: str) -> VideoOutput:
        raise DeviceNotFound(f"no {word}")

    monkeypatch.setattr("agent.sessions.conference.find_output", missing)
    camera = CameraSetup(ConferenceSettings(), places)
    assert not any("modprobe.d" in command for command in camera.commands())
    hints = {check.name: check for check in camera.checks()}
    assert not hints["exclusive"].ok
    assert "obs.conf" in hints["options"].message
