"""Installs Liput as a service, reports its state, removes it. Recordings and settings stay."""

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from agent.service import units
from agent.service.units import DAEMON, RECORDER, SOCKET, USER, ServiceConfig
from config.errors import LiputError

BOOTED = Path("/run/systemd/system")  # present if systemd is the first process (sd_booted(3))
PATIENCE_S = 120.0  # longest time for a command; a starting daemon reports within 90 s, or is given up
NO_MANAGER = "Failed to connect"


def require_systemd() -> None:
    """Raise LiputError if systemd does not run."""
    if not BOOTED.is_dir():
        raise LiputError(
            "systemd does not run this PC, so there is no service to install",
            hint="start `liput serve` by this PC's init system; --dry-run shows the units",
        )


def systemctl(*words: str, is_system: bool) -> tuple[str, ...]:
    """Return a command for one of the two service managers."""
    return ("systemctl", *(() if is_system else ("--user",)), *words)


def unit_properties(unit: str, names: Sequence[str], *, is_system: bool) -> dict[str, str]:
    """Return properties of a unit. Raises LiputError."""
    lines = run_tool(systemctl("show", unit, f"--property={','.join(names)}", is_system=is_system)).splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: found.get(name, "") for name in names}


def recorder_units(*, is_system: bool) -> list[str]:
    """Return the units of running recorders, the reserve included. Raises LiputError."""
    words = (RECORDER.replace("@", "@*"), "--plain", "--no-legend", "--state=active,activating,deactivating")
    listed = run_tool(systemctl("list-units", *words, is_system=is_system))
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def run_tool(words: Sequence[str]) -> str:
    """Run a command and return its output. Raises LiputError with its error."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except FileNotFoundError:
        raise LiputError(f"{words[0]} is not installed", hint="it belongs to systemd") from None
    except subprocess.TimeoutExpired:
        raise LiputError(
            f"{' '.join(words)} has not ended within {PATIENCE_S:.0f} s", hint="systemctl status shows the cause"
        ) from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = said[0] if said else f"status {done.returncode}"
        hint = "journalctl -u liput says why"
        if NO_MANAGER in reason and "--user" in words:
            hint = "log in as that user, on the desktop or by ssh, rather than with su; or use --system"
        raise LiputError(f"{' '.join(words)}: {reason}", hint=hint)
    return done.stdout


MAKE_USERS = ("systemd-sysusers", str(units.SYSTEM_USERS))
WORDS = ("ActiveState", "SubState", "StatusText", "MainPID", "UnitFileState", "NRestarts", "Result")


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="service"):
    """State of the service. `active`, `sub`, `enabled` and `last_result` are systemd's words.

    `recorders` has the units of recorders; `status` comes from the daemon. `pid` is 0 while it does not run. `files`
    has the files present.
    """

    mode: str
    installed: bool
    enabled: str = ""
    active: str = ""
    sub: str = ""
    status: str = ""
    pid: int = 0
    restarts: int = 0
    last_result: str = ""
    recorders: list[str] = []
    files: list[str] = []


def install_steps(place: ServiceConfig, made: Mapping[Path, str], *, now: bool) -> Iterator[str]:
    """Yield the steps of `install` as sentences."""
    for path, text in made.items():
        yield f"write {path}:\n\n{text}"
    for folder in _missing(place):
        yield f"make the folder {folder}, for {USER}"
    for words in (*((MAKE_USERS,) if place.is_system else ()), *_commands(place, now=now)):
        yield f"run {' '.join(words)}"


def install(place: ServiceConfig, made: Mapping[Path, str], *, now: bool) -> Iterator[str]:
    """Install or update the service; yield each step. Raises LiputError."""
    require_systemd()
    if place.is_system and os.geteuid() != 0:
        raise LiputError("only root can install a system service", hint="sudo liput service install --system")
    changed = [path for path, text in made.items() if _is_different(path, text)]
    for path in changed:
        try:
            units.write(path, made[path])
        except OSError as error:
            raise LiputError(f"{path} cannot be written: {error.strerror}", hint="check its permissions") from None
        yield f"wrote {path}"
    if place.is_system:
        run_tool(MAKE_USERS)
        for folder in _missing(place):
            yield _made(folder, place)
    for words in _commands(place, now=now):
        run_tool(words)
        yield f"ran {' '.join(words)}"


def uninstall(*, is_system: bool) -> Iterator[str]:
    """Remove the service; yield each step. Recorders run on to their end. Raises LiputError."""
    if is_system and os.geteuid() != 0:
        raise LiputError("only root can remove a system service", hint="sudo liput service uninstall --system")
    require_systemd()
    present = [path for path in units.service_paths(is_system=is_system) if path.exists() and units.is_ours(path)]
    if any(path.name == DAEMON for path in present):
        run_tool(systemctl("disable", "--now", DAEMON, SOCKET, is_system=is_system))
        yield "stopped the daemon; sessions that run go on to their end"
    for path in present:
        path.unlink()
        yield f"removed {path}"
    if present:
        run_tool(systemctl("daemon-reload", is_system=is_system))


def status(*, is_system: bool) -> ServiceStatus:
    """Return the state of the service. Raises LiputError."""
    mode = "system" if is_system else "user"
    present = [str(path) for path in units.service_paths(is_system=is_system) if path.exists()]
    installed = any(path.endswith(f"/{DAEMON}") for path in present)
    if not installed:
        return ServiceStatus(mode=mode, installed=False, files=present)
    require_systemd()
    said = unit_properties(DAEMON, WORDS, is_system=is_system)
    return ServiceStatus(
        mode=mode,
        installed=True,
        enabled=said["UnitFileState"],
        active=said["ActiveState"],
        sub=said["SubState"],
        status=said["StatusText"],
        pid=int(said["MainPID"] or 0),
        restarts=int(said["NRestarts"] or 0),
        last_result=said["Result"],
        recorders=recorder_units(is_system=is_system),
        files=present,
    )


def _commands(place: ServiceConfig, *, now: bool) -> Iterator[tuple[str, ...]]:
    manager = partial(systemctl, is_system=place.is_system)
    if place.is_system:
        yield ("udevadm", "control", "--reload")
    yield manager("daemon-reload")
    yield manager("enable", DAEMON, SOCKET)
    if now:
        yield manager("start", SOCKET)
        yield manager("restart", DAEMON)


def _is_different(path: Path, text: str) -> bool:
    """Return whether to write a file. Raises LiputError if somebody else made it."""
    try:
        if not path.exists():
            return True
        if not units.is_ours(path):
            raise LiputError(
                f"{path} was not made by `liput service install`",
                hint="move it away; make changes in a drop-in",
            )
        return path.read_text(encoding="utf-8") != text
    except OSError as error:
        raise LiputError(f"{path} cannot be read: {error.strerror}") from None


def _missing(place: ServiceConfig) -> list[Path]:
    """Return folders to create. One without a parent may belong on a disk that is absent."""
    if not place.is_system:
        return []
    return [folder for folder in place.writable if not folder.exists() and folder.parent.is_dir()]


def _made(folder: Path, place: ServiceConfig) -> str:
    try:
        folder.mkdir(mode=0o750)
        os.chown(folder, pwd.getpwnam(USER).pw_uid, grp.getgrnam(place.operators).gr_gid)
    except (OSError, KeyError) as error:
        raise LiputError(f"the folder {folder} cannot be made for {USER}: {error}") from None
    return f"made the folder {folder}, for {USER}"
