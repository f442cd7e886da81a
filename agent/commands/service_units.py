"""The files of an installed service, as text: systemd units, sysusers, udev rules, the desktop's launcher.

liput.service            the daemon, with a watchdog
liput-recorder.socket    starts a recorder for each connection (recorder.control.launch): the daemon needs no rights
liput-recorder@.service  one recorder, which outlives the daemon
"""

import grp
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from config.errors import UsageError
from config.files import replace_file, with_mode
from config.settings.addresses import folder_of
from config.settings.schema import SYSTEM_FILE, Settings
from devices.host import priority
from devices.host.child import HOME
from recorder.control import launch
from recorder.running import access
from recorder.running.runtime_directory import RUNTIME_VARIABLE as RUNTIME

USER = "liput"
STATE = Path("/var/lib/liput")
DEVICE_GROUPS = ("video", "audio", "render")
KEYS = Path("/etc/liput/keys.toml")
CLOSED = (Path("/home"), Path("/root"), Path("/run/user"))  # hidden from a system service, unless an archive is there
EMPTIED = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - nothing is kept there
"""A system service has private folders there."""


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """The facts behind the units.

    Members of the group `operators` may control recorders; `groups` may open devices. `writable` has the folders of the
    settings; the service gets the file `keys`.
    """

    is_system: bool
    program: Sequence[str]
    python_path: Path | None
    config: Path | None = None
    operators: str = USER
    groups: Sequence[str] = ()
    writable: Sequence[Path] = ()
    keys: Path | None = None

    def run(self, module: str, *words: str) -> Sequence[str]:
        return (*self.program, "-P", "-m", module, *words)


def system_service_config(
    settings: Settings, *, operators: str = USER, python: str = sys.executable, home: Path = HOME
) -> ServiceConfig:
    """Return the place of a system service. Raises UsageError if it could not work."""
    for path in (Path(python), home):
        if _is_in(path, (*CLOSED, *EMPTIED)):
            raise UsageError(
                f"{path} is out of a system service's reach",
                hint="install Liput where every user may read it, as /opt/liput; or leave out --system",
            )
    writable = writable_folders(settings)
    for folder in writable:
        if _is_in(folder, EMPTIED):
            raise UsageError(
                f"{folder} is a folder for temporary files; a system service has its own",
                hint="name another folder in the settings, as /srv/liput",
            )
    keys = settings.keys_file or KEYS
    return ServiceConfig(
        is_system=True,
        program=(python,),
        python_path=_python_path(home),
        config=settings.file if settings.file and settings.file != SYSTEM_FILE else None,
        operators=operators,
        groups=[name for name in DEVICE_GROUPS if _is_group(name)],
        writable=writable,
        keys=keys if keys.is_file() else None,
    )


def user_service_config(settings: Settings, *, config: Path | None = None) -> ServiceConfig:
    """Return the place of a user's service; `config` is the settings file, if named."""
    return ServiceConfig(
        is_system=False,
        program=(sys.executable,),
        python_path=_python_path(HOME),
        config=config.absolute() if config else None,
        writable=writable_folders(settings),
    )


def writable_folders(settings: Settings) -> list[Path]:
    """Return the folders for recordings, copies, streams and papers in the settings."""
    named = [settings.archive.path] if ("archive", "path") in settings.lines else []
    named += settings.storage.paths
    named += [settings.request.path] if settings.request.path else []
    named += [folder_of(target.url) for target in settings.copies.values() if target.scheme == "file"]
    named += [folder_of(target.url) for target in settings.destinations.values() if target.scheme == "file"]
    return list(dict.fromkeys(Path(os.path.normpath(path)) for path in named))


def _python_path(home: Path) -> Path | None:
    """Return the folder of our packages; None if Python finds them."""
    return None if home.is_relative_to(sys.prefix) and home.name == "site-packages" else home


def _is_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


DAEMON, SOCKET, RECORDER = "liput.service", "liput-recorder.socket", "liput-recorder@.service"
ADDRESS = "%t/liput-recorders.sock"

# `setpriority` is for the granted limits; without permission it just fails. udev reports plugs by AF_NETLINK.
HARDENED = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=setpriority sched_setscheduler
SystemCallErrorNumber=EPERM
"""
"""Also for a user's service manager."""

