"""The service: its units judged by systemd's own tools, and its installing with a script in place of systemctl."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.commands import service
from agent.commands import service_units as units
from agent.commands.service_units import DAEMON, KEYS, RECORDER, SOCKET, ServiceConfig
from config.errors import LiputError, UsageError
from config.settings.schema import load_settings, read_settings
from devices.host.priority import REALTIME, SOUND_NICE
from tests.support import command

SYSTEM = ServiceConfig(
    is_system=True,
    program=("/usr/bin/python3",),
    python_path=Path("/opt/liput"),
    operators="humas",
    groups=("video", "audio"),
    writable=(Path("/srv/arsip sidang 100%"), Path("/mnt/cadangan")),
    keys=KEYS,
)
USER = ServiceConfig(is_system=False, program=("/usr/bin/python3",), python_path=Path("/home/rapat/liput"))
IN_USE = "liput-recorder@7.service"


def written(folder: Path, place: ServiceConfig) -> list[str]:
    """Write the units of a place, with an instance of the template, and return their paths."""
    for name, text in units.units(place).items():
        (folder / name.replace("@.", "@7.")).write_text(text)
        (folder / name).write_text(text)
    return [str(folder / name) for name in (DAEMON, SOCKET, IN_USE)]


def analyzed(*words: str, runtime: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["systemd-analyze", *words], env=os.environ | {"XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def settings_of(unit: str) -> dict[str, list[str]]:
    """Return what a unit says, by its keys."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(("place", "mode"), [(SYSTEM, "--system"), (USER, "--user")])
