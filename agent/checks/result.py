"""What a check before a session found: a verdict, what was measured, why, and what to do about it, in two languages."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from config.locale.lookup import NOTHING, Words, area


class Verdict(StrEnum):
    """What a check says of one thing; of several, the last that any has is the whole one's."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    FAILURE = "failure"


class Code(NamedTuple):
    """One thing that a check may find: how bad it is, its reason and its advice, with facts in braces."""

    verdict: Verdict
    reason: Words
    advice: Words = NOTHING


def codes(name: str) -> dict[str, Code]:
    """Return what the check of an area of sentences may find."""
    known = area(name)
    return {
        code: Code(Verdict(found.verdict), known.said(found.reason), known.said(found.advice))
        for code, found in known.codes.items()
    }


type Measured = Mapping[str, str | float | bool | None]
"""By a name that ends in its unit, as in `free_bytes`, `rtt_s`, `rate_bps`, `level_dbfs`."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found of one thing; `name` is `picture: podium`, `code` a stable word, `ok` where all is well."""

    name: str
    verdict: Verdict
    code: str
    measured: Measured = {}
    reason: Words
    advice: Words = NOTHING


def found(
    codes: Mapping[str, Code], code: str, name: str, /, measured: Measured | None = None, **facts: object
) -> Result:
    """Return the result `code`, one of `codes`, of `name`; `facts` fill in the words, beside what was `measured`."""
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
    """Return whether a session may begin: nothing has failed, and nothing was cancelled, which is no answer."""
    return all(result.verdict is not Verdict.FAILURE and not is_cancelled(result) for result in results)


def is_cancelled(result: Result) -> bool:
    """Return whether what it is about was not looked at because all was ended before (Ctrl-C)."""
    return result.code == "cancelled"
