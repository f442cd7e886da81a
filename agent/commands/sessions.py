"""Commands that tell a session which runs what to do: `start`, `stop`, `disarm`, `mark`, `mute`, `layout`."""

import contextlib
import os
import signal
import sys
import time
from typing import Any

import click
import msgspec

from agent.parameters import seconds
from agent.reporters import clock_text, result_text
from agent.telling import exit_status
from config.errors import NoSession, SessionError
from config.events import Event
from recorder.archive.names import storable
from recorder.control.client import Connection, Lost, ask, how_it_ended
from recorder.control.directory import ended_folder
from recorder.control.find import AFTER, BEFORE, RECORDS, Running, session
from recorder.control.protocol import AnyRequest, Disarm, Failure, Layout, Mark, Mute, Start, Stop, Told, Watch, raised
from recorder.status import SessionResult, SessionState, SessionStatus

START_S = 120.0
"""How long a start may take: as long as the devices of a session that is being armed take to open."""
LOOK_S = 0.1
QUIET_S = 60.0

NOTHING = SessionResult(state=SessionState.IDLE, package=None, duration_s=0.0, frames=0, degraded=[])

session_option = click.option("--session", "key", metavar="ID", help="Which session, where several run.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


class SessionLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="session"):
    """A session that runs; `state` and `status` are null where its recorder does not answer."""

    id: str
    title: str
    state: SessionState | None
    archive: str
    work: str | None
    started_at: str
    pid: int
    folder: str
    status: SessionStatus | None


def line_of(found: Running) -> SessionLine:
    """Return a session as programs are told of it."""
    info = found.info
    return SessionLine(
        id=info.id,
        title=info.title,
        state=found.state,
        archive=info.archive,
        work=info.work,
        started_at=info.started_at.isoformat(),
        pid=info.pid,
        folder=storable(str(found.folder.path)),
        status=found.status,
    )


def say(sentence: str, *, as_json: bool) -> None:
    """Say something to people: where programs read our output, on standard error."""
    print(sentence, file=sys.stderr if as_json else sys.stdout, flush=True)


def say_line(line: object, sentence: str, *, as_json: bool) -> None:
    """Answer a program with `line`, a person with `sentence`."""
    print(msgspec.json.encode(line).decode() if as_json else sentence, flush=True)


@click.command(
    epilog="""\b
Examples:
  liput start                         record from now on
  liput start --pre-roll 15s          record from 15 s ago, as far as that is kept
"""
)
@click.option(
    "--pre-roll", "pre_roll_s", callback=seconds, metavar="TIME", help="How far to reach back: 15s.  [default: not]"
)
@session_option
@json_option
def start_command(*, pre_roll_s: float | None, key: str | None, as_json: bool) -> int:
    """Begin to record the session that is armed. One that records already goes on."""
    found = session(key, (BEFORE, RECORDS))
    is_new = found.state not in RECORDS
    if is_new:
        _start(found, pre_roll_s or 0.0)
    again = session(found.info.id, ())
    say_line(line_of(again), f"{'Recording' if is_new else 'Recording already'}: {again}.", as_json=as_json)
    return 0


def _start(found: Running, pre_roll_s: float) -> None:
    """Start it, and wait until it records; raises what kept it from that."""
    with Connection(found.folder) as connection:
        connection.request(Watch(every_s=LOOK_S))
        connection.request(Start(pre_roll_s=pre_roll_s))
        for told in connection.told_within(START_S):
            if isinstance(told, Event) and told.kind == "start-failed":
                raise SessionError(told.message, hint=str(told.detail.get("hint", "")))
            if isinstance(told, Failure):
                raise raised(told)
            if isinstance(told, SessionResult) or _records(told):
                return
    raise SessionError(
        f"the session has not begun to record within {START_S:.0f} s",
        hint="liput status says how it is; liput stop ends it",
    )


def _records(told: Told) -> bool:
    if isinstance(told, SessionStatus):
        return told.state not in BEFORE
    return isinstance(told, Event) and told.kind == "session-live"


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
    """End a session: close the recording and put it into the archive. One that is only armed is disarmed."""
    try:
        found = session(key, (RECORDS, BEFORE, AFTER))
        result = _stop(found, wait=not no_wait)
        if result is None:
            say_line(line_of(found), f"Ending: {found}.", as_json=as_json)
            return 0
    except NoSession:
        result = _ended_before(key)
        if result is None:
            raise
    package = None if result.package is None else storable(result.package)
    sentence = "No session runs." if result is NOTHING else result_text(result)
    say_line(msgspec.structs.replace(result, package=package), sentence, as_json=as_json)
    return 0 if result.state is SessionState.IDLE else exit_status(result)


