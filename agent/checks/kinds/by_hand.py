"""Equipment that no program can sense, such as a tripod or cables: the operator ticks it off."""

from collections.abc import Iterable

from agent.checks.check import Check, CheckContext, CheckResult, findings, make_result
from config.locale.lookup import words

NAME = "by-hand"
CODES = findings("check-by-hand")


def look(situation: CheckContext) -> Iterable[CheckResult]:
    for item in situation.equipment:
        yield make_result(CODES, "ok" if item in situation.ticked else "not-ticked", f"{NAME}: {item}", item=item)


CHECKS = [Check(NAME, words("check-by-hand")["equipment"], look, CODES, place=110)]
