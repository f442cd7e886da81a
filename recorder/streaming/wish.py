"""What is wished for the live side of a session, before anything is opened."""

from dataclasses import dataclass

from recorder.streaming.measure import Question

AUTO, SHARED, SEPARATE = "auto", "shared", "separate"


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What is wished for the live side.

    `encode` as in the settings; the range of bits a second of picture, and those of the sound beside it; what to ask of
    this PC where that decides.
    """

    encode: str = SHARED
    least: int = 300_000
    most: int = 4_500_000
    sound: int = 0
    question: Question | None = None
