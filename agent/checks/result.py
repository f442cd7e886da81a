"""The result of a check: a verdict, measured figures, the reason and the advice, in two languages."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from config.locale.lookup import NOTHING, Words, area


class Verdict(StrEnum):
    """The verdict of one check, in ascending order: the last one present is that of the whole run."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    FAILURE = "failure"


class Code(NamedTuple):
    """A finding: its verdict, reason and advice; the sentences have facts in braces."""

    verdict: Verdict
    reason: Words
    advice: Words = NOTHING


def codes(name: str) -> dict[str, Code]:
    """Return the findings of an area of the sentences, by code."""
    known = area(name)
    return {
        code: Code(Verdict(found.verdict), known.said(found.reason), known.said(found.advice))
        for code, found in known.codes.items()
    }


type Measured = Mapping[str, str | float | bool | None]
"""By names that end in the unit: `free_bytes`, `rtt_s`, `rate_bps`, `level_dbfs`."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check for one thing; `name` is such as `picture: podium`, `code` is stable, `ok` if well."""

    name: str
    verdict: Verdict
    code: str
    measured: Measured = {}
    reason: Words
    advice: Words = NOTHING


def found(
    codes: Mapping[str, Code], code: str, name: str, /, measured: Measured | None = None, **facts: object
) -> Result:
    """Return the result with `code` for `name`; `facts` and `measured` fill the sentences."""
    verdict, reason, advice = codes[code]
    every = {**(measured or {}), **facts}
    return Result(
        name=name,
        verdict=verdict,
        code=code,
        measured=measured or {},
        reason=reason.filled(every),
        advice=advice.filled(every),
    )


def is_ready(results: list[Result]) -> bool:
    """Return whether a session may begin: no check has failed or was cancelled."""
    return all(result.verdict is not Verdict.FAILURE and not is_cancelled(result) for result in results)


def is_cancelled(result: Result) -> bool:
    """Return whether the run ended (Ctrl-C) before this thing was looked at."""
    return result.code == "cancelled"
