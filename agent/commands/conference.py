"""`liput conference`: sets up the virtual camera and microphone, and shows missing parts."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import click

from agent.sessions.conference import CameraSetup, ConferencePaths, MicrophoneSetup, conference_setups
from agent.terminal.parameters import config_option, json_option, print_json
from agent.terminal.terminal import can_ask
from capture.sound.server import NoServerError
from config.settings.schema import load_settings

EVERYBODY = 0o022  # the umask for files that root makes for all users; sudo keeps ours
MISSING = 1

EXAMPLES = """\b
Examples:
  liput conference setup             create the microphone; show the camera's root commands, and ask
  liput conference setup --print     show everything, change nothing
  liput conference status            show installed and missing parts
\b
Then: liput record --conference, and choose "Liput" as camera and microphone in Zoom, Meet or Jitsi.
"""


@click.group(name="conference", epilog=EXAMPLES)
def conference_command() -> None:
    """Set up the virtual camera and microphone for Zoom, Meet or Jitsi."""


@conference_command.command(epilog=EXAMPLES)
@click.option("--print", "only_print", is_flag=True, help="Show the commands; change nothing.")
@click.option("--undo", is_flag=True, help="Remove all parts.")
@config_option
def setup(config_file: Path | None, *, only_print: bool, undo: bool) -> int:
    """Create the virtual microphone. Show the root commands for the virtual camera, or run them with sudo.

    A second run changes nothing. Exit status: 0 all parts exist, or were removed; 1 a part is missing.
    """
    camera, microphone = conference_setups(load_settings(config_file).conference, ConferencePaths())
    if undo:
        return _undo(camera, microphone, only_print=only_print)
    told = _microphone(microphone, only_print=only_print)
    done = _as_root(list(camera.commands()), only_print=only_print)
    if only_print:
        return 0
    missing = [check for check in (*camera.checks(), *microphone.checks()) if not check.ok]
    for check in missing:
        click.echo(f"Missing: {check.message}. {check.hint if check.hint != 'liput conference setup' else ''}".rstrip())
    if not missing:
        already = "" if told or done else " already"
        click.echo(f'Everything is there{already}: choose "Liput" as camera and microphone.')
    return MISSING if missing else 0


def _microphone(microphone: MicrophoneSetup, *, only_print: bool) -> bool:
    is_any = False
    try:
        for sentence in microphone.planned() if only_print else microphone.make():
            is_any = True
            click.echo(sentence)
    except (NoServerError, OSError) as error:
        click.echo(f"The microphone was not made: {error}", err=True)
    return is_any


def _as_root(commands: Sequence[str], *, only_print: bool) -> bool:
    """Print the commands for root, and run them after a yes; return whether there are any."""
    if not commands:
        return False
    click.echo("As root:")
    for command in commands:
        click.echo(f"    {command}")
    is_root = os.geteuid() == 0
    if only_print or not (is_root or shutil.which("sudo")) or not can_ask():
        return True
    if click.confirm("Run this now?" if is_root else "Run this now, with sudo?", default=False):
        for command in commands:
            words = ["sh", "-c", command] if is_root else ["sudo", "sh", "-c", command]
            if subprocess.run(words, check=False, umask=EVERYBODY).returncode:
                click.echo(f"This command failed; later ones did not run: {command}", err=True)
                break
    return True


def _undo(camera: CameraSetup, microphone: MicrophoneSetup, *, only_print: bool) -> int:
    if not only_print:
        for sentence in microphone.undo():
            click.echo(sentence)
    _as_root(list(camera.undo_commands()), only_print=only_print)
    return MISSING if list(camera.undo_commands()) and not only_print else 0


@conference_command.command()
@config_option
@json_option
def status(config_file: Path | None, *, as_json: bool) -> int:
    """Show installed and missing virtual devices.

    Exit status: 0 all parts exist; 1 a part is missing.
    """
    camera, microphone = conference_setups(load_settings(config_file).conference, ConferencePaths())
    checks = [*camera.checks(), *microphone.checks()]
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            click.echo(f"{'ok     ' if check.ok else 'MISSING'}  {check.message}")
            if check.hint:
                click.echo(f"         {check.hint}")
    return 0 if all(check.ok for check in checks) else MISSING
