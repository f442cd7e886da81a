"""Whether live destinations get what is recorded, or an encode of their own; and why."""

from dataclasses import dataclass
from typing import Final, Literal

from recorder.live_encode.headroom import Headroom
from recorder.live_encode.measure import Question

AUTO: Final = "auto"
SHARED: Final = "shared"
SEPARATE: Final = "separate"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The live side as asked for: bits a second of picture and sound, and the `question` to ask of this PC."""

    encode: str
    least: int
    most: int
    sound: int = 0
    question: Question | None = None


type Encode = Literal["shared", "separate"]
"""Whose packets live destinations get."""
type Why = Literal["set", "headroom", "no-headroom", "not-measured", "failed"]
"""Why it is so; part of the command line's contract, so never renamed."""


def choose(wish: str, headroom: Headroom | None) -> tuple[Encode, Why]:
    """Return the encode of a session that begins now, and why; `wish` is `[video] stream_encode`."""
    if wish != AUTO:
        return SEPARATE if wish == SEPARATE else SHARED, "set"
    if headroom is None:
        return SHARED, "not-measured"
    return (SEPARATE, "headroom") if headroom.affords_two else (SHARED, "no-headroom")
