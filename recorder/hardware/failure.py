"""Why an encoder in hardware cannot be used, or is not used any more."""

from enum import StrEnum

from config.errors import EncoderError


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


SENTENCES = {
    Reason.NOT_IN_BUILD: "this build of FFmpeg does not have it",
    Reason.NO_DEVICE: "there is no such device",
    Reason.NO_DRIVER: "its driver is missing",
    Reason.CANNOT_OPEN: "it cannot be opened",
    Reason.CRASHED: "it crashed",
    Reason.FAILED: "it failed",
    Reason.SILENT: "it takes pictures and gives nothing",
    Reason.TOO_SLOW: "it is too slow",
    Reason.HOLDS_BACK: "it holds back too many pictures",
    Reason.WRONG_STREAM: "what it gives is damaged",
    Reason.WRONG_PICTURES: "its pictures are wrong",
}


class HardwareFailed(EncoderError):
    """An encoder in hardware is of no use; `detail` is what is known beyond the reason, in its driver's words."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(told(reason, detail))
        self.reason = reason
        self.detail = detail


def told(reason: Reason, detail: str = "") -> str:
    """Return the reason as part of a sentence."""
    return f"{SENTENCES[reason]} ({detail})" if detail else SENTENCES[reason]
