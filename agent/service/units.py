"""The units of systemd that Liput is, as text: the daemon, and each recorder in a unit of its own.

liput.service            the daemon: Type=notify, with a watchdog
liput-recorder.socket    a connection starts a recorder (recorder.control.launched), so the daemon needs no rights
liput-recorder@.service  one recorder: the end of the daemon does not touch it
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.service.place import STATE, USER, Place, is_closed
from devices.host import priority
from recorder.control import launched, operators
from recorder.control.directory import VARIABLE as RUNTIME

DAEMON, SOCKET, RECORDER = "liput.service", "liput-recorder.socket", "liput-recorder@.service"
SLICE = "liput.slice"
ADDRESS = "%t/liput-recorders.sock"
WATCHDOG_S = 20
MOST_RECORDERS = 16
END_S = 300
"""How long a recorder may take to close its recording and put it into the archive, when the PC is shut down."""

MOST_FILES = 4096
"""Descriptors of the daemon and of a recorder; the page takes some hundreds at most (agent/web/limits.py)."""

type Section = Sequence[tuple[str, str]]

KNOWN_CALLS = "@system-service"
FORBIDDEN_CALLS = "~@privileged @resources"
NICE_CALLS = "setpriority sched_setscheduler"
"""Of those: to be nicer to others, and what GRANTED allows. What has no right gets an error and goes on."""

GRANTED: Section = (
    ("LimitNICE", str(priority.SOUND_NICE)),
    ("LimitRTPRIO", str(priority.REALTIME)),
)
"""What a recorder asks for (devices/host/priority.py). The daemon has the same limits, so that its check sees what
those of recorders are; it asks for nothing. A user's service manager gives what it has itself."""