CONFINED = """\
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateTmp=yes
RemoveIPC=yes
KeyringMode=private
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-alsa rw
DeviceAllow=char-drm rw
DeviceAllow=char-usb_device rw
"""
"""For the system's service manager only. Recorders and daemon see cameras and sound, no other hardware."""


def units(place: ServiceConfig) -> dict[str, str]:
    texts = {DAEMON: _daemon(place), SOCKET: _socket(place), RECORDER: _recorder(place)}
    return {
        name: f"{MARK}, which writes it anew; what is changed belongs into a drop-in.\n{text}"
        for name, text in texts.items()
    }


def _daemon(place: ServiceConfig) -> str:
    config = ("--config", str(place.config)) if place.config else ()
    # With KillMode=process, a recorder without a unit of its own (recorder.control.launch) survives.
    return f"""\
[Unit]
Description=Liput: the conference room's sessions and archive
Requires={SOCKET}
After={SOCKET} network.target sound.target
StartLimitIntervalSec=0
{_drivers(place)}
[Service]
Type=notify
NotifyAccess=main
ExecStart={_command(place.run("agent.cli.main", "serve", *config))}
WatchdogSec=20
TimeoutAbortSec=5
TimeoutStopSec=20
Restart=on-failure
RestartSec=1
OOMPolicy=continue
KillMode=process
Environment={launch.RECORDERS_VARIABLE}={ADDRESS}
CPUWeight=50
RestrictRealtime=yes
{_common(place)}
[Install]
WantedBy={"multi-user.target" if place.is_system else "default.target"}
"""


def _socket(place: ServiceConfig) -> str:
    user = f"SocketUser={USER}\n" if place.is_system else ""
    return f"""\
[Unit]
Description=Liput: starts a recorder for each connection

[Socket]
ListenStream={ADDRESS}
Accept=yes
MaxConnections=16
SocketMode=0600
{user}RemoveOnStop=yes

[Install]
WantedBy=sockets.target
"""


def _recorder(place: ServiceConfig) -> str:
    score = "OOMScoreAdjust=-500\n" if place.is_system else ""
    # Its children end with it; at shutdown it has 300 s to close and seal its recording.
    return f"""\
[Unit]
Description=Liput: recorder %i
CollectMode=inactive-or-failed
{_drivers(place)}
[Service]
ExecStart={_command(place.run(launch.MODULE, launch.UNIT_ARGUMENT))}
StandardInput=socket
StandardOutput=socket
StandardError=journal
KillMode=mixed
TimeoutStopSec=300
OOMPolicy=continue
{score}CPUWeight=500
IOWeight=500
{_common(place)}"""


def _drivers(place: ServiceConfig) -> str:
    """Load drivers first: DeviceAllow ignores groups that the kernel does not know yet."""
    services = " ".join(f"modprobe@{module}.service" for module in ("videodev", "snd", "drm"))
    return f"Wants={services}\nAfter={services}\n" if place.is_system else ""


def _common(place: ServiceConfig) -> str:
    python = f"Environment={_quoted(f'PYTHONPATH={place.python_path}')}\n" if place.python_path else ""
    # Restarts must find the recorders (RuntimeDirectoryPreserve). The page needs some hundreds of files
    # (agent/web/http/limits.py). Operators may read recordings; nobody else may (UMask). The daemon has the limits
    # of recorders (devices/host/priority.py) for its check only.
    return f"""\
Slice=liput.slice
RuntimeDirectory=liput
RuntimeDirectoryMode={"0750" if place.is_system else "0700"}
RuntimeDirectoryPreserve=yes
Environment={RUNTIME}=%t/liput
{python}LimitNOFILE=4096
UMask={"0027" if place.is_system else "0077"}
LimitNICE={priority.SOUND_NICE}
LimitRTPRIO={priority.REALTIME}
{HARDENED}{_system_only(place) if place.is_system else ""}"""


