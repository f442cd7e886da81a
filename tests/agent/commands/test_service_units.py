"""The units, judged by systemd's own tools."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from agent.commands import service_units as units
from agent.commands.service_units import (
    KEYS,
    ServiceConfig,
    system_service_config,
    user_service_config,
    writable_folders,
)
from config.errors import UsageError
from config.settings.schema import load_settings
from devices.host.priority import REALTIME, SOUND_NICE

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
MOST_EXPOSED = "--threshold=20"
"""Of 100: an exposure of 2.0."""


def written(folder: Path, place: ServiceConfig) -> list[str]:
    """Write the units of a place, with an instance of the template, and return their paths."""
    for name, text in units.units(place).items():
        (folder / name.replace("@.", "@7.")).write_text(text)
        (folder / name).write_text(text)
    return [str(folder / name) for name in (units.DAEMON, units.SOCKET, IN_USE)]


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


@pytest.mark.parametrize("name", [units.DAEMON, IN_USE])
def test_they_are_exposed_to_little(tmp_path: Path, name: str) -> None:
    written(tmp_path, SYSTEM)
    done = analyzed("security", "--offline=true", MOST_EXPOSED, "--no-pager", str(tmp_path / name), runtime=tmp_path)
    (exposure,) = re.findall(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert (done.returncode, float(exposure) <= 2.0) == (0, True), done.stdout


@pytest.mark.parametrize(
    "taken", ["CapabilityBoundingSet=\n", "ProtectSystem=strict\n", "SystemCallFilter=@system-service\n"]
)
def test_the_judge_would_notice_what_is_missing(tmp_path: Path, taken: str) -> None:
    written(tmp_path, SYSTEM)
    unit = tmp_path / units.DAEMON
    text = unit.read_text()
    assert taken in text
    unit.write_text(text.replace(taken, ""))
    before = analyzed("security", "--offline=true", "--no-pager", str(tmp_path / IN_USE), runtime=tmp_path).stdout
    after = analyzed("security", "--offline=true", "--no-pager", str(unit), runtime=tmp_path).stdout
    levels = [float(re.findall(r"exposure level for \S+: ([\d.]+)", text)[0]) for text in (before, after)]
    assert levels[1] > levels[0]


def test_what_keeps_a_session_alive_is_in_them() -> None:
    made = {name: settings_of(text) for name, text in units.units(SYSTEM).items()}
    daemon, socket, recorder = made[units.DAEMON], made[units.SOCKET], made[units.RECORDER]
    assert (daemon["Type"], daemon["WatchdogSec"], daemon["Restart"]) == (["notify"], ["20"], ["on-failure"])
    assert f"LIPUT_RECORDERS={socket['ListenStream'][0]}" in daemon["Environment"]
    assert socket["Accept"] == ["yes"]
    assert recorder["StandardInput"] == recorder["StandardOutput"] == ["socket"]
    assert recorder["LimitNOFILE"] == daemon["LimitNOFILE"] == ["4096"]
    assert daemon["RuntimeDirectoryPreserve"] == recorder["RuntimeDirectoryPreserve"] == ["yes"]
    assert not {"Requires", "BindsTo", "PartOf"} & recorder.keys(), "nothing that becomes of another unit ends it"


def test_recorders_may_go_before_other_programs_and_their_sound_before_everything() -> None:
    for place in (SYSTEM, USER):
        made = {name: settings_of(text) for name, text in units.units(place).items()}
        daemon, recorder = made[units.DAEMON], made[units.RECORDER]
        assert recorder["LimitNICE"] == daemon["LimitNICE"] == [str(SOUND_NICE)], "a check sees what recorders may"
        assert recorder["LimitRTPRIO"] == daemon["LimitRTPRIO"] == [str(REALTIME)]
        assert "RestrictRealtime" not in recorder
        assert daemon["RestrictRealtime"] == ["yes"]
        assert {"setpriority", "sched_setscheduler"} <= set(" ".join(recorder["SystemCallFilter"]).split())


def test_a_system_service_writes_where_the_settings_say_and_sees_what_it_needs() -> None:
    recorder = settings_of(units.units(SYSTEM)[units.RECORDER])
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


def test_the_folders_are_those_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "liput.toml"
    file.write_text(SETTINGS)
    assert writable_folders(load_settings(file)) == [
        Path(path) for path in ("/srv/arsip", "/mnt/kedua", "/srv/permohonan", "/mnt/nas/liput", "/var/www/hls")
    ]
    file.write_text("")
    assert writable_folders(load_settings(file)) == [], "the default is the service's own"


@pytest.mark.parametrize(
    ("archive", "python", "home", "wrong"),
    [
        ("/tmp/arsip", "/usr/bin/python3", "/opt/liput", "/tmp/arsip is a folder for temporary files"),
        ("/srv/arsip", "/usr/bin/python3", "/home/it/liput", "/home/it/liput is out of a system service's reach"),
        ("/srv/arsip", "/root/venv/bin/python", "/opt/liput", "/root/venv/bin/python is out of"),
    ],
)
def test_what_a_system_service_could_not_see_is_refused(
    tmp_path: Path, archive: str, python: str, home: str, wrong: str
) -> None:
    file = tmp_path / "liput.toml"
    file.write_text(f'[archive]\npath = "{archive}"\n')
    with pytest.raises(UsageError, match=re.escape(wrong)):
        system_service_config(load_settings(file), python=python, home=Path(home))


def test_an_archive_in_a_home_is_writable_and_the_rest_of_it_is_not(tmp_path: Path) -> None:
    file = tmp_path / "liput.toml"
    file.write_text('[archive]\npath = "/home/humas/arsip"\n')
    place = system_service_config(load_settings(file), python="/usr/bin/python3", home=Path("/opt/liput"))
    recorder = settings_of(units.units(place)[units.RECORDER])
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
        done = subprocess.run(
            ["systemd-sysusers", f"--root={root}", str(config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    passwd = (root / "etc/passwd").read_text()
    assert re.search(r"^liput:x:\d+:\d+:Liput:/var/lib/liput:", passwd, re.MULTILINE)
    groups = dict(re.findall(r"^(\w+):x:\d+:(\w*)$", (root / "etc/group").read_text(), re.MULTILINE))
    assert groups == {"liput": "", "humas": "liput", "video": "liput", "audio": "liput"}


def test_the_launcher_opens_the_page_whatever_the_folder_is_called() -> None:
    place = user_service_config(load_settings(), config=None)
    lines = dict(line.split("=", 1) for line in units.launcher(place).splitlines() if "=" in line)
    assert (lines["Type"], lines["Name"], lines["Terminal"]) == ("Application", "Liput", "false")
    odd = ServiceConfig(is_system=False, program=("/opt/li put/100%/python",), python_path=None)
    (line,) = [line for line in units.launcher(odd).splitlines() if line.startswith("Exec=")]
    assert line == 'Exec="/opt/li put/100%%/python" -P -m agent.cli.main'
    (line,) = [line for line in units.launcher(SYSTEM).splitlines() if line.startswith("Exec=")]
    assert line == "Exec=env PYTHONPATH=/opt/liput LIPUT_RUNTIME=/run/liput /usr/bin/python3 -P -m agent.cli.main"
