"""Results of checks: kept for the next session, and printed by `liput check --json`."""

from datetime import UTC, datetime, timedelta

import msgspec

from agent.checks.result import CheckResult, is_ready
from config.errors import StateError
from config.state import StateFile, state_folder

MOST_RUNS = 500
"""Runs: a year or two of a room in daily use."""
RECENT = timedelta(hours=6)
"""An older run says nothing about the session that begins."""


class CheckRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the checks: its time, the session's title and the results."""

    at: datetime
    title: str = ""
    quick: bool = False
    results: list[CheckResult]

    @property
    def ready(self) -> bool:
        """Whether the room was ready."""
        return is_ready(self.results)


def _store() -> StateFile[list[CheckRun]]:
    return StateFile(state_folder() / "checks.json", list[CheckRun], [])


def keep_run(checked: CheckRun) -> None:
    """Keep a run and drop the oldest above KEPT. Raises StateError."""
    _store().change(lambda before: [*before, checked][-MOST_RUNS:])


def kept_runs() -> list[CheckRun]:
    """Return the kept runs, oldest first. Raises StateError."""
    return _store().read()


def newest_run(now: datetime) -> CheckRun | None:
    """Return the last run if it is at most BEFORE old; None without one, or if the file cannot be read."""
    try:
        last = kept_runs()[-1:]
    except StateError:
        return None
    return next((one for one in last if timedelta(0) <= now - one.at <= RECENT), None)


def run_document(checked: CheckRun, language: str, kind: str = "check") -> dict[str, object]:
    """Return the JSON of `liput check --json`: reasons and advice in `language`, and in both languages by code."""
    return {
        "type": kind,
        "at": checked.at,
        "title": checked.title,
        "quick": checked.quick,
        "ready": checked.ready,
        "checks": [result_document(result, language) for result in checked.results],
    }


def result_document(result: CheckResult, language: str) -> dict[str, object]:
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


def recent_run(language: str) -> dict[str, object] | None:
    """Return the newest run as JSON for a session that begins now; None without a recent one."""
    last = newest_run(datetime.now(UTC))
    return None if last is None else run_document(last, language)
