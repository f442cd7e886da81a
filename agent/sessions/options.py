"""Options of the commands that begin a session, and the request they make of its recorder."""

import contextlib
import functools
import select
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.checks.history import recent_run
from agent.features import with_request
from agent.sessions.control import make_spec
from agent.terminal.parameters import Command, config_option, duration_option, with_options
from agent.terminal.terminal import can_ask
from config.errors import UsageError
from config.locale.lookup import text
from config.settings.schema import CONSENTS, RecordsSettings, load_settings
from config.settings.secrets import stream_name
from devices.host.clock import SystemClock
from recorder.control.spec import RecorderSpec
from recorder.package.metadata import Consent, ConsentState
from recorder.running.protocol import RecorderRefused
from recorder.session.request import SessionRequest

_SOURCES = (
    click.option(
        "--video", "videos", metavar="DEVICE|screen|synthetic|FILE", multiple=True,
        help="A video source; repeatable, for a layout.  [default: the best]",
    ),
    click.option(
        "--audio", "audios", metavar="DEVICE|synthetic|FILE|none", multiple=True,
        help="A source of sound; repeatable, mixed.  [default: the picture's, or the best]",
    ),
    click.option("--layout", metavar="NAME", help="The layout of several pictures (liput config show)."),
    click.option(
        "--conference/--no-conference", default=None,
        help="Feed a virtual camera and microphone (liput conference setup).  [default: from the settings]",
    ),
    click.option("--isolate", is_flag=True, help="Also record each source as an iso recording."),
    click.option(
        "--stream", "streams", metavar="NAME|@FILE", multiple=True,
        help="A destination of the settings, or a 0600 file with a URL; repeatable.",
    ),
    click.option("--profile", metavar="NAME", help="Picture size, frame rate and bit rates (liput config show)."),
    config_option,
)  # fmt: skip
"""Options of recorded and rehearsed sessions alike."""
request_option = click.option("--request", metavar="ID", help="The session's request (liput request list).")
_RECORDED = (
    click.option("--title", help="The title; it names the package, too.  [default: the request's event]"),
    request_option,
    *_SOURCES,
    click.option(
        "--allow-missing", is_flag=True, help="Start although a named device is missing; a slate replaces it."
    ),
    duration_option("--for", "duration_s", "The duration: 90s, 1h30m.  [default: until stopped]"),
    click.option("--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive folder."),
    click.option(
        "--consent",
        "consent_state",
        type=click.Choice(CONSENTS),
        help="The speakers' consent to the recording.  [default: asked at a terminal, else not-asked]",
    ),
    click.option("--although-refused", is_flag=True, help="Stream although the speakers refused consent."),
    click.option("--consent-note", default="", metavar="TEXT", help="Details: the person, the witness, the scope."),
    click.option("--classification", metavar="CODE", help="The code of the file plan.  [default: from the settings]"),
    click.option("--security", metavar="CLASS", help="The security class.  [default: from the settings]"),
    click.option("--retention-active", metavar="TIME", help="Active retention period.  [default: from the settings]"),
    click.option(
        "--retention-inactive", metavar="TIME", help="Inactive retention period.  [default: from the settings]"
    ),
    click.option("--disposition", metavar="WHAT", help="The final disposition.  [default: from the settings]"),
)
_RECORDS = RecordsSettings.__struct_fields__
_ASKED = frozenset(SessionRequest.__struct_fields__)


def session_options[Answer](command: Command[Answer]) -> Command[Answer]:
    """Add the options of a session to a click command; it gets `asked` and `config_file` instead."""

    @functools.wraps(command)
    def asking(
        *, title: str | None, request: str | None, config_file: Path | None, consent_state: ConsentState | None,
        consent_note: str, although_refused: bool, streams: Sequence[str], **given: object,
    ) -> Answer:  # fmt: skip
        if title is None and request is None:
            raise UsageError("there is no title", hint='name the session: --title "Rapat senat", or --request ID')
        if title is not None and not title.strip():
            raise UsageError("the title is empty", hint='name the session: --title "Rapat senat"')
        settings = load_settings(config_file)
        language = settings.general.language
        titled = with_request(SessionRequest(title=title or ""), request, settings)
        may_ask = not given.get("as_json")
        agreed = ask_consent(consent_state, consent_note, language=language, may_ask=may_ask)
        may_see = agreed_streams(streams, agreed, language=language, may_ask=may_ask, although_refused=although_refused)
        told = {name: value for name, value in given.items() if name not in _RECORDS} | {
            "checked": recent_run(language),
            "config_file": config_file,
            "consent": agreed,
            "streams": may_see,
            "records": {name: given[name] for name in _RECORDS if given[name] is not None},
        }
        return _call(command, told, titled)

    return with_options(_RECORDED, asking)


