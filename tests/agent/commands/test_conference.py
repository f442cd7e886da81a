"""`liput conference`: what is missing is said, what can be done without root is done, once, and undone."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.commands import conference
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
    assert (states(tmp_path, server)["sink"], states(tmp_path, server)["microphone"]) == (False, False)
    shown = run(tmp_path, server, "setup", "--print")
    assert shown.returncode == 0
    assert "pactl load-module module-null-sink sink_name=liput" in shown.stdout
    assert not states(tmp_path, server)["sink"]  # nothing was done

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

    before = server.control("list", "short", "modules")
    run(tmp_path, server, "setup")
    assert server.control("list", "short", "modules") == before
    run(tmp_path, server, "setup", "--undo")
    there = states(tmp_path, server)
    assert (there["sink"], there["microphone"], there["microphone-kept"]) == (False, False, False)
    assert not list((tmp_path / ".config").rglob("*liput*.conf"))
    assert not (tmp_path / ".config/pulse/default.pa").exists()


def test_what_a_person_wrote_into_the_file_of_pulseaudio_stays(tmp_path: Path) -> None:
    theirs = ".include /etc/pulse/default.pa\nload-module module-echo-cancel"  # no end of line at its end
    path = tmp_path / ".config/pulse/default.pa"
    path.parent.mkdir(parents=True)
    path.write_text(theirs)
    with PulseMicrophone(tmp_path) as server:
        run(tmp_path, server, "setup")
        assert path.read_text().startswith(f"{theirs}\n#")
        assert path.read_text().count("module-null-sink") == 1
        run(tmp_path, server, "setup")
        assert path.read_text().count("module-null-sink") == 1
        run(tmp_path, server, "setup", "--undo")
    assert path.read_text() == f"{theirs}\n"


def test_pipewire_makes_the_microphone_at_its_next_start(tmp_path: Path) -> None:
    with PipeWireMicrophone(tmp_path) as server:
        run(tmp_path, server, "setup")
    written = tmp_path / ".config/pipewire/pipewire-pulse.conf.d/liput-conference.conf"
    again = tmp_path / "again"
    settings = again / "pulse-home/.config/pipewire/pipewire-pulse.conf.d"
    settings.mkdir(parents=True)
    (settings / written.name).write_text(written.read_text())
    with PipeWireMicrophone(again) as server:
        sources = server.control("list", "short", "sources")
    assert "liput_microphone" in sources
    assert "liput.monitor" in sources


def test_without_a_sound_server_it_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    more = {"PULSE_SERVER": f"unix:{tmp_path}/none", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = liput(tmp_path, "conference", "setup", more=more)
    assert done.returncode == 1
    assert "no sound server answers" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["", "/no-such-folder"])
def test_modinfo_is_not_on_everybodys_path(path: str, places: ConferencePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", path)
    camera = CameraSetup(ConferenceSettings(camera="No such camera"), places)
    assert next(check.name for check in camera.checks()) == "module"
    loaded(places, "Y")
    assert camera.is_installed


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


@pytest.mark.skipif(os.geteuid() != 0, reason="does what root does")
def test_what_root_makes_is_for_every_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conference, "can_ask", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_words, **_named: True)
    before = os.umask(0o077)
    try:
        assert conference._as_root([f"echo options > '{tmp_path}/liput.conf'"], only_print=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "liput.conf").stat().st_mode) == 0o644
