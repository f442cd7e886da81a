"""Did the speakers agree to being recorded? Asked where somebody sits at a terminal, and never for long."""

import contextlib
import select
import sys
import termios
from collections.abc import Sequence

import click

from agent.terminal import somebody_is_there
from config.locale.lookup import text
from config.secrets import stream_name
from devices.host.clock import SystemClock
from recorder.archive.model import Consent, ConsentState

PATIENCE_S = 20.0
"""How long an answer is waited for: a session begins whether or not anybody gives one."""

_ANSWERS: dict[str, ConsentState] = {
    **dict.fromkeys(("y", "ya", "iya", "yes", "setuju"), "given"),
    **dict.fromkeys(("t", "tidak", "tdk", "n", "no", "tidak setuju"), "refused"),
    "": "not-asked",
}


def consent(state: ConsentState | None, note: str, *, language: str, may_ask: bool) -> Consent:
    """Return what is known of the speakers' consent: what was said on the command line, else what is answered now.

    Without a terminal nobody is asked.
    """
    if state is None:
        state = _answer(language) if may_ask and somebody_is_there() else "not-asked"
    is_said = state != "not-asked" or bool(note)
    return Consent(state=state, note=note, noted_at=SystemClock().now() if is_said else None)


def streams_agreed(
    streams: Sequence[str], consent: Consent, *, language: str, may_ask: bool, although_refused: bool
) -> Sequence[str]:
    """Return what the session may be streamed to: nothing where the speakers refuse, unless somebody says so.

    It is recorded whatever the answer, and that it is not streamed is said.
    """
    if consent.state != "refused" or not streams or although_refused:
        return streams
    names = ", ".join("an address" if "://" in word else stream_name(word) for word in streams)
    if may_ask and somebody_is_there():
        answer = _line(text("consent", "stream", language, names=names, patience=PATIENCE_S))
        if _ANSWERS.get(answer or "") == "given":
            return streams
    click.echo(text("consent", "not-streamed", language, names=names), err=True)
    return ()


def _answer(language: str) -> ConsentState:
    """Ask for consent; no line, and one that is neither yes nor no, is no answer."""
    answer = _line(text("consent", "question", language, patience=PATIENCE_S))
    if answer is not None and answer not in _ANSWERS:
        click.echo(text("consent", "unknown", language), err=True)
    return _ANSWERS.get(answer or "", "not-asked")


def _line(question: str) -> str | None:
    """Ask, and return the line that comes within PATIENCE_S, in small letters; None where none does."""
    click.echo(question, nl=False, err=True)
    if select.select([sys.stdin], [], [], PATIENCE_S)[0]:
        return " ".join(sys.stdin.readline().casefold().split())
    click.echo(err=True)
    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # half an answer must not become keys of the session
    return None