def with_asked[Answer](command: Command[Answer]) -> Command[Answer]:
    """Give a click command with `request_option` its options of a session as one value `asked`."""

    @functools.wraps(command)
    def asking(*, request: str | None, config_file: Path | None, **given: object) -> Answer:
        titled = with_request(SessionRequest(title=""), request, load_settings(config_file))
        return _call(command, given | {"config_file": config_file}, titled)

    return asking


def rehearsal_options[Answer](command: Command[Answer]) -> Command[Answer]:
    """Add the options of a rehearsal; the command gets `asked` instead."""
    return with_options((request_option, *_SOURCES), with_asked(command))


def _call[Answer](command: Command[Answer], given: Mapping[str, Any], titled: SessionRequest) -> Answer:
    """Call the command with the given options of a SessionRequest as one value, and the others unchanged."""
    asked = {name: value for name, value in given.items() if name in _ASKED}
    asked |= {"title": titled.title, "request": titled.request}
    return command(
        asked=SessionRequest(**asked), **{name: value for name, value in given.items() if name not in _ASKED}
    )


def begin_or_ask[Answer](
    asked: SessionRequest, config_file: Path | None, begin: Callable[[RecorderSpec], Answer], **more: bool
) -> Answer:
    """Begin a session; if a device is missing, ask at the terminal whether to go without. Raises as `begin`."""
    spec = make_spec(asked, config_file, **more)
    try:
        return begin(spec)
    except RecorderRefused as error:
        if not error.is_of_device or asked.allow_missing or not can_ask():
            raise
        click.echo(f"liput: {error.message}", err=True)
        if not click.confirm("Begin without, with a slate or silence until it comes?", default=False, err=True):
            raise
    return begin(msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, allow_missing=True)))


PATIENCE_S = 20.0  # limit for an answer; the session begins without one too

_ANSWERS: dict[str, ConsentState] = {
    **dict.fromkeys(("y", "ya", "iya", "yes", "setuju"), "given"),
    **dict.fromkeys(("t", "tidak", "tdk", "n", "no", "tidak setuju"), "refused"),
    "": "not-asked",
}


def ask_consent(state: ConsentState | None, note: str, *, language: str, may_ask: bool) -> Consent:
    """Return the speakers' consent, from the command line or from the person at the terminal."""
    if state is None:
        state = _ask(language) if may_ask and can_ask() else "not-asked"
    is_said = state != "not-asked" or bool(note)
    return Consent(state=state, note=note, noted_at=SystemClock().now() if is_said else None)


def agreed_streams(
    streams: Sequence[str], consent: Consent, *, language: str, may_ask: bool, although_refused: bool
) -> Sequence[str]:
    """Return the destinations of the session: none if the speakers refuse, unless a person overrides that."""
    if consent.state != "refused" or not streams or although_refused:
        return streams
    names = ", ".join("an address" if "://" in word else stream_name(word) for word in streams)
    if may_ask and can_ask():
        answer = _read_line(text("consent", "stream", language, names=names, patience=PATIENCE_S))
        if _ANSWERS.get(answer or "") == "given":
            return streams
    click.echo(text("consent", "not-streamed", language, names=names), err=True)
    return ()


def _ask(language: str) -> ConsentState:
    """Ask for consent; an unclear line counts as no answer."""
    answer = _read_line(text("consent", "question", language, patience=PATIENCE_S))
    if answer is not None and answer not in _ANSWERS:
        click.echo(text("consent", "unknown", language), err=True)
    return _ANSWERS.get(answer or "", "not-asked")


def _read_line(question: str) -> str | None:
    """Ask and return the answer in small letters; None if none comes within PATIENCE_S."""
    click.echo(question, nl=False, err=True)
    if select.select([sys.stdin], [], [], PATIENCE_S)[0]:
        return " ".join(sys.stdin.readline().casefold().split())
    click.echo(err=True)
    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # half an answer must not act as keys of the session
    return None
