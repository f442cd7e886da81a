"""Chooses the sources of the planned session as the session does, and inspects them side by side."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from agent.checks.check import CheckContext, CheckFinding, CheckResult, Measured, error_facts, make_result, run_parallel
from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import RealPace
from capture.sources.source_kind import ChosenSource, ChosenSources, SourceContext
from capture.sources.source_selector import SourceSelector
from config.errors import LiputError, as_liput_error
from devices.host.clock import NANOSECONDS
from devices.model.device import Device
from recorder.model.status import SourceLine
from recorder.running.client import RunningRecorder

LONGEST_S = 9.0  # limit for opening and inspecting one source
QUICK_S = 3.5
ENDS_S = 0.3  # a look ends by itself this long before the limit
LET_GO_S = 1.0

_CODES = {"no-device": "missing", **{why: why for why in ("busy", "denied", "bus-full", "lost")}}  # by an error's cause


class SourceFailure(Exception):
    """A source fails; `code` is a code of its check."""

    def __init__(self, code: str, measured: Measured | None = None, /, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.measured = measured
        self.facts = facts


def choose(situation: CheckContext) -> ChosenSources:
    """Choose the sources as the session does; a missing one fails only when it is opened. Raises LiputError."""
    pace = RealPace(situation.clock, situation.stop)
    context = SourceContext(
        situation.profile,
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


type HeldSource = tuple[RunningRecorder, SourceLine]  # the session that has a source open, and its status line for it


def holding_session(situation: CheckContext, device: Device | None) -> HeldSource | None:
    """Return the session that has `device` open, with its status line; raises SourceFailure if it does not answer."""
    if device is None or (by := situation.holder(device)) is None:
        return None
    if by.status is None:
        raise SourceFailure("held-silent", {"held_by": by.info.title}, session=by.info.title)
    return by, next(line for line in by.status.sources if line.id == device.id)


type SourceLook[Source] = Callable[[CheckContext, ChosenSource[Source], int], Sequence[CheckResult]]
"""Looks at one source until a deadline on the session clock. Raises SourceFailure or a LiputError."""


def inspect_sources[Source](
    situation: CheckContext,
    check: str,
    codes: Mapping[str, CheckFinding],
    select: Callable[[ChosenSources], Sequence[ChosenSource[Source]]],
    look: SourceLook[Source],
) -> list[CheckResult]:
    """Choose the sources and return the results of `look` for those of `select`, side by side; a look may hang."""
    try:
        sources = select(choose(situation))
    except LiputError as error:
        return [make_result(codes, "not-chosen", check, **error_facts(error))]
    longest_s = QUICK_S if situation.quick else LONGEST_S
    ends_ns = situation.clock.now_ns() + round((longest_s - ENDS_S) * NANOSECONDS)
    let_go = {f"{check}: {source.name}": threading.Event() for source in sources}
    """Set when a look has closed its source."""

    def looked(name: str, source: ChosenSource[Source]) -> Sequence[CheckResult]:
        try:
            return look(situation, source, ends_ns)
        except SourceFailure as why:
            return [make_result(codes, why.code, name, why.measured, **why.facts)]
        except Exception as error:  # of any kind: the other sources still get an answer
            told = as_liput_error(error)
            return [make_result(codes, _CODES.get(told.why, "not-opened"), name, **error_facts(told))]
        finally:
            let_go[name].set()

    looking = {name: partial(looked, name, source) for name, source in zip(let_go, sources, strict=True)}
    done = run_parallel(looking, situation.stop, longest_s=longest_s)
    if situation.stop.is_set():
        for event in let_go.values():
            event.wait(LET_GO_S)
    late = "cancelled" if situation.stop.is_set() else "hangs"
    results: list[CheckResult] = []
    for name in let_go:
        results += done.get(name) or [make_result(codes, late, name, longest_s=longest_s)]
    return results
