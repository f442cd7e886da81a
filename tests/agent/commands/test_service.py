"""Installing, asking after and taking away: the files for real, systemctl as a script that notes what it is asked.

What a real systemd makes of it is in tests/proofs/service_scenario.py.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.commands import service
from agent.commands import service_units as units
from agent.commands.service_units import DAEMON, RECORDER, SOCKET, ServiceConfig, user_service_config
from config.errors import LiputError
from config.settings.schema import load_settings
from tests.support import command

SHOWN = (
    "ActiveState=active\nSubState=running\nStatusText=watching\nMainPID=42\nUnitFileState=enabled\nNRestarts=1\n"
    "Result=watchdog"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "LIPUT_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(service, "BOOTED", tmp_path)
    return tmp_path


type Asked = Callable[[], list[str]]


@pytest.fixture
def systemctl(home: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Provide what systemctl was asked."""
    programs, asked = home / "bin", home / "asked"
    programs.mkdir()
    script = programs / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$*" >>{asked}\ncase $2 in\n'
        f"show) echo '{SHOWN}';;\nlist-units) echo 'liput-recorder@3.service loaded active running Liput';;\nesac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return lambda: asked.read_text().splitlines() if asked.exists() else []


def place() -> ServiceConfig:
    return user_service_config(load_settings())


def test_a_user_service_is_written_enabled_and_started(home: Path, systemctl: Asked) -> None:
    made = units.service_files(place(), autostart=True)
    done = list(service.install_service(place(), made, now=True))
    folder = home / ".config/systemd/user"
    assert {path.name for path in folder.iterdir()} == {DAEMON, SOCKET, RECORDER}
    assert (folder / DAEMON).read_text() == made[folder / DAEMON]
    assert (home / ".local/share/applications/liput.desktop").exists()
    assert (home / ".config/autostart/liput.desktop").exists()
    assert systemctl() == [
        "--user daemon-reload",
        f"--user enable {DAEMON} {SOCKET}",
        f"--user start {SOCKET}",
        f"--user restart {DAEMON}",
    ]
    assert sum(sentence.startswith("wrote ") for sentence in done) == 5


def test_again_nothing_is_written_and_what_changed_is(home: Path, systemctl: Asked) -> None:
    made = units.service_files(place())
    list(service.install_service(place(), made, now=False))
    assert not [sentence for sentence in service.install_service(place(), made, now=False) if "wrote" in sentence]
    unit = home / ".config/systemd/user" / DAEMON
    unit.write_text(f"{units.MARK}, long ago\n")
    assert f"wrote {unit}" in list(service.install_service(place(), made, now=False))
    assert not any("restart" in words for words in systemctl())


def test_a_file_of_somebody_else_is_left_alone(home: Path, systemctl: Asked) -> None:
    unit = home / ".config/systemd/user" / DAEMON
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/mine\n")
    with pytest.raises(LiputError, match="was not made by"):
        list(service.install_service(place(), units.service_files(place()), now=True))
    assert list(service.remove_service(is_system=False)) == []
    assert unit.read_text() == "[Service]\nExecStart=/bin/mine\n"
    assert not systemctl()


def test_uninstalling_leaves_settings_and_recordings(home: Path, systemctl: Asked) -> None:
    list(service.install_service(place(), units.service_files(place(), autostart=True), now=False))
    settings, recording = home / ".config/liput/liput.toml", home / "Videos/Liput/rapat.mp4"
    for path in (settings, recording):
        path.parent.mkdir(parents=True)
        path.touch()
    assert len(list(service.remove_service(is_system=False))) == 6
    left = {path for path in home.rglob("*") if path.is_file()} - {home / "asked", home / "bin/systemctl"}
    assert left == {settings, recording}
    assert systemctl()[-2:] == [f"--user disable --now {DAEMON} {SOCKET}", "--user daemon-reload"]


def test_how_it_is_comes_from_systemd(home: Path, systemctl: Asked) -> None:
    assert not service.service_status(is_system=False).installed
    list(service.install_service(place(), units.service_files(place()), now=False))
    found = service.service_status(is_system=False)
    assert (found.active, found.status, found.pid, found.restarts) == ("active", "watching", 42, 1)
    assert (found.last_result, found.recorders) == ("watchdog", ["liput-recorder@3.service"])


def test_what_systemctl_refuses_is_told(home: Path, systemctl: Asked) -> None:
    (home / "bin/systemctl").write_text("#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n")
    with pytest.raises(LiputError, match="Failed to connect to bus: No medium found") as refused:
        list(service.install_service(place(), units.service_files(place()), now=False))
    assert "log in as that user" in refused.value.hint


def test_without_systemd_it_is_said_and_nothing_is_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BOOTED", home / "tiada")
    with pytest.raises(LiputError, match="systemd does not run this PC"):
        list(service.install_service(place(), units.service_files(place()), now=True))
    assert list(home.iterdir()) == []


# The command


def test_a_dry_run_shows_every_file_and_command_and_changes_nothing(tmp_path: Path) -> None:
    done = command.liput(tmp_path, "service", "install", "--now", "--dry-run", "--autostart")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "liput-recorder@.service:",
        "Type=notify",
        f"run systemctl --user restart {DAEMON}",
        "autostart/liput.desktop:",
    ):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_for_the_system_takes_the_named_settings(tmp_path: Path) -> None:
    file = tmp_path / "liput.toml"
    file.write_text('[archive]\npath = "/tmp/arsip"\n')
    words = ("service", "install", "--system", "--dry-run", "--config", file)
    done = command.liput(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("liput: /")
    assert done.stderr.count("\n") == 2


def test_the_status_of_none_is_1(tmp_path: Path) -> None:
    done = command.liput(tmp_path, "service", "status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) | {"files": []} == {
        "type": "service", "mode": "user", "installed": False, "enabled": "", "active": "", "sub": "", "status": "",
        "pid": 0, "restarts": 0, "last_result": "", "recorders": [], "files": [],
    }  # fmt: skip


def test_taking_away_what_is_not_there_is_said(tmp_path: Path, home: Path, systemctl: Asked) -> None:
    assert list(service.remove_service(is_system=False)) == []
    assert systemctl() == []


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    done = command.liput(tmp_path, "service", "install", "--system", "--autostart", "--dry-run")
    assert (done.returncode, "--autostart goes with a user's service" in done.stderr) == (2, True)
