"""The history of this room's uplink: a line for each check that measured it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from agent.checks.history import CheckRun
from agent.checks.result import CheckResult, CheckVerdict
from agent.checks.uplink_verdict import LATENCY, NAME
from config.locale.lookup import words
from config.settings.quantities import brief_latency, brief_rate

WORDS = words("check-trend")

HEADINGS = (
    WORDS["when"], WORDS["up"], WORDS["down"], WORDS["latency"],
    WORDS["when-full"], WORDS["need"], WORDS["verdict"], WORDS["session"],
)  # fmt: skip
VERDICTS = {
    CheckVerdict.OK: WORDS["enough"],
    CheckVerdict.UNCHECKED: WORDS["not-checked"],
    CheckVerdict.WARNING: WORDS["a-warning"],
    CheckVerdict.FAILURE: WORDS["not-enough"],
}


class UplinkMeasurement(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="uplink"):
    """The uplink as one check measured it, in bits a second and seconds; None: not measured."""

    at: datetime
    title: str
    verdict: CheckVerdict
    code: str
    server: str | None = None
    up_bps: float | None = None
    up_p10_bps: float | None = None
    down_bps: float | None = None
    idle_s: float | None = None
    loaded_s: float | None = None
    need_bps: float | None = None


def uplink_measurements(history: Sequence[CheckRun]) -> list[UplinkMeasurement]:
    """Return all measurements, newest first; checks without one are left out."""
    found = []
    for checked in reversed(history):
        by_name = {result.name: result for result in checked.results}
        if (result := by_name.get(NAME)) and "up_bps" in result.measured:
            found.append(_measurement(checked, result, by_name.get(LATENCY)))
        found += [
            _from_test_stream(checked, result) for result in checked.results if "delivered_bps" in result.measured
        ]
    return found


def _from_test_stream(checked: CheckRun, result: CheckResult) -> UplinkMeasurement:
    """Return the rate at which a test stream arrived; the link may carry more."""
    measured = result.measured
    known = {
        "up_bps": measured["delivered_bps"],
        "need_bps": measured["rate_bps"],
        "loaded_s": measured["rtt_s"],
        "server": result.name.removeprefix(f"{NAME}: "),
    }
    return _make(checked, result, result.verdict, known)


def _measurement(checked: CheckRun, result: CheckResult, latency: CheckResult | None) -> UplinkMeasurement:
    both = [result.verdict, *([latency.verdict] if latency else [])]
    known = {name: value for name, value in result.measured.items() if name in UplinkMeasurement.__struct_fields__}
    return _make(checked, result, max(both, key=list(CheckVerdict).index), known)


def _make(
    checked: CheckRun, result: CheckResult, verdict: CheckVerdict, known: Mapping[str, object]
) -> UplinkMeasurement:
    facts = {"at": checked.at, "title": checked.title, "verdict": verdict, "code": result.code}
    return msgspec.convert({**known, **facts, "type": "uplink"}, UplinkMeasurement)


def rows(found: Sequence[UplinkMeasurement], language: str) -> list[tuple[str, ...]]:
    """Return the cells of a table, headings first."""
    head = tuple(heading.of(language) for heading in HEADINGS)
    return [head, *(_row(each, language) for each in found)]


def _row(one: UplinkMeasurement, language: str) -> tuple[str, ...]:
    return (
        f"{one.at.astimezone():%Y-%m-%d %H:%M}",
        *(_rate(rate) for rate in (one.up_bps, one.down_bps)),
        *("-" if seconds is None else brief_latency(seconds) for seconds in (one.idle_s, one.loaded_s)),
        _rate(one.need_bps),
        VERDICTS[one.verdict].of(language),
        one.title or "-",
    )


def _rate(rate: float | None) -> str:
    return "-" if rate is None else brief_rate(rate)
