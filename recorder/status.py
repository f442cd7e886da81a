"""What a session says of itself: the status and result lines of `liput record --json`, and why it is degraded."""

from datetime import datetime
from enum import StrEnum

import msgspec

from devices.health.board import HealthBoard
from devices.model import Health


class SessionState(StrEnum):
    """Where a session is; see docs/architecture.md."""

    IDLE = "idle"
    ARMED = "armed"
    LIVE = "live"
    DEGRADED = "degraded"
    SEALING = "sealing"
    SEALED = "sealed"
    FAILED = "failed"


BEFORE = (SessionState.ARMED, SessionState.IDLE)
RECORDS = (SessionState.LIVE, SessionState.DEGRADED)
AFTER = (SessionState.SEALING, SessionState.SEALED, SessionState.FAILED)
"""The states before a session records, while it does, and after."""


class DestinationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One live destination: its state, why, and what it cost so far.

    The states: `armed` (kept for the start of the recording), `connecting`, `listening` (for a caller), `live`,
    `waiting`, `stopped`, `removed`. `since`: when it became live, ceased to be, became too slow or kept up again;
    `backlog_s` is how far viewers' newest picture is behind.
    """

    name: str
    state: str
    reason: str | None = None
    dropped: int = 0
    reconnects: int = 0
    backlog_s: float = 0.0
    message: str | None = None
    since: datetime | None = None


class SourceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One device that is recorded, and how it is."""

    id: str
    name: str
    role: str | None
    health: Health


def source_lines(board: HealthBoard) -> list[SourceLine]:
    """Return a line for each device on the board."""
    return [
        SourceLine(id=device.id, name=device.name, role=device.role, health=health)
        for device, health in board.read().values()
    ]


class SoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """One input of sound: whether it is muted, its peak levels (dBFS), how far its clock is off the session's (ppm)."""

    name: str
    muted: bool
    levels_dbfs: list[float]
    ppm: float | None


class Loudness(msgspec.Struct, frozen=True, kw_only=True):
    """Loudness over the last 0.4 s, the last 3 s and the whole program (LUFS), and its range (LU).

    None below the gate, or before there is enough sound.
    """

    momentary_lufs: float | None = None
    short_term_lufs: float | None = None
    integrated_lufs: float | None = None
    range_lu: float | None = None


class ConferenceOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The conference's camera or microphone, and why it is not live.

    `state` is `starting`, `live`, `idle` (nobody looks), `waiting` (it tries again), `off` (nothing is to be sent) or
    `stopped`.
    """

    state: str
    reason: str | None = None


class ConferenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to the conference."""

    camera: ConferenceOutput
    microphone: ConferenceOutput


class StreamLine(msgspec.Struct, frozen=True, kw_only=True):
    """What live destinations get: whose encode (`shared`, `separate`), why, and how many bits a second of picture.

    `least` and `most` are the range of a separate one, `late` the pictures left out of it because this PC did not keep
    up.
    """

    encode: str
    why: str
    bitrate: int
    least: int | None = None
    most: int | None = None
    late: int = 0


class LoadLine(msgspec.Struct, frozen=True, kw_only=True):
    """How this PC gets on with the picture (recorder/overload).

    `steps` are what is done to need less of it, in order, none where it keeps up; `behind_s` of pictures wait, `busy`
    is which part of the time their thread works, `left_out` how many were not encoded so that others could be.
    """

    steps: list[str] = []
    behind_s: float = 0.0
    busy: float = 0.0
    left_out: int = 0


class EncoderLine(msgspec.Struct, frozen=True, kw_only=True):
    """What encodes the picture (recorder/hardware): its `name` as in the settings, why, and what is wrong with others.

    `why`: `set`, `tried` (with real pictures), `refused` (what was wished for), `failed` (what was chosen).
    """

    name: str
    why: str
    reason: str | None = None


class MarkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A moment that somebody marked: when, in media time, and what they wrote."""

    media_s: float
    text: str


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """One status line. `media_time_s` and `bytes` are what was found on disk; levels are dBFS per channel.

    `pre_roll_s` is how far back a start could reach while it is armed; `troubles` is what is wrong now, each as
    `KIND: SUBJECT`; `marks` are the newest few.
    """

    state: SessionState
    elapsed_s: float
    media_time_s: float
    bytes: int
    frames: int
    dropped: int
    repeated: int
    fps: float
    levels_dbfs: list[float]
    disk_left_s: float | None
    destinations: list[DestinationLine]
    sources: list[SourceLine] = []
    pre_roll_s: float = 0.0
    troubles: list[str] = []
    layout: str = ""
    abandoned: int = 0
    sounds: list[SoundLine] = []
    loudness: Loudness = Loudness()
    conference: ConferenceLine | None = None
    stream: StreamLine | None = None
    marks: list[MarkLine] = []
    load: LoadLine | None = None
    encoder: EncoderLine | None = None
    still: int = 0


class SessionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="result"):
    """The last line: `sealed` or `failed`, where the package (or what is left of it) is, and what was lost.

    `packages` are all that were made: one for each copy of a mirrored session, and for each part that could not be
    joined. Length and frames are those of `package` and its other parts. It `broke_off` where it could not go on, and
    nobody had stopped it.
    """

    state: SessionState
    package: str | None
    duration_s: float
    frames: int
    degraded: list[str]
    broke_off: bool = False
    packages: list[str] = []


class RateMeter:
    """Frames a second over the last WINDOW_S; fed with a growing count and the time it was read at."""

    WINDOW_S = 3.0

    def __init__(self) -> None:
        self.per_second = 0.0
        self._readings: list[tuple[float, int]] = []

    def update(self, at_s: float, count: int) -> None:
        """Take a reading."""
        self._readings = [reading for reading in self._readings if reading[0] > at_s - self.WINDOW_S]
        self._readings.append((at_s, count))
        (first_s, first), (last_s, last) = self._readings[0], self._readings[-1]
        self.per_second = (last - first) / (last_s - first_s) if last_s > first_s else 0.0
