"""What checks found: kept for the session that follows, and as `liput check --json` prints it."""

from datetime import UTC, datetime, timedelta

import msgspec

from agent.checks.result import Result, is_ready
from config.errors import StateError
from config.state import Store, state_folder

KEPT = 500
"""Checks: a year or two of a room that is used daily."""
BEFORE = timedelta(hours=6)
"""A check that is older tells nothing of the session that begins."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the checks: when, for what, and what was found."""

    at: datetime
    title: str = ""
    quick: bool = False
    results: list[Result]

    @property
    def ready(self) -> bool:
        """Whether the room was ready."""
        return is_ready(self.results)


def _store() -> Store[list[Checked]]:
    return Store(state_folder() / "checks.json", list[Checked], [])


def keep(checked: Checked) -> None:
    """Keep one; the oldest go. Raises StateError."""
    _store().change(lambda before: [*before, checked][-KEPT:])


def kept() -> list[Checked]:
    """Return what is kept, the oldest first. Raises StateError."""
    return _store().read()


def newest(now: datetime) -> Checked | None:
    """Return the one that a session which begins now was begun after; None where there is none, or none is kept."""
    try:
        last = kept()[-1:]
    except StateError:
        return None
    return next((one for one in last if timedelta(0) <= now - one.at <= BEFORE), None)


def document(checked: Checked, language: str, kind: str = "check") -> dict[str, object]:
    """Return what `liput check --json` prints: reasons and advice in `language`, and in each under its code."""
    return {
        "type": kind,
        "at": checked.at,
        "title": checked.title,
        "quick": checked.quick,
        "ready": checked.ready,
        "checks": [result_line(result, language) for result in checked.results],
    }


def result_line(result: Result, language: str) -> dict[str, object]:
    """Return one of them."""
    return {
        "name": result.name,
        "verdict": str(result.verdict),
        "code": result.code,
        "measured": dict(result.measured),
        "reason": result.reason.of(language),
        "advice": result.advice.of(language),
        "id": {"reason": result.reason.indonesian, "advice": result.advice.indonesian},
        "en": {"reason": result.reason.english, "advice": result.advice.english},
    }


def before_a_session(language: str) -> dict[str, object] | None:
    """Return what the check before a session that begins now has found, to be kept with it."""
    last = newest(datetime.now(UTC))
    return None if last is None else document(last, language)
