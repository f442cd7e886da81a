"""Whether live destinations get what is recorded, or an encode of their own; and why."""

from dataclasses import dataclass
from enum import StrEnum

from recorder.streaming.headroom import Headroom
from recorder.streaming.measure import Question

AUTO, SHARED, SEPARATE = "auto", "shared", "separate"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What is wished for the live side.

    `encode` as in the settings; the range of bits a second of picture, and those of the sound beside it; what to ask of
    this PC where that decides.
    """

    encode: str
    least: int
    most: int
    sound: int = 0
    question: Question | None = None


class Encode(StrEnum):
    """Whose packets live destinations get."""

    SHARED = "shared"
    SEPARATE = "separate"


class Why(StrEnum):
    """Why it is so; part of the command line's contract, so never renamed."""

    SET = "set"
    HEADROOM = "headroom"
    NO_HEADROOM = "no-headroom"
    NOT_MEASURED = "not-measured"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why."""

    encode: Encode
    why: Why


def choose(wish: str, headroom: Headroom | None) -> Choice:
    """Return what a session does that begins now; `wish` is `[video] stream_encode`.

    Whether it has destinations is all one: there may be some before its end.
    """
    if wish != AUTO:
        return Choice(Encode(wish), Why.SET)
    if headroom is None:
        return Choice(Encode.SHARED, Why.NOT_MEASURED)
    return Choice(Encode.SEPARATE, Why.HEADROOM) if headroom.affords_two else Choice(Encode.SHARED, Why.NO_HEADROOM)
