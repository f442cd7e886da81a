"""Did the speakers agree to being recorded? Asked where somebody sits at a terminal, and never for long."""

import contextlib
import select
import sys
import termios

import click

from agent.terminal import somebody_is_there
from config.messages import in_language
from devices.clock import SystemClock
from recorder.archive.model import Consent, ConsentState

PATIENCE_S = 20.0
"""How long an answer is waited for: a session begins whether or not anybody gives one."""

_QUESTION = (
    "Apakah para pembicara setuju direkam? y ya, t tidak, Enter belum ditanyakan ({patience:.0f} dtk): ",
    "Do the speakers agree to being recorded? y yes, n no, Enter not asked ({patience:.0f} s): ",
)
_UNKNOWN = (
    'Itu bukan "y" atau "t"; dicatat: belum ditanyakan. `liput archive edit` dapat mengubahnya nanti.',
    'That is neither "y" nor "n"; noted: not asked. `liput archive edit` can correct it later.',
)
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


def _answer(language: str) -> ConsentState:
    """Ask, and return what the line says that comes within PATIENCE_S; no line, and what is neither, is no answer."""
    click.echo(in_language(_QUESTION, language).format(patience=PATIENCE_S), nl=False, err=True)
    if select.select([sys.stdin], [], [], PATIENCE_S)[0]:
        answer = " ".join(sys.stdin.readline().casefold().split())
        if answer not in _ANSWERS:
            click.echo(in_language(_UNKNOWN, language), err=True)
        return _ANSWERS.get(answer, "not-asked")
    click.echo(err=True)
    with contextlib.suppress(termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # half an answer must not become keys of the session
    return "not-asked"
