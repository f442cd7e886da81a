"""Checks before a session, and their results: a verdict, figures, the reason and the advice in two languages."""

import math
import pkgutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import NamedTuple

import msgspec

from config.errors import LiputError
from config.locale.lookup import NO_TEXT, LocalizedText, error_sentence, sentence_file
from config.settings.schema import Profile, Settings
from devices.host.clock import Clock
from devices.host.deadline import DeadlineTask
from devices.model.device import Device
from recorder.model.status import SessionStatus
from recorder.running.client import RunningRecorder
from recorder.running.runtime_directory import device_claim
from recorder.session.request import SessionRequest


class CheckVerdict(StrEnum):
    """The verdict of one check, in ascending order: the last one present is that of the whole run."""

    OK = "ok"
    UNCHECKED = "unchecked"
    WARNING = "warning"
    FAILURE = "failure"


class CheckFinding(NamedTuple):
    """A finding: its verdict, reason, advice and a command for IT; the sentences have facts in braces."""

    verdict: CheckVerdict
    reason: LocalizedText
    advice: LocalizedText = NO_TEXT
    for_it: LocalizedText = NO_TEXT


def findings(name: str) -> dict[str, CheckFinding]:
    """Return the findings of an area of the sentences, by code."""
    known = sentence_file(name)
    return {
        code: CheckFinding(
            CheckVerdict(found.verdict), known.said(found.reason), known.said(found.advice), known.said(found.for_it)
        )
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
    for_it: LocalizedText = NO_TEXT


def make_result(
    codes: Mapping[str, CheckFinding], code: str, name: str, measured: Measured | None = None, /, **facts: object
) -> CheckResult:
    """Return the result with `code` for `name`; `facts` and `measured` fill the sentences."""
    found = codes[code]
    every = {**(measured or {}), **facts}
    return CheckResult(
        name=name,
        verdict=found.verdict,
        code=code,
        measured=measured or {},
        reason=found.reason.filled(every),
        advice=found.advice.filled(every),
        for_it=found.for_it.filled(every),
    )


def error_facts(error: LiputError | None) -> dict[str, object]:
    """Return the facts that a finding says of an error: `said` for people, `error` and `hint` for IT."""
    error = error or LiputError("?")
    return {"said": error_sentence(error.why, error.about), "error": error.message, "hint": error.hint}


def is_ready(results: list[CheckResult]) -> bool:
    """Return whether a session may begin: no check has failed or was cancelled."""
    return all(result.verdict is not CheckVerdict.FAILURE and not is_cancelled(result) for result in results)


def is_cancelled(result: CheckResult) -> bool:
    """Return whether the run ended (Ctrl-C) before this thing was looked at."""
    return result.code == "cancelled"


class CheckProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The `share` done, 0 to 1, and the current step; a `notice` must be read before its cost arises."""

    share: float
    doing: LocalizedText
    notice: bool = False


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The planned session, the settings and the equipment of the room.

    Checks ask `held` sessions about their devices and never open those. Waits end once `stop` is set.
    """

    asked: SessionRequest
    settings: Settings
    profile: Profile
    clock: Clock
    stop: threading.Event
    devices: Callable[[], list[Device]]
    streams: Sequence[str] = ()  # the session's destinations: names from the settings, or @FILEs
    held: Sequence[RunningRecorder] = ()
    quick: bool = False
    public: bool = False
    equipment: Sequence[str] = ()  # equipment that no program can sense
    ticked: frozenset[str] = frozenset()
    on_progress: Callable[[CheckProgress], None] = lambda _progress: None

    def tell(self, share: float, doing: LocalizedText, *, notice: bool = False) -> None:
        """Tell how far the check is: the fields of a CheckProgress."""
        self.on_progress(CheckProgress(share=share, doing=doing, notice=notice))

    @property
    def silent_title(self) -> str | None:
        """The title of a session without an answering recorder; None without one. Nothing may disturb it."""
        return next((one.info.title for one in self.held if one.status is None), None)

    @property
    def statuses(self) -> Sequence[tuple[str, SessionStatus]]:
        """Titles and status of the other sessions."""
        return [(one.info.title, one.status) for one in self.held if one.status is not None]

    def holder(self, device: Device) -> RunningRecorder | None:
        """Return the session that has a device open; a silent session holds the devices it has claimed."""
        for one in self.held:
            if one.status is None:
                claim = device_claim(device.id)
                if claim is not None and claim.id == one.info.id:
                    return one
            elif any(line.id == device.id for line in one.status.sources):
                return one
        return None


type CheckNews = CheckProgress | Sequence[CheckResult] | None
"""None when a check begins, then its progress, in the end its results."""
type CheckFunction = Callable[[CheckContext], Iterable[CheckResult]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `look` returns a result for each thing; an error it raises is a failure of the check.

    `codes` lists its findings (docs/check.md), `place` orders the list. Two `alone` checks never run at once. A check
    hangs after `longest_s`; a quick run leaves out checks that are not `quick`.
    """

    name: str
    title: LocalizedText
    look: CheckFunction
    codes: Mapping[str, CheckFinding] = field(default_factory=dict, compare=False)
    place: int = 1000
    alone: bool = False
    quick: bool = True
    longest_s: float = 10.0


def all_checks() -> list[Check]:
    """Import all modules of `agent.checks.kinds` and return their checks, sorted by `place`."""
    kinds = import_module("agent.checks.kinds")
    modules = [import_module(found.name) for found in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}.")]
    checks: list[Check] = [check for module in modules for check in getattr(module, "CHECKS", ())]
    return sorted(checks, key=lambda check: check.place)


_POLL_S = 0.02


def run_parallel[K, T](
    looks: Mapping[K, Callable[[], T]],
    stop: threading.Event,
    told: Callable[[int], None] = lambda _count: None,
    *,
    longest_s: float = math.inf,
) -> dict[K, T]:
    """Run each function on its own thread; return the results by key, in order.

    Blocks until all are done, `stop` is set or `longest_s` has passed; unfinished functions run on and have no result.
    `told` gets the number of finished ones. An error is raised unless `stop` is set.
    """
    deadline_s = time.monotonic() + longest_s
    tasks = {key: DeadlineTask(look, f"look-{number}") for number, (key, look) in enumerate(looks.items())}
    results: dict[K, T] = {}
    while len(results) < len(tasks) and time.monotonic() < deadline_s and not stop.wait(_POLL_S):
        for key, task in tasks.items():
            if task.is_over and key not in results and not stop.is_set():  # a stopped look has found nothing
                results[key] = task.result()
                told(len(results))
    return {key: results[key] for key in tasks if key in results}
