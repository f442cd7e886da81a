"""The kinds of encoders in hardware: FFmpeg's name of each, its options, its device, and a verdict on it.

None of them may hold pictures back beyond what a kill may cost, so none is asked for B-frames or a look-ahead.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import msgspec

from recorder.hardware.failure import Reason

WORKER: Sequence[str] = (sys.executable, "-P", "-m", "recorder.hardware.worker")
"""The command that encodes with them."""


class Kind(StrEnum):
    """The names that the settings have for them. x264 is the one that all else falls back to."""

    NVENC = "nvenc"
    QSV = "qsv"
    VAAPI = "vaapi"
    V4L2M2M = "v4l2m2m"
    X264 = "x264"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an encoder is asked for: pixels, pictures a second (a fraction as text), bits a second, seconds."""

    kind: Kind
    width: int
    height: int
    rate: str
    matrix: int
    bit_rate: int
    max_rate: int
    keyframe_s: float
    buffer_s: float

    @property
    def fps(self) -> Fraction:
        """The nominal rate."""
        return Fraction(self.rate)

    @property
    def picture_bytes(self) -> int:
        """Bytes of a yuv420p picture without padding."""
        return self.width * self.height * 3 // 2


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
    options: Callable[[Wanted], Mapping[str, str]]


def _nvenc(wanted: Wanted) -> Mapping[str, str]:
    rate_control = "cbr" if wanted.bit_rate == wanted.max_rate else "vbr"
    return {
        "preset": "p4", "profile": "high", "rc": rate_control, "forced-idr": "1", "delay": "0", "rc-lookahead": "0",
    }  # fmt: skip


def _qsv(_: Wanted) -> Mapping[str, str]:
    return {"preset": "medium", "profile": "high", "forced_idr": "1", "async_depth": "1", "look_ahead": "0"}


def _vaapi(_: Wanted) -> Mapping[str, str]:
    return {"profile": "high", "async_depth": "1"}


def _v4l2(_: Wanted) -> Mapping[str, str]:
    return {}


def _x264(_: Wanted) -> Mapping[str, str]:
    return {"preset": "veryfast", "profile": "high", "forced-idr": "1", "tune": "zerolatency"}


MODELS: Mapping[Kind, Model] = {
    Kind.NVENC: Model("NVENC", "h264_nvenc", ("yuv420p", "nv12"), ("dev/nvidia[0-9]*",), _nvenc),
    Kind.QSV: Model("Quick Sync", "h264_qsv", ("nv12",), ("dev/dri/renderD*",), _qsv),
    Kind.VAAPI: Model("VAAPI", "h264_vaapi", ("nv12",), ("dev/dri/renderD*",), _vaapi),
    Kind.V4L2M2M: Model("V4L2 M2M", "h264_v4l2m2m", ("nv12", "yuv420p"), ("dev/video*",), _v4l2),
    Kind.X264: Model("x264", "libx264", ("yuv420p",), (), _x264),
}
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
