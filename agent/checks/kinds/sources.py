"""Chooses the sources of the planned session as the session does, and inspects them side by side."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from agent.checks.check import CheckContext, CheckFinding, CheckResult, Measured, make_result, run_parallel
from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import RealPace
from capture.sources.source_kind import ChosenSources, SourceContext, SourceRequirements
from capture.sources.source_selector import SourceSelector
from config.errors import LiputError
from devices.host.clock import NANOSECONDS
from devices.model.device import Device
from recorder.model.status import SourceLine
from recorder.running.client import RunningRecorder

LONGEST_S = 9.0
"""Limit for opening and inspecting one source."""
QUICK_S = 3.5
ENDS_S = 0.3
"""A look ends by itself this long before the limit."""
LET_GO_S = 1.0

_CODES = ("missing", "busy", "denied", "bus-full", "lost")
"""Values of an error's `why` that are codes of their own."""


class SourceFailure(Exception):
    """A source fails; `code` is a code of its check."""

    def __init__(self, code: str, measured: Measured | None = None, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.measured = measured
        self.facts = facts


def source_failure(error: LiputError) -> SourceFailure:
    """Return the failure for an error from opening or reading a source."""
    code = error.why if error.why in _CODES else "not-opened"
    return SourceFailure(code, error=error.message, hint=error.hint)


def choice_failure(error: LiputError, check: str, codes: Mapping[str, CheckFinding]) -> CheckResult:
    """Return the result for an error of `choose`, in the words of the session's own refusal."""
    hint = error.hint or "liput devices lists all devices"
    return make_result(codes, "not-chosen", check, error=error.message, hint=hint)


def choose(situation: CheckContext) -> ChosenSources:
    """Choose the sources as the session does; a missing one fails only when it is opened. Raises LiputError."""
    profile = situation.profile
    pace = RealPace(situation.clock, situation.stop)
    context = SourceContext(
        SourceRequirements(profile.width, profile.height, profile.fps, profile.audio_channels),
        pace,
        situation.clock,
        situation.stop,
        live=True,
        watcher=DetectorFactory(situation.settings, situation.clock),
        allow_missing=True,
        isolate=situation.asked.isolate,
        listing=situation.devices,
    )
    selector = SourceSelector(context, situation.asked.known)
    chosen = selector.choose(situation.asked.videos, situation.asked.audios)
    pace.begin()
    return chosen


def holding_session(situation: CheckContext, device: Device | None) -> tuple[RunningRecorder, SourceLine] | None:
    """Return the session that has `device` open, with its status line; raises SourceFailure if it does not answer."""
    if device is None or (by := situation.holder(device)) is None:
        return None
    if by.status is None:
        raise SourceFailure("held-silent", {"held_by": by.info.title}, session=by.info.title)
    return by, next(line for line in by.status.sources if line.id == device.id)


type SourceLook = Callable[[], Sequence[CheckResult]]


def inspect_each(
    situation: CheckContext, check: str, looks: Mapping[str, SourceLook], codes: Mapping[str, CheckFinding]
) -> list[CheckResult]:
    """Return the results of `looks`, run side by side, in their order; a look may hang."""
    longest_s = _longest_s(situation)
    let_go = {f"{check}: {name}": threading.Event() for name in looks}
    """Set when a look has closed its source."""

    def looked(name: str, look: SourceLook) -> Sequence[CheckResult]:
        try:
            return _looked(name, look, codes)
        finally:
            let_go[name].set()

    looking = {name: partial(looked, name, look) for name, look in zip(let_go, looks.values(), strict=True)}
    done = run_parallel(looking, situation.stop, longest_s=longest_s)
    if situation.stop.is_set():
        for event in let_go.values():
            event.wait(LET_GO_S)
    late = "cancelled" if situation.stop.is_set() else "hangs"
    results: list[CheckResult] = []
    for name in let_go:
        results += done.get(name) or [make_result(codes, late, name, longest_s=longest_s)]
    return results


def _looked(name: str, look: SourceLook, codes: Mapping[str, CheckFinding]) -> Sequence[CheckResult]:
    try:
        return look()
    except SourceFailure as told:
        why = told
    except LiputError as error:
        why = source_failure(error)
    except Exception as error:  # of any kind: the other sources still get an answer
        why = SourceFailure("not-opened", error=repr(error), hint="please report this")
    return [make_result(codes, why.code, name, why.measured, **why.facts)]


def deadline_ns(situation: CheckContext) -> int:
    """Return the deadline on the session clock for a look that begins now."""
    return situation.clock.now_ns() + round((_longest_s(situation) - ENDS_S) * NANOSECONDS)


def _longest_s(situation: CheckContext) -> float:
    return QUICK_S if situation.quick else LONGEST_S
