"""`liput service`: installs Liput as a systemd service, of this user or of the system."""

import os
import sys
from pathlib import Path

import click
import msgspec

from agent.service import install as service
from agent.service import units
from agent.service.install import ServiceStatus
from agent.service.units import USER, system_service_config, user_service_config
from agent.terminal.parameters import config_option
from config.settings.schema import SYSTEM_FILE, Settings, load_settings

NOT_RUNNING = 1

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
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object; see docs/reference/cli.md.")


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
@click.pass_context
def install(
    ctx: click.Context,
    config_file: Path | None,
    operators: str,
    *,
    is_system: bool,
    now: bool,
    dry_run: bool,
    autostart: bool,
) -> None:
    """Install the service, or update its files after an upgrade."""
    if is_system and autostart:
        raise click.UsageError("--autostart goes with a user's service")
    config_file = config_file or ctx.find_object(Path)
    if is_system:
        os.umask(0o022)  # units and launchers are for every user
        place = system_service_config(_system_settings(config_file), operators=operators)
    else:
        place = user_service_config(load_settings(config_file), config=config_file)
    made = units.service_files(place, autostart=autostart)
    for sentence in (service.install_steps if dry_run else service.install)(place, made, now=now):
        click.echo(sentence)


@service_command.command()
@_system_option
@_json_option
def status(*, is_system: bool, as_json: bool) -> int:
    """Show the state of the service and running recorders.

    Exit status 1: the service does not run.
    """
    found = service.status(is_system=is_system)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo(_text(found))
    return 0 if found.active == "active" else NOT_RUNNING


@service_command.command()
@_system_option
def uninstall(*, is_system: bool) -> None:
    """Remove the service. Recordings, settings and Liput's state on this PC stay."""
    done = False
    for sentence in service.uninstall(is_system=is_system):
        click.echo(sentence)
        done = True
    if not done:
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
