"""The result of a check: a verdict, measured figures, the reason and the advice, in two languages."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from config.locale.lookup import NO_TEXT, LocalizedText, sentence_file


class CheckVerdict(StrEnum):
    """The verdict of one check, in ascending order: the last one present is that of the whole run."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    FAILURE = "failure"


class CheckFinding(NamedTuple):
    """A finding: its verdict, reason and advice; the sentences have facts in braces."""

    verdict: CheckVerdict
    reason: LocalizedText
    advice: LocalizedText = NO_TEXT


def findings(name: str) -> dict[str, CheckFinding]:
    """Return the findings of an area of the sentences, by code."""
    known = sentence_file(name)
    return {
        code: CheckFinding(CheckVerdict(found.verdict), known.said(found.reason), known.said(found.advice))
        for code, found in known.codes.items()
    }


type Measured = Mapping[str, str | float | bool | None]
"""By names that end in the unit: `free_bytes`, `rtt_s`, `rate_bps`, `level_dbfs`."""


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check for one thing; `name` is such as `picture: podium`, `code` is stable, `ok` if well."""

    name: str
    verdict: CheckVerdict
    code: str
    measured: Measured = {}
    reason: LocalizedText
    advice: LocalizedText = NO_TEXT


def make_result(
    codes: Mapping[str, CheckFinding], code: str, name: str, /, measured: Measured | None = None, **facts: object
) -> CheckResult:
    """Return the result with `code` for `name`; `facts` and `measured` fill the sentences."""
    verdict, reason, advice = codes[code]
    every = {**(measured or {}), **facts}
    return CheckResult(
        name=name,
        verdict=verdict,
        code=code,
        measured=measured or {},
        reason=reason.filled(every),
        advice=advice.filled(every),
    )


def is_ready(results: list[CheckResult]) -> bool:
    """Return whether a session may begin: no check has failed or was cancelled."""
    return all(result.verdict is not CheckVerdict.FAILURE and not is_cancelled(result) for result in results)


def is_cancelled(result: CheckResult) -> bool:
    """Return whether the run ended (Ctrl-C) before this thing was looked at."""
    return result.code == "cancelled"