def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path, place: ServiceConfig, mode: str) -> None:
    done = analyzed(mode, "verify", "--man=no", *written(tmp_path, place), runtime=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", [DAEMON, IN_USE])
def test_they_are_exposed_to_little(tmp_path: Path, name: str) -> None:
    written(tmp_path, SYSTEM)
    done = analyzed(
        "security", "--offline=true", "--threshold=20", "--no-pager", str(tmp_path / name), runtime=tmp_path
    )
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert (done.returncode, float(exposure) <= 2.0) == (0, True), done.stdout


def test_what_keeps_a_session_alive_is_in_them() -> None:
    made = {name: settings_of(text) for name, text in units.units(SYSTEM).items()}
    daemon, socket, recorder = made[DAEMON], made[SOCKET], made[RECORDER]
    assert (daemon["Type"], daemon["WatchdogSec"], daemon["Restart"]) == (["notify"], ["20"], ["on-failure"])
    assert f"LIPUT_RECORDERS={socket['ListenStream'][0]}" in daemon["Environment"]
    assert socket["Accept"] == ["yes"]
    assert recorder["StandardInput"] == recorder["StandardOutput"] == ["socket"]
    assert recorder["LimitNOFILE"] == daemon["LimitNOFILE"] == ["4096"]
    assert recorder["UMask"] == daemon["UMask"] == ["0027"]
    assert daemon["RuntimeDirectoryPreserve"] == recorder["RuntimeDirectoryPreserve"] == ["yes"]
    assert not {"Requires", "BindsTo", "PartOf"} & recorder.keys(), "nothing that becomes of another unit ends it"


def test_recorders_may_go_before_other_programs_and_their_sound_before_everything() -> None:
    for place in (SYSTEM, USER):
        made = {name: settings_of(text) for name, text in units.units(place).items()}
        daemon, recorder = made[DAEMON], made[RECORDER]
        assert recorder["LimitNICE"] == daemon["LimitNICE"] == [str(SOUND_NICE)], "a check sees what recorders may"
        assert recorder["LimitRTPRIO"] == daemon["LimitRTPRIO"] == [str(REALTIME)]
        assert "RestrictRealtime" not in recorder
        assert daemon["RestrictRealtime"] == ["yes"]
        assert {"setpriority", "sched_setscheduler"} <= set(" ".join(recorder["SystemCallFilter"]).split())


def test_a_system_service_writes_where_the_settings_say_and_sees_what_it_needs() -> None:
    recorder = settings_of(units.units(SYSTEM)[RECORDER])
    assert recorder["ReadWritePaths"] == ['"-/srv/arsip sidang 100%%"', "-/mnt/cadangan"]
    assert recorder["ProtectHome"] == ["yes"]
    assert recorder["User"] == ["liput"]
    assert (recorder["Group"], recorder["SupplementaryGroups"]) == (["humas"], ["video audio"])
    assert "LIPUT_OPERATORS=humas" in recorder["Environment"]
    assert recorder["LoadCredential"] == [f"liput-keys:{KEYS}"]
    assert "char-video4linux rw" in recorder["DeviceAllow"]
    assert "AF_NETLINK" in recorder["RestrictAddressFamilies"][0]


def test_a_user_service_asks_for_nothing_that_a_user_manager_has_not() -> None:
    text = "".join(units.units(USER).values())
    assert not re.findall(
        r"^(?:User|Protect\w+|Private\w+|Device\w+|Capability\w+|ReadWritePaths|LoadCred\w+)=", text, re.MULTILINE
    )
    assert "LIPUT_OPERATORS" not in text
    assert "UMask=0027" not in text
    assert text.count("UMask=0077") == 2


FILE = Path("/etc/liput/liput.toml")
SETTINGS = """
[archive]
path = "/srv/arsip"
[storage]
paths = ["/mnt/kedua", "/srv/arsip"]
[request]
path = "/srv/permohonan"
[copies.nas]
url = "file:///mnt/nas/liput"
[copies.s3]
url = "s3://arsip/liput"
endpoint = "https://s3.kampus.ac.id"
[destinations.web]
url = "file:///var/www/hls"
"""


def test_the_folders_are_those_of_the_settings() -> None:
    assert units.writable_folders(read_settings(SETTINGS, FILE)) == [
        Path(path) for path in ("/srv/arsip", "/mnt/kedua", "/srv/permohonan", "/mnt/nas/liput", "/var/www/hls")
    ]
    assert units.writable_folders(read_settings("", FILE)) == [], "the default is the service's own"


def system_service(archive: str, home: str = "/opt/liput") -> ServiceConfig:
    settings = read_settings(f'[archive]\npath = "{archive}"\n', FILE)
    return units.system_service_config(settings, python="/usr/bin/python3", home=Path(home))


def test_what_a_system_service_could_not_see_is_refused() -> None:
    with pytest.raises(UsageError, match="/tmp/arsip is a folder for temporary files"):
        system_service("/tmp/arsip")
    with pytest.raises(UsageError, match="/home/it/liput is out of a system service's reach"):
        system_service("/srv/arsip", home="/home/it/liput")


def test_an_archive_in_a_home_is_writable_and_the_rest_of_it_is_not() -> None:
    recorder = settings_of(units.units(system_service("/home/humas/arsip"))[RECORDER])
    assert (recorder["ProtectHome"], recorder["ReadWritePaths"]) == (["read-only"], ["-/home/humas/arsip"])


# The other files


def test_udev_finds_nothing_wrong_with_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / units.UDEV_RULES.name
    rules.write_text(units.RULES)
    done = subprocess.run(["udevadm", "verify", rules], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert units.UDEV_RULES.name < "73-seat-late.rules"


def test_the_users_are_taken_by_sysusers(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    config = root / "liput.conf"
    config.write_text(units.users(SYSTEM))
    for _ in range(2):
        words = ["systemd-sysusers", f"--root={root}", str(config)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
    passwd = (root / "etc/passwd").read_text()
    assert re.search(r"^liput:x:\d+:\d+:Liput:/var/lib/liput:", passwd, re.MULTILINE)
    groups = dict(re.findall(r"^(\w+):x:\d+:(\w*)$", (root / "etc/group").read_text(), re.MULTILINE))
    assert groups == {"liput": "", "humas": "liput", "video": "liput", "audio": "liput"}


def test_the_launcher_opens_the_page_whatever_the_folder_is_called() -> None:
    place = units.user_service_config(load_settings(), config=None)
    lines = dict(line.split("=", 1) for line in units.launcher(place).splitlines() if "=" in line)
    assert (lines["Type"], lines["Name"], lines["Terminal"]) == ("Application", "Liput", "false")
    odd = ServiceConfig(is_system=False, program=("/opt/li put/100%/python",), python_path=None)
    (line,) = [line for line in units.launcher(odd).splitlines() if line.startswith("Exec=")]
    assert line == 'Exec="/opt/li put/100%%/python" -P -m agent.cli.main'
    (line,) = [line for line in units.launcher(SYSTEM).splitlines() if line.startswith("Exec=")]
    assert line == "Exec=env PYTHONPATH=/opt/liput LIPUT_RUNTIME=/run/liput /usr/bin/python3 -P -m agent.cli.main"


# Installing, asking after and taking away

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
    return units.user_service_config(load_settings())


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
    assert list(service.remove_service(is_system=False)) == systemctl() == [], "there is nothing to take away"
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
    for words in ("liput-recorder@.service:", f"run systemctl --user restart {DAEMON}", "autostart/liput.desktop:"):
        assert words in done.stdout
    assert list(tmp_path.iterdir()) == []
    done = command.liput(tmp_path, "service", "install", "--system", "--autostart", "--dry-run")
    assert (done.returncode, "--autostart goes with a user's service" in done.stderr) == (2, True)


def test_the_status_of_none_is_1(tmp_path: Path) -> None:
    done = command.liput(tmp_path, "service", "status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) | {"files": []} == {
        "type": "service", "mode": "user", "installed": False, "enabled": "", "active": "", "sub": "", "status": "",
        "pid": 0, "restarts": 0, "last_result": "", "recorders": [], "files": [],
    }  # fmt: skip
