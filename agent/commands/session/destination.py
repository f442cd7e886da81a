"""`liput destination`: adds, removes and restarts destinations of a running session."""

import os
import select
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from agent.commands.session.running import session_option
from agent.sessions.control import absolute
from agent.terminal.parameters import json_option, print_result
from agent.terminal.reporters import destination_text
from agent.terminal.signals_and_keys import ENDING_SIGNALS, handle_signals
from config.errors import UsageError
from config.settings.schema import Settings
from config.settings.secrets import destination_url, read_url_file, stream_name
from recorder.model.names import utf8_safe
from recorder.model.status import STATES_AFTER, STATES_BEFORE, STATES_RECORDING, SessionResult, SessionStatus
from recorder.running.client import ControlClient, RunningRecorder, select_session, send_command
from recorder.running.protocol import (
    LONGEST_NAME,
    AddDestinationCommand,
    DestinationChange,
    RecorderFailure,
    RecorderRefused,
    RemoveDestinationCommand,
    RestartDestinationCommand,
    StatusCommand,
    WatchCommand,
)

LOOK_S = 0.5

EXAMPLES = """\b
Examples:
  liput destination add youtube           a destination of the settings, from the next keyframe on
  liput destination add @alamat.txt       a 0600 file with the full address; @- is standard input
  liput destination remove youtube        the recording and other streams continue
  liput destination restart youtube       reconnect with the current key of the settings
  liput destination status --watch        show changes until Ctrl-C
"""


@click.group(epilog=EXAMPLES)
def destination_command() -> None:
    """Add, remove, restart and show the live destinations of a running session."""


@destination_command.command("add")
@click.argument("name", metavar="NAME|@FILE")
@click.option("--although-refused", is_flag=True, help="Proceed although the speakers refused consent.")
@session_option
@json_option
def add_command(*, name: str, although_refused: bool, key: str | None, as_json: bool) -> None:
    """Add a destination, from the next keyframe on. An armed session adds it at its start."""
    if "://" in name:
        destination_url(Settings(), name)  # which refuses it with the reason
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    request = _from_file(name) if name.startswith("@") else AddDestinationCommand(name=_checked_name(name))
    request = msgspec.structs.replace(request, although_refused=although_refused)
    _change(found, request, "added", f"{request.name} is a destination now", as_json=as_json)


@destination_command.command("remove")
@click.argument("name")
@session_option
@json_option
def remove_command(*, name: str, key: str | None, as_json: bool) -> None:
    """Stop streaming to a destination."""
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    request = RemoveDestinationCommand(name=_checked_name(name))
    _change(found, request, "removed", f"{name} is not streamed to any more", as_json=as_json)


@destination_command.command("restart")
@click.argument("name")
@session_option
@json_option
def restart_command(*, name: str, key: str | None, as_json: bool) -> None:
    """Reconnect to a destination with the settings' current key.

    The address is read again, too.
    """
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    request = RestartDestinationCommand(name=_checked_name(name))
    _change(found, request, "restarted", f"{name} is connected anew", as_json=as_json)


@destination_command.command("status")
@click.option("--watch", is_flag=True, help="Show every change until the session ends.")
@session_option
@json_option
def status_command(*, watch: bool, key: str | None, as_json: bool) -> None:
    """Show the state of each destination, and the reason."""
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE, STATES_AFTER))
    show = _printer(found, as_json=as_json)
    status = send_command(found.folder, StatusCommand()).status
    if status is not None:
        show(status)
    if watch:
        _watch(found, show)


def _printer(found: RunningRecorder, *, as_json: bool) -> Callable[[SessionStatus], None]:
    """Return a function that prints the destinations when one has changed."""
    before: list[tuple[object, ...]] | None = None

    def show(status: SessionStatus) -> None:
        nonlocal before
        now: list[tuple[object, ...]] = [
            (line.name, line.state, line.reason, line.message) for line in status.destinations
        ]
        if now != before:
            before = now
            text = "\n".join(map(destination_text, status.destinations)) or f"{found} is not streamed to anybody."
            line = {"type": "destinations", "id": found.info.id, "destinations": status.destinations}
            print_result(line, text, as_json=as_json)

    return show


def _watch(found: RunningRecorder, show: Callable[[SessionStatus], None]) -> None:
    """Print changes until the session or the watch ends; the session goes on."""
    wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        with (
            handle_signals(ENDING_SIGNALS, lambda _number: os.eventfd_write(wakeup, 1)),
            ControlClient(found.folder) as connection,
        ):
            connection.request(WatchCommand(every_s=LOOK_S))
            while wakeup not in select.select([connection.fileno(), wakeup], [], [])[0]:
                while (told := connection.told(0)) is not None:
                    if isinstance(told, RecorderFailure):
                        raise RecorderRefused(told)
                    if isinstance(told, SessionResult):
                        return
                    if isinstance(told, SessionStatus):
                        show(told)
    finally:
        os.close(wakeup)


def _change(found: RunningRecorder, request: DestinationChange, change: str, sentence: str, *, as_json: bool) -> None:
    note = send_command(found.folder, request).note
    said = f"{sentence}: {found}." + (f"\n{note[0].upper()}{note[1:]}." if note else "")
    print_result({"type": "destination", "name": request.name, "change": change, "note": note}, said, as_json=as_json)


def _from_file(word: str) -> AddDestinationCommand:
    """Return the request for an address in a file (`@-`: standard input), which is read here."""
    name = word.removeprefix("@")
    address = read_url_file(name)
    path = None if name == "-" else str(absolute(Path(name)))
    return AddDestinationCommand(name=_checked_name(utf8_safe(stream_name(word))), address=address.reveal(), file=path)


def _checked_name(name: str) -> str:
    if not name or len(name) > LONGEST_NAME:
        raise UsageError("that is no name of a destination", hint="liput destination status shows them")
    return utf8_safe(name)
