"""The time since this PC was started."""

from collections.abc import Iterable
from pathlib import Path

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result
from config.locale.lookup import words

NAME = "uptime"
UPTIME = Path("/proc/uptime")
MOST_DAYS = 14

CODES, WORDS = findings("check-uptime"), words("check-uptime")


def look(_situation: CheckContext) -> Iterable[CheckResult]:
    """Return the one result."""
    seconds = float(UPTIME.read_text().split()[0])
    days = seconds / 86_400
    yield make_result(CODES, "ok" if days < MOST_DAYS else "long", NAME, {"uptime_s": seconds}, days=days)


CHECKS = [Check(NAME, WORDS["uptime"], look, CODES, place=75)]
