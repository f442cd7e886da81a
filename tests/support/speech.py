"""The synthetic speaker, the whole loop of it."""

from capture.source import Samples
from capture.synthetic.audio import LOOP_SAMPLES, shared_speech


def speech_loop(*, beeps: bool) -> Samples:
    """Return all that is said before it begins again, read only; made once, in some 30 to 90 ms."""
    return shared_speech(beeps=beeps).until(LOOP_SAMPLES)