def _system_only(place: ServiceConfig) -> str:
    groups = f"SupplementaryGroups={' '.join(place.groups)}\n" if place.groups else ""
    keys = f"LoadCredential=liput-keys:{place.keys}\n" if place.keys else ""
    home = "read-only" if any(_is_in(folder, CLOSED) for folder in place.writable) else "yes"
    # A disk may be absent and come back ("-").
    writable = "".join(f"ReadWritePaths={_quoted(f'-{folder}')}\n" for folder in place.writable)
    return f"""\
User={USER}
Group={place.operators}
{groups}StateDirectory=liput
StateDirectoryMode=0750
Environment=LIPUT_STATE={STATE}
Environment={access.OPERATORS_VARIABLE}={place.operators}
{keys}{CONFINED}ProtectHome={home}
{writable}"""


def _command(words: Sequence[str]) -> str:
    return " ".join(_quoted(word.replace("$", "$$")) for word in words)


def _quoted(word: str | Path) -> str:
    """Quote a word for systemd: blanks, quotes, specifiers."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(character in text for character in " \t'\"\\") else text


MARK = "# Made by `liput service install`"  # the first words of files that install and uninstall may change

SYSTEM_UNITS = Path("/etc/systemd/system")
SYSTEM_USERS = Path("/etc/sysusers.d/liput.conf")
UDEV_RULES = Path("/etc/udev/rules.d/70-liput.rules")
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


def service_files(place: ServiceConfig, *, autostart: bool = False) -> dict[Path, str]:
    made = {units_folder(is_system=place.is_system) / name: text for name, text in units(place).items()}
    desktop = launcher(place)
    made[SYSTEM_LAUNCHER if place.is_system else user_launcher()] = desktop
    if autostart:
        made[autostart_entry()] = desktop
    if place.is_system:
        made[SYSTEM_USERS] = users(place)
        made[UDEV_RULES] = RULES
    return made


def service_paths(*, is_system: bool) -> list[Path]:
    folder = units_folder(is_system=is_system)
    found = [folder / name for name in (DAEMON, SOCKET, RECORDER)]
    if is_system:
        return [*found, SYSTEM_LAUNCHER, SYSTEM_USERS, UDEV_RULES]
    return [*found, user_launcher(), autostart_entry()]


def units_folder(*, is_system: bool) -> Path:
    return SYSTEM_UNITS if is_system else platformdirs.user_config_path() / "systemd" / "user"


def user_launcher() -> Path:
    return platformdirs.user_data_path() / "applications" / "liput.desktop"


def autostart_entry() -> Path:
    """Return the path of the entry that opens the page at login."""
    return platformdirs.user_config_path() / "autostart" / "liput.desktop"


def users(place: ServiceConfig) -> str:
    """Return the service's user and groups, for systemd-sysusers."""
    lines = [MARK + ".", f'u {USER} - "Liput" {STATE}']
    lines += [f"g {place.operators} -"] if place.operators != USER else []
    lines += [f"m {USER} {group}" for group in (place.operators, *place.groups) if group != USER]
    return "\n".join(lines) + "\n"


def launcher(place: ServiceConfig) -> str:
    """Return the desktop's launcher, which opens the page of the service."""
    path = [f"PYTHONPATH={place.python_path}"] if place.python_path else []
    variables = [*path, *([f"{RUNTIME}=/run/liput"] if place.is_system else [])]
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
        f"Exec={' '.join(_desktop_quoted(word) for word in words)}",
        "Icon=camera-video",
        "Terminal=false",
        "Categories=AudioVideo;Recorder;",
        "StartupNotify=true",
        "",
    ])  # fmt: skip


def is_ours(path: Path) -> bool:
    """Return whether Liput made a file. Raises OSError."""
    return path.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def write_public(path: Path, text: str) -> None:
    """Replace a file that everybody may read. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, text.encode(), with_mode(0o644), durable=False)


def _desktop_quoted(word: str | os.PathLike[str]) -> str:
    """Quote a word of a launcher's command by the Desktop Entry Specification."""
    text = str(word)
    if not any(character in text for character in " \t\n\"'\\><~|&;$*?#()`%"):
        return text
    for character in '\\"`$':
        text = text.replace(character, f"\\{character}")
    # A backslash counts twice: in the value's string and in the command.
    return '"' + text.replace("\\", "\\\\").replace("%", "%%") + '"'