HARDENED: Section = (
    ("NoNewPrivileges", "yes"),
    ("LockPersonality", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", KNOWN_CALLS),
    ("SystemCallFilter", FORBIDDEN_CALLS),
    ("SystemCallFilter", NICE_CALLS),
    ("SystemCallErrorNumber", "EPERM"),
)
"""What a user's service manager can do as well. AF_NETLINK: udev tells of plugs there."""

CONFINED: Section = (
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("ProtectSystem", "strict"),
    ("ProtectProc", "invisible"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("PrivateTmp", "yes"),
    ("RemoveIPC", "yes"),
    ("KeyringMode", "private"),
    ("DevicePolicy", "closed"),
    ("DeviceAllow", "char-video4linux rw"),
    ("DeviceAllow", "char-media rw"),
    ("DeviceAllow", "char-alsa rw"),
    ("DeviceAllow", "char-drm rw"),
    ("DeviceAllow", "char-usb_device rw"),
)
"""What needs the system's service manager. Recorders and daemon see cameras, sound and nothing else of the hardware."""

DRIVERS = ("videodev", "snd", "drm")
"""The modules that these groups of devices are of."""


def units(place: Place) -> dict[str, str]:
    """Return the text of each unit by its name."""
    return {
        DAEMON: _text(_daemon(place)),
        SOCKET: _text(_socket(place)),
        RECORDER: _text(_recorder(place)),
    }


def _daemon(place: Place) -> Iterator[tuple[str, Section]]:
    config = ("--config", str(place.config)) if place.config else ()
    yield (
        "Unit",
        [
            ("Description", "Liput: the conference room's sessions and archive"),
            ("Requires", SOCKET),
            ("After", f"{SOCKET} network.target sound.target"),
            ("StartLimitIntervalSec", "0"),
            *_loaded(place),
        ],
    )
    yield (
        "Service",
        [
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("ExecStart", _command(place.run("agent.cli", "serve", *config))),
            ("WatchdogSec", str(WATCHDOG_S)),
            ("TimeoutAbortSec", "5"),
            ("TimeoutStopSec", "20"),
            ("Restart", "on-failure"),
            ("RestartSec", "1"),
            ("OOMPolicy", "continue"),
            # A recorder that could be no unit of its own (recorder.control.launched) is left alone all the same.
            ("KillMode", "process"),
            ("Environment", f"{launched.VARIABLE}={ADDRESS}"),
            ("CPUWeight", "50"),
            ("RestrictRealtime", "yes"),
            *_common(place),
        ],
    )
    yield "Install", [("WantedBy", "multi-user.target" if place.is_system else "default.target")]


def _socket(place: Place) -> Iterator[tuple[str, Section]]:
    yield "Unit", [("Description", "Liput: starts a recorder for each connection")]
    yield (
        "Socket",
        [
            ("ListenStream", ADDRESS),
            ("Accept", "yes"),
            ("MaxConnections", str(MOST_RECORDERS)),
            ("SocketMode", "0600"),
            *((("SocketUser", USER),) if place.is_system else ()),
            ("RemoveOnStop", "yes"),
        ],
    )
    yield "Install", [("WantedBy", "sockets.target")]


def _recorder(place: Place) -> Iterator[tuple[str, Section]]:
    yield (
        "Unit",
        [
            ("Description", "Liput: recorder %i"),
            ("CollectMode", "inactive-or-failed"),
            *_loaded(place),
        ],
    )
    yield (
        "Service",
        [
            ("ExecStart", _command(place.run(launched.MODULE, launched.UNIT))),
            ("StandardInput", "socket"),
            ("StandardOutput", "socket"),
            ("StandardError", "journal"),
            # Its children end with it; when the PC is shut down it closes and keeps what it recorded.
            ("KillMode", "mixed"),
            ("TimeoutStopSec", str(END_S)),
            ("OOMPolicy", "continue"),
            *((("OOMScoreAdjust", "-500"),) if place.is_system else ()),
            ("CPUWeight", "500"),
            ("IOWeight", "500"),
            *_common(place),
        ],
    )


def _loaded(place: Place) -> Iterator[tuple[str, str]]:
    """Have drivers loaded: a group of devices that the kernel does not know yet is left out of DeviceAllow for ever."""
    if place.is_system:
        services = " ".join(f"modprobe@{module}.service" for module in DRIVERS)
        yield "Wants", services
        yield "After", services


def _common(place: Place) -> Iterator[tuple[str, str]]:
    yield "Slice", SLICE
    yield "RuntimeDirectory", "liput"
    yield "RuntimeDirectoryMode", "0750" if place.is_system else "0700"
    yield "RuntimeDirectoryPreserve", "yes"  # where recorders are found, whatever is started anew
    yield "Environment", f"{RUNTIME}=%t/liput"
    if place.python_path:
        yield "Environment", _quoted(f"PYTHONPATH={place.python_path}")
    yield "LimitNOFILE", str(MOST_FILES)
    yield "UMask", "0027" if place.is_system else "0077"  # operators may read what is recorded; nobody else may
    yield from GRANTED
    yield from HARDENED
    if place.is_system:
        yield from _owned(place)
        yield from CONFINED
        yield from _written(place)


def _owned(place: Place) -> Iterator[tuple[str, str]]:
    yield "User", USER
    yield "Group", place.operators
    if place.groups:
        yield "SupplementaryGroups", " ".join(place.groups)
    yield "StateDirectory", "liput"
    yield "StateDirectoryMode", "0750"
    yield "Environment", f"LIPUT_STATE={STATE}"
    yield "Environment", f"{operators.VARIABLE}={place.operators}"
    if place.keys:
        yield "LoadCredential", f"liput-keys:{place.keys}"


def _written(place: Place) -> Iterator[tuple[str, str]]:
    yield "ProtectHome", "read-only" if any(is_closed(folder) for folder in place.writable) else "yes"
    for folder in place.writable:
        yield "ReadWritePaths", _quoted(f"-{folder}")  # a disk that is not there is told of, and may come


def _command(words: Sequence[str]) -> str:
    return " ".join(_quoted(word.replace("$", "$$")) for word in words)


def _quoted(word: str | Path) -> str:
    """Write a word so that systemd reads it as that word: blanks, quotes, specifiers and all."""
    text = str(word).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if any(character in text for character in " \t'\"\\") else text


def _text(sections: Iterator[tuple[str, Section]]) -> str:
    parts = ["\n".join([f"[{name}]", *(f"{key}={value}" for key, value in settings)]) for name, settings in sections]
    return "# Made by `liput service install`, which writes it anew; what is changed belongs into a drop-in.\n" + (
        "\n\n".join(parts) + "\n"
    )
