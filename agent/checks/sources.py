"""The sources of the session that is to be, chosen as it would choose them, and looked at side by side."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.checks.check import Situation
from agent.checks.held import Held
from agent.checks.result import Code, Measured, Result, found
from agent.checks.side_by_side import side_by_side
from capture.choice import SourceSelector
from capture.chosen import Chosen, ChosenSource, SourceRequirements
from capture.pacing import RealPace
from capture.source import AudioSource, VideoSource
from capture.source_kind import SourceContext
from capture.watch.watcher import Watcher
from config.errors import (
    DeviceAccessDenied,
    DeviceBusFull,
    DeviceBusy,
    DeviceLost,
    DeviceNotFound,
    LiputError,
)
from devices.host.clock import NANOSECONDS
from devices.model import Device
from recorder.model.status import SourceLine

LONGEST_S = 9.0
"""How long one source may take, whatever it does: to be opened, and to be looked at."""
QUICK_S = 3.5
ENDS_S = 0.3
"""So long before that a look ends by itself."""
LET_GO_S = 1.0
"""How long one that was stopped may take to close what it has open."""

_OF_ERRORS: Sequence[tuple[type[LiputError], str]] = (
    (DeviceNotFound, "missing"),
    (DeviceBusy, "busy"),
    (DeviceAccessDenied, "denied"),
    (DeviceBusFull, "bus-full"),
    (DeviceLost, "lost"),
)


class NotGiven(Exception):
    """A source does not do what it should: `code` says what, one of the codes of its check."""

    def __init__(self, code: str, measured: Measured | None = None, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.measured = measured
        self.facts = facts


def refused(error: LiputError) -> NotGiven:
    """Return what an error of opening or reading a source is told as."""
    code = next((code for kind, code in _OF_ERRORS if isinstance(error, kind)), "not-opened")
    return NotGiven(code, error=error.message, hint=error.hint)


def not_chosen(error: LiputError, check: str, codes: Mapping[str, Code]) -> Result:
    """Return what `choose` raised as what a check found: in the words in which the session itself would refuse."""
    hint = error.hint or "liput devices lists what there is"
    return found(codes, "not-chosen", check, error=error.message, hint=hint)


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of the session that is to be; none is open."""

    chosen: Chosen
    pace: RealPace

    @property
    def pictures(self) -> Sequence[ChosenSource[VideoSource]]:
        """Those of pictures."""
        return self.chosen.pictures

    @property
    def sounds(self) -> Sequence[ChosenSource[AudioSource]]:
        """Those of sound."""
        return self.chosen.sounds


def choose(situation: Situation) -> Sources:
    """Choose them as the session would; what is not there stands among them, and says so when it is opened.

    Raises what keeps the session from being begun: words that mean nothing, a device that is named twice.
    """
    profile = situation.profile
    pace = RealPace(situation.clock, situation.stop)
    context = SourceContext(
        SourceRequirements(profile.width, profile.height, profile.fps, profile.audio_channels),
        pace,
        situation.clock,
        situation.stop,
        live=True,
        watcher=Watcher(situation.settings, situation.clock),
        allow_missing=True,
        isolate=situation.asked.isolate,
        listing=situation.devices,
    )
    selector = SourceSelector(context, situation.asked.known)
    return Sources(selector.choose(situation.asked.videos, situation.asked.audios), pace)


def held(situation: Situation, device: Device | None) -> tuple[Held, SourceLine] | None:
    """Return the session that has `device` open and what it says of that, None if none has.

    Raises NotGiven where that session does not answer.
    """
    by = next((one for one in situation.held if device is not None and one.has(device.id)), None)
    if by is None:
        return None
    if by.status is None:
        raise NotGiven("held-silent", {"held_by": by.title}, session=by.title)
    return by, next(line for line in by.status.sources if device is not None and line.id == device.id)


type Look = Callable[[], Sequence[Result]]


def look_at_each(
    situation: Situation, check: str, looks: Mapping[str, Look], codes: Mapping[str, Code]
) -> list[Result]:
    """Return what all `looks` found, each of the source by whose name it is, in their order.

    They look side by side; one that does not come back is told of as hanging, and does not hold up the others.
    """
    longest_s = _longest_s(situation)
    looking = [_Looking(check, name, look, codes) for name, look in looks.items()]
    done = dict(side_by_side(looking, situation.stop, longest_s=longest_s))
    if situation.stop.is_set():
        for one in looking:
            one.let_go.wait(LET_GO_S)
    late = "cancelled" if situation.stop.is_set() else "hangs"
    results: list[Result] = []
    for one in looking:
        results += done.get(one.name) or [found(codes, late, one.name, longest_s=longest_s)]
    return results


def ends_ns(situation: Situation) -> int:
    """Return when, on the session clock, a look that begins now has to have come to its end."""
    return situation.clock.now_ns() + round((_longest_s(situation) - ENDS_S) * NANOSECONDS)


def _longest_s(situation: Situation) -> float:
    return QUICK_S if situation.quick else LONGEST_S


class _Looking:
    """Looks at one source; what that raises is something that was found."""

    def __init__(self, check: str, name: str, look: Look, codes: Mapping[str, Code]) -> None:
        self.name = f"{check}: {name}"
        self.let_go = threading.Event()
        """Set when it has closed what it had open."""
        self._look = look
        self._codes = codes

    def __call__(self) -> tuple[str, Sequence[Result]]:
        try:
            return self.name, self._look()
        except NotGiven as told:
            return self.name, [self._found(told)]
        except LiputError as error:
            return self.name, [self._found(refused(error))]
        except Exception as error:  # of whatever kind: the other sources are worth an answer
            return self.name, [self._found(NotGiven("not-opened", error=repr(error), hint="please report this"))]
        finally:
            self.let_go.set()

    def _found(self, told: NotGiven) -> Result:
        return found(self._codes, told.code, self.name, told.measured, **told.facts)
