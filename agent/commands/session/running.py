"""Commands to a running session: `start`, `stop`, `disarm`, `mark`, `mute`, `layout`."""

from typing import Any

import click

from agent.sessions.control import NOTHING_RUNS, disarm, earlier_end, line_of, start, stop, successor_of
from agent.terminal.parameters import duration_option, json_option, print_result
from agent.terminal.reporters import exit_status, result_text, storable_result
from config.errors import SessionError
from config.settings.quantities import clock_text
from recorder.model.names import utf8_safe
from recorder.model.status import STATES_AFTER, STATES_BEFORE, STATES_RECORDING, SessionState
from recorder.running.client import RunningRecorder, select_session, send_command
from recorder.running.protocol import LayoutCommand, MarkCommand, MuteCommand

session_option = click.option("--session", "key", metavar="ID", help="The session, if several run.")


@click.command(
    epilog="""\b
Examples:
  liput start                         record from now on
  liput start --pre-roll 15s          record from 15 s ago, as far as that is kept
"""
)
@duration_option("--pre-roll", "pre_roll_s", "Seconds before now to include: 15s.  [default: none]")
@session_option
@json_option
def start_command(*, pre_roll_s: float | None, key: str | None, as_json: bool) -> None:
    """Start to record the armed session. A recording session continues."""
    found = select_session(key, (STATES_BEFORE, STATES_RECORDING))
    is_new = found.state not in STATES_RECORDING
    if is_new:
        start(found, pre_roll_s or 0.0)
    again = select_session(found.info.id, ())
    print_result(line_of(again), f"{'Recording' if is_new else 'Recording already'}: {again}.", as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  liput stop
  liput stop --session a1b2c3 --no-wait
\b
Exit status: 0 recorded and complete, or nothing to stop; 3 recorded, but something was lost on the way;
1 failed.
"""
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the recording is in the archive.")
@session_option
@json_option
def stop_command(*, no_wait: bool, key: str | None, as_json: bool) -> int:
    """End a session: close the recording and archive it. An armed session is disarmed."""
    try:
        found = _session_to_stop(key)
    except SessionError:
        result = earlier_end(key)
        if result is None:
            raise
    else:
        result = stop(found, wait=not no_wait)
        if result is None:
            print_result(line_of(found), f"Ending: {found}.", as_json=as_json)
            return 0
    sentence = "No session runs." if result is NOTHING_RUNS else result_text(result)
    print_result(storable_result(result), sentence, as_json=as_json)
    return 0 if result.state is SessionState.IDLE else exit_status(result)


def _session_to_stop(key: str | None) -> RunningRecorder:
    """Return the session to stop, or the successor of one that was killed just now."""
    try:
        return select_session(key, (STATES_RECORDING, STATES_BEFORE, STATES_AFTER))
    except SessionError:
        if following := successor_of(key):
            return following
        raise


@click.command(epilog="\b\nExample:\n  liput disarm")
@session_option
@json_option
def disarm_command(*, key: str | None, as_json: bool) -> None:
    """Close the devices of an armed session. A recording session is not affected."""
    found = select_session(key, (STATES_BEFORE, STATES_RECORDING))
    print_result(disarm(found), f"Disarmed: {found}.", as_json=as_json)


@click.command(epilog='\b\nExample:\n  liput mark "Tanya jawab"')
@click.argument("text")
@session_option
@json_option
def mark_command(*, text: str, key: str | None, as_json: bool) -> None:
    """Mark this moment of the recording, as a chapter for players."""
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    reply = send_command(found.folder, MarkCommand(text=utf8_safe(text))).mark
    mark: dict[str, Any] = dict(reply) if isinstance(reply, dict) else {}
    sentence = f"Marked at {clock_text(float(mark.get('media_s', 0)))}: {mark.get('text', text)}"
    print_result({"type": "mark", **mark}, sentence, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  liput mute                 all sound
  liput mute podium          one input
  liput mute podium --off    heard again
"""
)
@click.argument("name", required=False)
@click.option("--off", is_flag=True, help="Unmute it.")
@session_option
@json_option
def mute_command(*, name: str | None, off: bool, key: str | None, as_json: bool) -> None:
    """Mute a sound input of a session, or all of them."""
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    send_command(found.folder, MuteCommand(name=name, on=not off))
    sentence = f"{name or 'All sound'} is {'heard again' if off else 'muted'}: {found}."
    print_result({"type": "mute", "name": name, "on": not off}, sentence, as_json=as_json)


@click.command(
    epilog="""\b
Examples:
  liput layout speaker-slides
  liput layout pause           the card, until another layout is chosen
"""
)
@click.argument("name")
@session_option
@json_option
def layout_command(*, name: str, key: str | None, as_json: bool) -> None:
    """Change to another layout or a card, from the next frame on."""
    found = select_session(key, (STATES_RECORDING, STATES_BEFORE))
    send_command(found.folder, LayoutCommand(name=name))
    print_result({"type": "layout", "name": name}, f"Layout {name}: {found}.", as_json=as_json)