def _ended_before(key: str | None) -> SessionResult | None:
    """Return how the session ended that somebody has stopped already; without a name, that there is nothing to stop."""
    if key is None:
        return NOTHING
    end = how_it_ended(ended_folder(key))
    if isinstance(end, Failure):
        raise raised(end)
    return end


def _stop(found: Running, *, wait: bool) -> SessionResult | None:
    """End it, by a signal where it does not answer; return how it ended if that is waited for."""
    try:
        with Connection(found.folder) as connection:
            if wait:
                connection.request(Watch(every_s=3600))
            connection.request(Stop())
            while wait:
                told = connection.told(QUIET_S)
                if isinstance(told, Failure):
                    raise raised(told)
                if isinstance(told, SessionResult):
                    return told
    except Lost:
        # It has gone, or hangs where it should answer; a signal is heard in any case.
        with contextlib.suppress(ProcessLookupError):
            if found.info.is_alive:
                os.kill(found.info.pid, signal.SIGTERM)
        while wait and found.info.is_alive:
            time.sleep(LOOK_S)
        end = how_it_ended(found.folder)
        if isinstance(end, Failure):
            raise raised(end) from None
        if end is None and not found.info.is_alive:
            raise SessionError(
                "the recorder was killed; what it recorded up to then is kept",
                hint="`liput recover` makes a package of it",
            ) from None
        return end
    return None


@click.command(epilog="\b\nExample:\n  liput disarm")
@session_option
@json_option
def disarm_command(*, key: str | None, as_json: bool) -> int:
    """Let go of the devices of a session that is armed. One that records is not touched."""
    found = session(key, (BEFORE, RECORDS))
    with Connection(found.folder) as connection:
        connection.request(Watch(every_s=3600))
        connection.request(Disarm())
        for told in connection.told_within(START_S):
            if isinstance(told, Failure):
                raise raised(told)
            if isinstance(told, SessionResult):
                say_line(told, f"Disarmed: {found}.", as_json=as_json)
                return 0
    raise SessionError(f"{found} has not ended within {START_S:.0f} s", hint="liput status says how it is")


@click.command(epilog='\b\nExample:\n  liput mark "Tanya jawab"')
@click.argument("text")
@session_option
@json_option
def mark_command(*, text: str, key: str | None, as_json: bool) -> int:
    """Mark this moment of the recording: a chapter that players show."""
    reply = _tell(session(key, (RECORDS, BEFORE)), Mark(text=storable(text)))
    mark: dict[str, Any] = dict(reply) if isinstance(reply, dict) else {}
    sentence = f"Marked at {clock_text(float(mark.get('media_s', 0)))}: {mark.get('text', text)}"
    say_line({"type": "mark", **mark}, sentence, as_json=as_json)
    return 0


@click.command(
    epilog="""\b
Examples:
  liput mute                 all sound
  liput mute podium          one input
  liput mute podium --off    heard again
"""
)
@click.argument("name", required=False)
@click.option("--off", is_flag=True, help="Let it be heard again.")
@session_option
@json_option
def mute_command(*, name: str | None, off: bool, key: str | None, as_json: bool) -> int:
    """Mute a sound input of a session, or all of them."""
    found = session(key, (RECORDS, BEFORE))
    _tell(found, Mute(name=name, on=not off))
    sentence = f"{name or 'All sound'} is {'heard again' if off else 'muted'}: {found}."
    say_line({"type": "mute", "name": name, "on": not off}, sentence, as_json=as_json)
    return 0


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
def layout_command(*, name: str, key: str | None, as_json: bool) -> int:
    """Show another layout, or a card, from the next picture on."""
    found = session(key, (RECORDS, BEFORE))
    _tell(found, Layout(name=name))
    say_line({"type": "layout", "name": name}, f"Layout {name}: {found}.", as_json=as_json)
    return 0


def _tell(found: Running, request: AnyRequest) -> object:
    """Send a command; return the mark that it is answered with, if it is one."""
    return ask(found.folder, request).mark
