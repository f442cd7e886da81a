"""Why an encoder in hardware cannot be used, or is not used any more."""

from enum import StrEnum

from config.errors import EncoderError
from config.locale.lookup import words


class Reason(StrEnum):
    """Part of the command line's contract, so never renamed."""

    NOT_IN_BUILD = "not-in-build"
    """The FFmpeg that Liput comes with has no such encoder."""
    NO_DEVICE = "no-device"
    NO_DRIVER = "no-driver"
    CANNOT_OPEN = "cannot-open"
    """It refuses the session's settings, or gives no reason."""
    CRASHED = "crashed"
    FAILED = "failed"
    """It says itself that it has failed."""
    SILENT = "silent"
    """It takes pictures and gives nothing, or does not answer."""
    TOO_SLOW = "too-slow"
    HOLDS_BACK = "holds-back"
    """More pictures wait in it than a kill may cost."""
    WRONG_STREAM = "wrong-stream"
    """What it gives is no H.264 of these pictures: sizes, times, order, keyframes, parameter sets."""
    WRONG_PICTURES = "wrong-pictures"
    """It can be decoded, and shows something else."""


SENTENCES = words("encoders")


class HardwareFailed(EncoderError):
    """An encoder in hardware is of no use; `detail` is what is known beyond the reason, in its driver's words."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(told(reason, detail))
        self.reason = reason
        self.detail = detail


def told(reason: Reason, detail: str = "") -> str:
    """Return the reason as part of a sentence."""
    said = SENTENCES[reason].english
    return f"{said} ({detail})" if detail else said
