"""Which encoder makes a session's picture, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from recorder.hardware.failure import told
from recorder.hardware.kinds import HARDWARE, MODELS, WORKER, Kind, Verdict
from recorder.x264 import VideoSettings

AUTO = "auto"

type Judge = Callable[[Kind, VideoSettings], Verdict]


def known(kind: Kind, settings: VideoSettings) -> Verdict:
    """Return what is known of an encoder, or is found now where that is nothing (recorder.hardware.memory)."""
    from recorder.hardware.memory import verdict_of  # most sessions are x264's, and ask about none

    return verdict_of(kind, settings)


class Why(StrEnum):
    """Why it is so; part of the command line's contract, so never renamed."""

    SET = "set"
    """x264, as the settings have it."""
    TRIED = "tried"
    """It was tried with real pictures."""
    REFUSED = "refused"
    """x264, because what was wished for cannot be used."""
    FAILED = "failed"
    """x264, because what was chosen has failed since."""


@dataclass(frozen=True, slots=True)
class EncoderPlan:
    """What is wished for: `[video] encoder`; who says what can be used, and the command that encodes in hardware."""

    wish: str = Kind.X264.value
    judge: Judge = known
    command: Sequence[str] = field(default=WORKER)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, why, and what was found of those that were asked about, in order."""

    kind: Kind
    why: Why
    verdicts: Sequence[Verdict] = ()

    @property
    def reason(self) -> str | None:
        """What was wrong with those that were not chosen; None where there were none."""
        return "; ".join(sentence(verdict) for verdict in self.verdicts if not verdict.is_good) or None


def sentence(verdict: Verdict) -> str:
    """Return why an encoder cannot be used."""
    assert verdict.reason is not None  # noqa: S101 - it is asked of those only
    return f"{MODELS[verdict.kind].title}: {told(verdict.reason, verdict.detail)}"


def candidates(wish: str) -> Sequence[Kind]:
    """Return the encoders in hardware that are wished for, in the order in which they are asked about."""
    if wish == AUTO:
        return HARDWARE
    kind = Kind(wish)
    return (kind,) if kind in HARDWARE else ()


def choose(wish: str, settings: VideoSettings, judge: Judge) -> Choice:
    """Return what encodes a session with `settings`; `judge` is asked until one that is wished for can be used."""
    verdicts: list[Verdict] = []
    for kind in candidates(wish):
        verdicts.append(judge(kind, settings))
        if verdicts[-1].is_good:
            return Choice(kind, Why.TRIED, verdicts)
    return Choice(Kind.X264, Why.REFUSED if verdicts else Why.SET, verdicts)
