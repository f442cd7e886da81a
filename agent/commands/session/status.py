"""`liput status`: the running sessions and their state."""

import contextlib
import os

import click

from agent.commands.session.running import session_option
from agent.daemon.presence import is_serving, successor, with_replaced
from agent.sessions.control import line_of
from agent.terminal.parameters import json_option, print_json
from agent.terminal.reporters import SessionFollower, destination_text, follow, reporter, status_text
from agent.terminal.signals_and_keys import ENDING_SIGNALS, handle_signals, watch_keys
from recorder.model.status import STATES_AFTER, STATES_BEFORE, STATES_RECORDING
from recorder.running import runtime_directory
from recorder.running.client import (
    RecorderLost,
    RunningRecorder,
    read_result,
    running_recorders,
    select_session,
    send_command,
)
from recorder.running.protocol import StatusCommand
from recorder.running.runtime_directory import RecorderFolder

EXAMPLES = """\b
Examples:
  liput status                        running sessions and their state
  liput status --watch                follow one as `liput record` does; q or Ctrl-C stops only the display
  liput status --watch --json         one JSON object a line, the result last
"""


@click.command(epilog=EXAMPLES)
@click.option("--watch", is_flag=True, help="Follow a session until it ends.")
@session_option
@json_option
def status_command(*, watch: bool, key: str | None, as_json: bool) -> None:
    """Show all running sessions."""
    found = running_recorders()
    if key is not None:
        found = [select_session(key, ())]
    _print_killed(as_json=as_json)
    if watch and found:
        _watch(select_session(key, (STATES_RECORDING, STATES_BEFORE, STATES_AFTER)), as_json=as_json)
    elif as_json and not watch:
        print_json([line_of(one) for one in found])
    elif not found:
        click.echo("No session runs.", err=as_json)
    else:
        for one in found:
            print(f"{one}\n  {status_text(one.status) if one.status else 'its recorder does not answer'}")
            for line in one.status.destinations if one.status else []:
                print(f"  {destination_text(line)}")


def _print_killed(*, as_json: bool) -> None:
    """Name killed recorders until each is taken over or recovered. Reads no archive disk."""
    serving = is_serving()
    what = "liput serve goes on with it" if serving else "liput recover finishes its recording"
    for folder in runtime_directory.killed_recorders():
        info = folder.info()
        if info is not None and (info.work is not None or serving):
            click.echo(f'The recorder of "{info.title}" ({info.id}) was killed; {what}.', err=as_json)


def _watch(found: RunningRecorder, *, as_json: bool) -> None:
    """Show a session until it or the watch ends; the session goes on."""
    shown = reporter(as_json=as_json)
    wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    has_seen_enough = False

    def enough() -> None:
        nonlocal has_seen_enough
        has_seen_enough = True
        os.eventfd_write(wakeup, 1)

    follower = SessionFollower(shown)
    try:
        with (
            handle_signals(ENDING_SIGNALS, lambda _number: enough()),
            shown,
            watch_keys(lambda key: enough() if key in {"q", "Q"} else None),
        ):
            if status := send_command(found.folder, StatusCommand()).status:
                follower.take(status)
            folder: RecorderFolder | None = found.folder
            killed = with_replaced(found.folder, found.info)
            while folder and not has_seen_enough and not follower.result:
                try:
                    follow(folder, follower, every_s=shown.every_s, wakeup=wakeup, heard=lambda: has_seen_enough)
                except RecorderLost:
                    killed.append(folder)
                    if read_result(folder) or not (folder := successor(*killed)):
                        raise
                    follower.message_count = 0
            if follower.result:
                shown.show(follower.result)
    finally:
        with contextlib.suppress(OSError):
            os.close(wakeup)
