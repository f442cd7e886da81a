"""The kinds of hardware encoders: FFmpeg's name, options, device nodes, and reasons for failure.

No kind uses B-frames or look-ahead: frames in the encoder are lost in a kill.
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


class EncoderKind(StrEnum):
    """Values of `[video] encoder`. All others fall back to x264."""

    NVENC = "nvenc"
    QSV = "qsv"
    VAAPI = "vaapi"
    V4L2M2M = "v4l2m2m"
    X264 = "x264"


class EncoderFailure(StrEnum):
    """Why an encoder cannot be used; scripts read these values, so they never change."""

    NOT_IN_BUILD = "not-in-build"  # Liput's FFmpeg has no such encoder
    NO_DEVICE = "no-device"
    NO_DRIVER = "no-driver"
    CANNOT_OPEN = "cannot-open"  # the encoder refuses the session's settings, or gives no reason
    CRASHED = "crashed"
    FAILED = "failed"
    SILENT = "silent"  # the encoder takes frames and gives no packets, or does not answer
    TOO_SLOW = "too-slow"
    HOLDS_BACK = "holds-back"  # the encoder holds more frames than a kill may cost
    WRONG_STREAM = "wrong-stream"  # no valid H.264 of these frames
    WRONG_PICTURES = "wrong-pictures"  # the packets decode to other images


SENTENCES = words("encoders")


class HardwareFailed(EncoderError):
    """A hardware encoder failed; `detail` is the driver's own message."""

    def __init__(self, reason: EncoderFailure, detail: str = "") -> None:
        super().__init__(failure_text(reason, detail))
        self.reason = reason
        self.detail = detail


def failure_text(reason: EncoderFailure, detail: str = "") -> str:
    """Return the reason and the detail as part of a sentence."""
    said = SENTENCES[reason].english
    return f"{said} ({detail})" if detail else said


class EncoderVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a trial; `reason` is None for a usable encoder."""

    kind: EncoderKind
    reason: EncoderFailure | None = None
    detail: str = ""
    psnr_db: float | None = None  # of the worst plane
    held: int | None = None  # frames before the first packet
    speed: float | None = None  # seconds of video encoded per second
    bit_rate: int | None = None


@dataclass(frozen=True, slots=True)
class EncoderModel:
    """One kind. One of `nodes`, globs below the root, must exist; `pixels` are tried in order."""

    title: str
    codec: str
    pixels: tuple[str, ...]
    nodes: tuple[str, ...]
    options: Mapping[str, str]


MODELS: Mapping[EncoderKind, EncoderModel] = {
    EncoderKind.NVENC: EncoderModel(
        "NVENC", "h264_nvenc", ("yuv420p", "nv12"), ("dev/nvidia[0-9]*",),
        {"preset": "p4", "profile": "high", "rc": "vbr", "forced-idr": "1", "delay": "0", "rc-lookahead": "0"},
    ),
    EncoderKind.QSV: EncoderModel(
        "Quick Sync", "h264_qsv", ("nv12",), ("dev/dri/renderD*",),
        {"preset": "medium", "profile": "high", "forced_idr": "1", "async_depth": "1", "look_ahead": "0"},
    ),
    EncoderKind.VAAPI: EncoderModel(
        "VAAPI", "h264_vaapi", ("nv12",), ("dev/dri/renderD*",), {"profile": "high", "async_depth": "1"}
    ),
    EncoderKind.V4L2M2M: EncoderModel("V4L2 M2M", "h264_v4l2m2m", ("nv12", "yuv420p"), ("dev/video*",), {}),
    EncoderKind.X264: EncoderModel(
        "x264", "libx264", ("yuv420p",), (),
        {"preset": "veryfast", "profile": "high", "forced-idr": "1", "tune": "zerolatency"},
    ),
}  # fmt: skip
HARDWARE = (EncoderKind.NVENC, EncoderKind.QSV, EncoderKind.VAAPI, EncoderKind.V4L2M2M)  # in the order of `auto`

_TOLD = (
    (re.compile("(?i)cannot load|MFX session: -9|libva|dlopen"), EncoderFailure.NO_DRIVER),
    (re.compile("(?i)valid device|capable devices|NO_DEVICE|VA display|No such device"), EncoderFailure.NO_DEVICE),
)  # patterns in FFmpeg's log of an encoder that does not open


def missing_node(kind: EncoderKind, root: Path = Path("/")) -> str | None:
    """Return the missing device nodes as text; None if a node exists or none is needed."""
    nodes = MODELS[kind].nodes
    if not nodes or any(next(root.glob(node), None) is not None for node in nodes):
        return None
    return ", ".join(f"/{node}" for node in nodes)


def failure_of_log(log: str) -> EncoderFailure:
    """Return the reason that an encoder's `log` tells."""
    return next((reason for pattern, reason in _TOLD if pattern.search(log)), EncoderFailure.CANNOT_OPEN)
