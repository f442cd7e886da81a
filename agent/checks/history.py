"""Kept results of checks: for the next session, for `liput check --json`, and as the history of the uplink."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from agent.checks.check import CheckResult, CheckVerdict, is_ready
from agent.checks.uplink_verdict import LATENCY, NAME
from config.errors import StateError
from config.locale.lookup import WRITTEN, words
from config.locale.number_format import latency
from config.settings.quantities import brief_rate
from config.settings.schema import Settings
from config.state import StateFile, state_folder
from devices.health.log_line import PC, LogKind, LogLevel
from devices.health.log_writer import open_health_log
from devices.host.clock import SystemClock

MOST_RUNS = 500  # runs: a year or two of a room in daily use
_LEVELS = {CheckVerdict.FAILURE: LogLevel.ERROR, CheckVerdict.WARNING: LogLevel.WARN}
RECENT = timedelta(hours=6)  # an older run says nothing about the session that begins


class CheckRun(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    title: str = ""
    quick: bool = False
    results: list[CheckResult]

    @property
    def ready(self) -> bool:
        return is_ready(self.results)


def _store() -> StateFile[list[CheckRun]]:
    return StateFile(state_folder() / "checks.json", list[CheckRun], [])


def keep_run(checked: CheckRun) -> None:
    """Keep a run and drop the oldest above MOST_RUNS. Raises StateError."""
    _store().change(lambda before: [*before, checked][-MOST_RUNS:])


def log_run(checked: CheckRun, settings: Settings) -> None:
    """Write the results to the health log; those without a fault are for a close look only."""
    with open_health_log(settings, SystemClock()) as log:
        for result in checked.results:
            log(
                PC,
                LogKind.CHECKED,
                f"{result.name}: {result.reason.english}",
                level=_LEVELS.get(result.verdict, LogLevel.DEBUG),
                check=result.name,
                verdict=str(result.verdict),
                code=result.code,
                text=dict(zip(WRITTEN, result.reason, strict=True)),
                measured=dict(result.measured),
            )


def kept_runs() -> list[CheckRun]:
    """Return the kept runs, oldest first. Raises StateError."""
    return _store().read()


def newest_run(now: datetime) -> CheckRun | None:
    """Return the last run if it is RECENT; None without one, or if the file cannot be read."""
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
    said = {
        spoken: {name: getattr(result, name).of(spoken) for name in ("reason", "advice", "for_it")}
        for spoken in (language, *WRITTEN)
    }
    return {
        "name": result.name,
        "verdict": str(result.verdict),
        "code": result.code,
        "measured": dict(result.measured),
        **said[language],
        **{spoken: said[spoken] for spoken in WRITTEN},
    }


def recent_run(language: str) -> dict[str, object] | None:
    """Return the newest run as JSON for a session that begins now; None without a recent one."""
    last = newest_run(datetime.now(UTC))
    return None if last is None else run_document(last, language)


WORDS = words("check-trend")


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
    """Return all measurements, newest first; checks without one are left out.

    A test stream gives the rate at which it arrived; the link may carry more.
    """
    found = []
    for checked in reversed(history):
        by_name = {result.name: result for result in checked.results}
        if (result := by_name.get(NAME)) and "up_bps" in result.measured:
            verdicts = result.verdict, by_name.get(LATENCY, result).verdict
            worst = max(verdicts, key=list(CheckVerdict).index)
            found.append(_measurement(checked, result, worst, result.measured))
        for result in checked.results:
            if "delivered_bps" in (measured := result.measured):
                known = {
                    "up_bps": measured["delivered_bps"],
                    "need_bps": measured["rate_bps"],
                    "loaded_s": measured["rtt_s"],
                    "server": result.name.removeprefix(f"{NAME}: "),
                }
                found.append(_measurement(checked, result, result.verdict, known))
    return found


def _measurement(
    checked: CheckRun, result: CheckResult, verdict: CheckVerdict, known: Mapping[str, object]
) -> UplinkMeasurement:
    facts = {"at": checked.at, "title": checked.title, "verdict": verdict, "code": result.code}
    return msgspec.convert({**known, **facts, "type": "uplink"}, UplinkMeasurement)  # leaves out other figures


def rows(found: Sequence[UplinkMeasurement], language: str) -> list[tuple[str, ...]]:
    """Return the cells of a table, headings first."""
    headings = ("when", "up", "down", "latency", "when-full", "need", "verdict", "session")
    head = tuple(WORDS[heading].of(language) for heading in headings)
    return [head, *(_row(each, language) for each in found)]


def _row(one: UplinkMeasurement, language: str) -> tuple[str, ...]:
    return (
        f"{one.at.astimezone():%Y-%m-%d %H:%M}",
        *(_rate(rate) for rate in (one.up_bps, one.down_bps)),
        *("-" if seconds is None else latency(seconds, "en") for seconds in (one.idle_s, one.loaded_s)),
        _rate(one.need_bps),
        WORDS[f"verdict-{one.verdict}"].of(language),
        one.title or "-",
    )


def _rate(rate: float | None) -> str:
    return "-" if rate is None else brief_rate(rate)
