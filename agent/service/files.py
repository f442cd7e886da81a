"""The files of an installed service, as text by their places: units, the launcher of the desktop, udev's rules."""

import os
from pathlib import Path

import platformdirs

from agent.service.units import DAEMON, RECORDER, SOCKET, STATE, USER, Place, units
from config.files import of_mode, replace_file
from recorder.running.directory import VARIABLE as RUNTIME

MARK = "# Made by `liput service install`"
"""Begins every file that is ours to write anew and to remove."""

SYSTEM_UNITS = Path("/etc/systemd/system")
SYSTEM_USERS = Path("/etc/sysusers.d/liput.conf")
UDEV_RULES = Path("/etc/udev/rules.d/70-liput.rules")
SYSTEM_RUNTIME = Path("/run/liput")
SYSTEM_LAUNCHER = Path("/usr/local/share/applications/liput.desktop")

RULES = f"""{MARK}.
# Whoever sits at this PC may use its cameras and sound, and so may the groups that the service is in.
# Before 73-seat-late.rules, which carries uaccess out.
ACTION=="remove", GOTO="liput_end"
SUBSYSTEM=="video4linux", GROUP="video", MODE="0660", TAG+="uaccess"
SUBSYSTEM=="media", GROUP="video", MODE="0660", TAG+="uaccess"
SUBSYSTEM=="sound", GROUP="audio", MODE="0660", TAG+="uaccess"
LABEL="liput_end"
"""


def files(place: Place, *, autostart: bool = False) -> dict[Path, str]:
    """Return the text of each file of a service, by its place."""
    made = {units_folder(is_system=place.is_system) / name: text for name, text in units(place).items()}
    desktop = launcher(place)
    made[SYSTEM_LAUNCHER if place.is_system else user_launcher()] = desktop
    if autostart:
        made[autostart_entry()] = desktop
    if place.is_system:
        made[SYSTEM_USERS] = users(place)
        made[UDEV_RULES] = RULES
    return made


def places(*, is_system: bool) -> list[Path]:
    """Return where the files of a service may be."""
    folder = units_folder(is_system=is_system)
    found = [folder / name for name in (DAEMON, SOCKET, RECORDER)]
    if is_system:
        return [*found, SYSTEM_LAUNCHER, SYSTEM_USERS, UDEV_RULES]
    return [*found, user_launcher(), autostart_entry()]


def units_folder(*, is_system: bool) -> Path:
    """Return where the units are."""
    return SYSTEM_UNITS if is_system else platformdirs.user_config_path() / "systemd" / "user"


def user_launcher() -> Path:
    """Return where the launcher of this user's desktop is."""
    return platformdirs.user_data_path() / "applications" / "liput.desktop"


def autostart_entry() -> Path:
    """Return what opens Liput's page when this user logs in."""
    return platformdirs.user_config_path() / "autostart" / "liput.desktop"


def users(place: Place) -> str:
    """Return who the service is, for systemd-sysusers."""
    lines = [MARK + ".", f'u {USER} - "Liput" {STATE}']
    lines += [f"g {place.operators} -"] if place.operators != USER else []
    lines += [f"m {USER} {group}" for group in (place.operators, *place.groups) if group != USER]
    return "\n".join(lines) + "\n"


def launcher(place: Place) -> str:
    """Return the desktop's launcher, which opens the page: that of the service, whoever is at the desktop."""
    path = [f"PYTHONPATH={place.python_path}"] if place.python_path else []
    variables = [*path, *([f"{RUNTIME}={SYSTEM_RUNTIME}"] if place.is_system else [])]
    words = [*(("env", *variables) if variables else ()), *place.run("agent.cli.main")]
    return "\n".join([
        MARK + ".",
        "[Desktop Entry]",
        "Type=Application",
        "Name=Liput",
        "GenericName=Conference recorder",
        "GenericName[id]=Perekam rapat",
        "Comment=Record, stream and archive what happens in this room",
        "Comment[id]=Rekam, siarkan, dan arsipkan acara di ruang ini",
        f"Exec={' '.join(_quoted(word) for word in words)}",
        "Icon=camera-video",
        "Terminal=false",
        "Categories=AudioVideo;Recorder;",
        "StartupNotify=true",
        "",
    ])  # fmt: skip


def is_ours(path: Path) -> bool:
    """Return whether the file at `path` is one that we have made. Raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def write(path: Path, text: str) -> None:
    """Write a file that everybody may read, in one step for readers. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), of_mode(0o644), durable=False)


def _quoted(word: str | os.PathLike[str]) -> str:
    """Write a word of a launcher's command, by the rules of the Desktop Entry Specification."""
    text = str(word)
    if not any(character in text for character in " \t\n\"'\\><~|&;$*?#()`%"):
        return text
    for character in '\\"`$':
        text = text.replace(character, f"\\{character}")
    # A backslash counts twice: the value is a string of the file before it is a command.
    return '"' + text.replace("\\", "\\\\").replace("%", "%%") + '"'
