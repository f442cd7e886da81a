"""`liput service`: installs Liput as a systemd service, of this user or of the system, tells its state, removes it."""

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from agent.commands.service_units import (
    DAEMON,
    RECORDER,
    SOCKET,
    SYSTEM_USERS,
    USER,
    ServiceConfig,
    is_ours,
    service_files,
    service_paths,
    system_service_config,
    user_service_config,
    write_public,
)
from agent.terminal.parameters import config_option, json_option, print_result
from config.errors import LiputError
from config.settings.schema import SYSTEM_FILE, Settings, load_settings

BOOTED = Path("/run/systemd/system")  # present if systemd is the first process (sd_booted(3))
PATIENCE_S = 120.0  # longest time for a command; a starting daemon reports within 90 s, or is given up


def require_systemd() -> None:
    """Raise LiputError if systemd does not run."""
    if not BOOTED.is_dir():
        raise LiputError(
            "systemd does not run this PC, so there is no service to install",
            hint="start `liput serve` by this PC's init system; --dry-run shows the units",
        )


def systemctl(*words: str, is_system: bool) -> tuple[str, ...]:
    return ("systemctl", *(() if is_system else ("--user",)), *words)


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
        if "Failed to connect" in reason and "--user" in words:
            hint = "log in as that user, on the desktop or by ssh, rather than with su; or use --system"
        raise LiputError(f"{' '.join(words)}: {reason}", hint=hint)
    return done.stdout


MAKE_USERS = ("systemd-sysusers", str(SYSTEM_USERS))
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
    """Yield the steps of `install_service` as sentences."""
    for path, text in made.items():
        yield f"write {path}:\n\n{text}"
    for folder in _missing(place):
        yield f"make the folder {folder}, for {USER}"
    for words in (*((MAKE_USERS,) if place.is_system else ()), *_commands(place, now=now)):
        yield f"run {' '.join(words)}"


def install_service(place: ServiceConfig, made: Mapping[Path, str], *, now: bool) -> Iterator[str]:
    """Install or update the service; yield each step. Raises LiputError."""
    require_systemd()
    if place.is_system and os.geteuid() != 0:
        raise LiputError("only root can install a system service", hint="sudo liput service install --system")
    changed = [path for path, text in made.items() if _is_different(path, text)]
    for path in changed:
        try:
            write_public(path, made[path])
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


def remove_service(*, is_system: bool) -> Iterator[str]:
    """Remove the service; yield each step. Recorders run on to their end. Raises LiputError."""
    if is_system and os.geteuid() != 0:
        raise LiputError("only root can remove a system service", hint="sudo liput service uninstall --system")
    require_systemd()
    present = [path for path in service_paths(is_system=is_system) if path.exists() and is_ours(path)]
    if any(path.name == DAEMON for path in present):
        run_tool(systemctl("disable", "--now", DAEMON, SOCKET, is_system=is_system))
        yield "stopped the daemon; sessions that run go on to their end"
    for path in present:
        path.unlink()
        yield f"removed {path}"
    if present:
        run_tool(systemctl("daemon-reload", is_system=is_system))


def service_status(*, is_system: bool) -> ServiceStatus:
    """Return the state of the service. Raises LiputError."""
    mode = "system" if is_system else "user"
    present = [str(path) for path in service_paths(is_system=is_system) if path.exists()]
    if not any(path.endswith(f"/{DAEMON}") for path in present):
        return ServiceStatus(mode=mode, installed=False, files=present)
    require_systemd()
    shown = run_tool(systemctl("show", DAEMON, f"--property={','.join(WORDS)}", is_system=is_system)).splitlines()
    said = dict.fromkeys(WORDS, "") | dict(line.split("=", 1) for line in shown if "=" in line)
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
        if not is_ours(path):
            raise LiputError(
                f"{path} was not made by `liput service install`", hint="move it away; make changes in a drop-in"
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


EXAMPLES = """\b
Examples:
  liput service install --now                  for this user: starts with the first login
  sudo liput service install --system --now    for the PC: starts with it
  liput service install --system --dry-run     show the units and commands
  liput service status
\b
Running sessions continue while the service stops, restarts, is upgraded or uninstalled.
"""

_system_option = click.option("--system", "is_system", is_flag=True, help="The PC's service, in place of this user's.")


@click.group(name="service", epilog=EXAMPLES)
def service_command() -> None:
    """Run `liput serve` under systemd."""


@service_command.command(epilog=EXAMPLES)
@_system_option
@click.option("--now", is_flag=True, help="Also start or restart it now.")
@click.option("--dry-run", is_flag=True, help="Show every file and command; change nothing.")
@click.option("--autostart", is_flag=True, help="Open Liput's page at each login (of this user only).")
@click.option("--operators", metavar="GROUP", default=USER, show_default=True, help="Group with access (--system).")
@config_option
def install(
    config_file: Path | None, operators: str, *, is_system: bool, now: bool, dry_run: bool, autostart: bool
) -> None:
    """Install the service, or update its files after an upgrade."""
    if is_system and autostart:
        raise click.UsageError("--autostart goes with a user's service")
    if is_system:
        os.umask(0o022)  # units and launchers are for every user
        place = system_service_config(_system_settings(config_file), operators=operators)
    else:
        place = user_service_config(load_settings(config_file), config=config_file)
    made = service_files(place, autostart=autostart)
    for sentence in (install_steps if dry_run else install_service)(place, made, now=now):
        click.echo(sentence)


@service_command.command()
@_system_option
@json_option
def status(*, is_system: bool, as_json: bool) -> int:
    """Show the state of the service and running recorders.

    Exit status 1: the service does not run.
    """
    found = service_status(is_system=is_system)
    print_result(found, _text(found), as_json=as_json)
    return 0 if found.active == "active" else 1


@service_command.command()
@_system_option
def uninstall(*, is_system: bool) -> None:
    """Remove the service. Recordings, settings and Liput's state on this PC stay."""
    sentence = ""
    for sentence in remove_service(is_system=is_system):
        click.echo(sentence)
    if not sentence:
        print("liput: there is no service to take away", file=sys.stderr)


def _system_settings(config_file: Path | None) -> Settings:
    """Return the settings of a system service: those of /etc, also if another user installs it."""
    if config_file is not None:
        return load_settings(config_file)
    return load_settings(SYSTEM_FILE) if SYSTEM_FILE.exists() else Settings()


def _text(found: ServiceStatus) -> str:
    if not found.installed:
        return f"There is no {found.mode} service; `liput service install` makes one."
    says = f', says "{found.status}"' if found.status else ""
    again = f", started anew {found.restarts} times" if found.restarts else ""
    lines = [f"{found.mode} service: {found.active} ({found.sub}), {found.enabled}{says}{again}"]
    if found.last_result not in {"", "success"}:
        lines.append(f"ended before by: {found.last_result}")
    lines += [f"recorder: {unit}" for unit in found.recorders]
    return "\n".join(lines)
