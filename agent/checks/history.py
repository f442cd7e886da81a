"""Results of checks: kept for the next session, and printed by `liput check --json`."""

from datetime import UTC, datetime, timedelta

import msgspec

from agent.checks.result import Result, is_ready
from config.errors import StateError
from config.state import Store, state_folder

KEPT = 500
"""Runs: a year or two of a room in daily use."""
BEFORE = timedelta(hours=6)
"""An older run says nothing about the session that begins."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the checks: its time, the session's title and the results."""

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
    """Keep a run and drop the oldest above KEPT. Raises StateError."""
    _store().change(lambda before: [*before, checked][-KEPT:])


def kept() -> list[Checked]:
    """Return the kept runs, oldest first. Raises StateError."""
    return _store().read()


def newest(now: datetime) -> Checked | None:
    """Return the last run if it is at most BEFORE old; None without one, or if the file cannot be read."""
    try:
        last = kept()[-1:]
    except StateError:
        return None
    return next((one for one in last if timedelta(0) <= now - one.at <= BEFORE), None)


def document(checked: Checked, language: str, kind: str = "check") -> dict[str, object]:
    """Return the JSON of `liput check --json`: reasons and advice in `language`, and in both languages by code."""
    return {
        "type": kind,
        "at": checked.at,
        "title": checked.title,
        "quick": checked.quick,
        "ready": checked.ready,
        "checks": [result_line(result, language) for result in checked.results],
    }


def result_line(result: Result, language: str) -> dict[str, object]:
    """Return one result as JSON."""
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
    """Return the newest run as JSON for a session that begins now; None without a recent one."""
    last = newest(datetime.now(UTC))
    return None if last is None else document(last, language)
