"""`liput destination`: what a session that runs is streamed to."""

import os
import select
import signal
from pathlib import Path

import click
import msgspec

from agent.asking import absolute
from agent.commands.sessions import json_option, say_line, session_option
from agent.destination_text import destination_text
from agent.signals import hearing
from config.errors import UsageError
from config.schema import Settings
from config.secrets import destination_url, read_url_file, stream_name
from recorder.archive.names import storable
from recorder.control.client import Connection, ask
from recorder.control.find import Running, session
from recorder.control.protocol import (
    LONGEST_NAME,
    DestinationAdd,
    DestinationChange,
    DestinationRemove,
    DestinationRestart,
    Failure,
    Status,
    Watch,
    raised,
)
from recorder.model.status import AFTER, BEFORE, RECORDS, DestinationLine, SessionResult, SessionStatus

LOOK_S = 0.5

EXAMPLES = """\b
Examples:
  liput destination add youtube           a destination of the settings, from the next keyframe on
  liput destination add @alamat.txt       a 0600 file with a whole address; @- is standard input
  liput destination remove youtube        the others, and the recording, notice nothing
  liput destination restart youtube       connect anew, with the key that is in the settings now
  liput destination status --watch        how each is, whenever that changes; Ctrl-C ends the watching
"""


@click.group(epilog=EXAMPLES)
def destination_command() -> None:
    """Add, remove and restart what a running session is streamed to, and see how it is."""


@destination_command.command("add")
@click.argument("name", metavar="NAME|@FILE")
@click.option("--although-refused", is_flag=True, help="Also where the speakers do not agree to being recorded.")
@session_option
@json_option
def add_command(*, name: str, although_refused: bool, key: str | None, as_json: bool) -> int:
    """Stream to one more destination, from the next keyframe on; an armed session keeps it for its start."""
    if "://" in name:
        destination_url(Settings(), name)  # which says why it does not belong here
    found = session(key, (RECORDS, BEFORE))
    request = _by_file(name) if name.startswith("@") else DestinationAdd(name=_checked(name))
    request = msgspec.structs.replace(request, although_refused=although_refused)
    return _change(found, request, "added", f"{request.name} is a destination now", as_json=as_json)


@destination_command.command("remove")
@click.argument("name")
@session_option
@json_option
def remove_command(*, name: str, key: str | None, as_json: bool) -> int:
    """Stream to a destination no more."""
    found = session(key, (RECORDS, BEFORE))
    request = DestinationRemove(name=_checked(name))
    return _change(found, request, "removed", f"{name} is not streamed to any more", as_json=as_json)


@destination_command.command("restart")
@click.argument("name")
@session_option
@json_option
def restart_command(*, name: str, key: str | None, as_json: bool) -> int:
    """Connect to a destination anew, now, with its address and key as they are in the settings now."""
    found = session(key, (RECORDS, BEFORE))
    request = DestinationRestart(name=_checked(name))
    return _change(found, request, "restarted", f"{name} is connected anew", as_json=as_json)


@destination_command.command("status")
@click.option("--watch", is_flag=True, help="Go on, whenever something changes, until the session ends.")
@session_option
@json_option
def status_command(*, watch: bool, key: str | None, as_json: bool) -> int:
    """Show how each destination of a session is, and why."""
    found = session(key, (RECORDS, BEFORE, AFTER))
    shown = _Shown(found, as_json=as_json)
    status = ask(found.folder, Status()).status
    if status is not None:
        shown.show(status)
    if watch:
        _watch(found, shown)
    return 0


class DestinationsLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="destinations"):
    """How the destinations of a session are."""

    id: str
    destinations: list[DestinationLine]


class _Shown:
    """Shows the destinations whenever one is another way than it was."""

    def __init__(self, found: Running, *, as_json: bool) -> None:
        self._found = found
        self._as_json = as_json
        self._before: list[tuple[object, ...]] | None = None

    def show(self, status: SessionStatus) -> None:
        now: list[tuple[object, ...]] = [
            (line.name, line.state, line.reason, line.message) for line in status.destinations
        ]
        if now == self._before:
            return
        self._before = now
        text = "\n".join(map(destination_text, status.destinations)) or f"{self._found} is not streamed to anybody."
        line = DestinationsLine(id=self._found.info.id, destinations=status.destinations)
        say_line(line, text, as_json=self._as_json)


def _watch(found: Running, shown: _Shown) -> None:
    """Show what changes until the session is over, or somebody has seen enough; that ends nothing."""
    rung = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        with (
            hearing((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), lambda _number: os.eventfd_write(rung, 1)),
            Connection(found.folder) as connection,
        ):
            connection.request(Watch(every_s=LOOK_S))
            while rung not in select.select([connection.fileno(), rung], [], [])[0]:
                while (told := connection.told(0)) is not None:
                    if isinstance(told, Failure):
                        raise raised(told)
                    if isinstance(told, SessionResult):
                        return
                    if isinstance(told, SessionStatus):
                        shown.show(told)
    finally:
        os.close(rung)


def _change(found: Running, request: DestinationChange, change: str, sentence: str, *, as_json: bool) -> int:
    note = ask(found.folder, request).note
    said = f"{sentence}: {found}." + (f"\n{note[0].upper()}{note[1:]}." if note else "")
    say_line({"type": "destination", "name": request.name, "change": change, "note": note}, said, as_json=as_json)
    return 0


def _by_file(word: str) -> DestinationAdd:
    """Return what adds the destination whose address is in a file (`@-`: on standard input), which is read here."""
    name = word.removeprefix("@")
    address = read_url_file(name)
    path = None if name == "-" else str(absolute(Path(name)))
    return DestinationAdd(name=_checked(storable(stream_name(word))), address=address.reveal(), file=path)


def _checked(name: str) -> str:
    if not name or len(name) > LONGEST_NAME:
        raise UsageError("that is no name of a destination", hint="liput destination status shows them")
    return storable(name)
