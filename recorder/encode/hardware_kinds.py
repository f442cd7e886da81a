"""The kinds of encoders in hardware: FFmpeg's name of each, its options, its device, and why it cannot be used.

None of them may hold pictures back beyond what a kill may cost, so none is asked for B-frames or a look-ahead.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from config.errors import EncoderError
from config.locale.lookup import words

WORKER: Sequence[str] = (sys.executable, "-P", "-m", "recorder.encode.hardware_worker")


class Kind(StrEnum):
    """The names that the settings have for them. x264 is the one that all else falls back to."""

    NVENC = "nvenc"
    QSV = "qsv"
    VAAPI = "vaapi"
    V4L2M2M = "v4l2m2m"
    X264 = "x264"


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


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of an encoder; `reason` is None where it may be used.

    `psnr_db`: how alike what it made is, of the plane that is least so. `held`: how many pictures went in before the
    first came out. `speed`: seconds of pictures it makes in a second.
    """

    kind: Kind
    reason: Reason | None = None
    detail: str = ""
    psnr_db: float | None = None
    held: int | None = None
    speed: float | None = None
    bit_rate: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether a session may use it."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class Model:
    """One kind: `nodes` are globs below the root, one of which must be there; `pixels` are tried in their order."""

    title: str
    codec: str
    pixels: tuple[str, ...]
    nodes: tuple[str, ...]
    options: Mapping[str, str]


MODELS: Mapping[Kind, Model] = {
    Kind.NVENC: Model(
        "NVENC", "h264_nvenc", ("yuv420p", "nv12"), ("dev/nvidia[0-9]*",),
        {"preset": "p4", "profile": "high", "rc": "vbr", "forced-idr": "1", "delay": "0", "rc-lookahead": "0"},
    ),
    Kind.QSV: Model(
        "Quick Sync", "h264_qsv", ("nv12",), ("dev/dri/renderD*",),
        {"preset": "medium", "profile": "high", "forced_idr": "1", "async_depth": "1", "look_ahead": "0"},
    ),
    Kind.VAAPI: Model(
        "VAAPI", "h264_vaapi", ("nv12",), ("dev/dri/renderD*",), {"profile": "high", "async_depth": "1"}
    ),
    Kind.V4L2M2M: Model("V4L2 M2M", "h264_v4l2m2m", ("nv12", "yuv420p"), ("dev/video*",), {}),
    Kind.X264: Model(
        "x264", "libx264", ("yuv420p",), (),
        {"preset": "veryfast", "profile": "high", "forced-idr": "1", "tune": "zerolatency"},
    ),
}  # fmt: skip
HARDWARE = (Kind.NVENC, Kind.QSV, Kind.VAAPI, Kind.V4L2M2M)
"""In the order in which `auto` tries them."""

_TOLD = (
    (re.compile(r"cannot load|MFX session: -9|libva|dlopen", re.IGNORECASE), Reason.NO_DRIVER),
    (re.compile(r"valid device|capable devices|NO_DEVICE|VA display|No such device", re.IGNORECASE), Reason.NO_DEVICE),
)
"""What the encoders say in FFmpeg's log when they cannot be opened."""


def missing_node(kind: Kind, root: Path = Path("/")) -> str | None:
    """Return where its device would be, if there is none."""
    nodes = MODELS[kind].nodes
    if not nodes or any(next(root.glob(node), None) is not None for node in nodes):
        return None
    return ", ".join(f"/{node}" for node in nodes)


def reason_of(log: str) -> Reason:
    """Return what an encoder means that could not be opened and said `log`."""
    return next((reason for pattern, reason in _TOLD if pattern.search(log)), Reason.CANNOT_OPEN)
