"""What checks found, as `liput check --json` prints it and as it is kept with a session."""

from datetime import UTC, datetime

from agent.checks.history import Checked, History
from agent.checks.result import Result


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
    newest = History().newest(datetime.now(UTC))
    return None if newest is None else document(newest, language)
