"""The status and result lines of `liput record --json`, and the states of a session."""

import threading
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from devices.health.tracker import HealthBoard
from devices.model.device import Health


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


TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = {
    SessionState.IDLE: frozenset({SessionState.ARMED, SessionState.FAILED}),
    SessionState.ARMED: frozenset({SessionState.LIVE, SessionState.IDLE, SessionState.FAILED}),
    SessionState.LIVE: frozenset({SessionState.DEGRADED, SessionState.SEALING}),
    SessionState.DEGRADED: frozenset({SessionState.LIVE, SessionState.SEALING}),
    SessionState.SEALING: frozenset({SessionState.SEALED, SessionState.FAILED}),
    SessionState.SEALED: frozenset(),
    SessionState.FAILED: frozenset(),
}


class StateMachine:
    """The state of one session; safe from any thread.

    from          to           when
    idle          armed        the sources are open (or stand as slates), the encoder runs
    idle          failed       nothing could be opened
    armed         live         start
    armed         idle         disarm, or stop: nothing was written
    armed         failed       the encoder broke, or the recording could not be begun
    live          degraded     something is less than it should be
    degraded      live         it is whole again
    live          sealing      stop, the planned end, the end of a file, or what cannot be gone on with
    degraded      sealing      the same
    sealing       sealed       the package is in the archive
    sealing       failed       it could not be sealed: what was recorded stays where it is
    """

    def __init__(self) -> None:
        self._state = SessionState.IDLE
        self._lock = threading.Lock()

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._state

    def to(self, state: SessionState) -> None:
        """Go there; raises ValueError where no way leads there, which is a mistake in the program."""
        with self._lock:
            if state not in TRANSITIONS[self._state]:
                raise ValueError(f"a session that is {self._state} cannot become {state}")
            self._state = state

    def judge(self, *, is_troubled: bool) -> SessionState:
        """Say whether a session that records is less than it should be now, and return its state."""
        with self._lock:
            if self._state in RECORDS:
                self._state = SessionState.DEGRADED if is_troubled else SessionState.LIVE
            return self._state


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
    """How this PC gets on with the picture (recorder/features/load_shedding).

    `steps` are what is done to need less of it, in order, none where it keeps up; `behind_s` of pictures wait, `busy`
    is which part of the time their thread works, `left_out` how many were not encoded so that others could be.
    """

    steps: list[str] = []
    behind_s: float = 0.0
    busy: float = 0.0
    left_out: int = 0


class EncoderLine(msgspec.Struct, frozen=True, kw_only=True):
    """What encodes the picture (recorder/encode): its `name` as in the settings, why, and what is wrong with others.

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


class NamedCpu(msgspec.Struct, frozen=True, kw_only=True):
    """What threads, or processes, of one name have taken; `count` is how many there were."""

    name: str
    count: int
    cpu_s: float


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds since the recorder's process began, and the seconds that passed since.

    `cpu_s` is all of it, `children_s` what of it its child processes took. `stages` adds up to `cpu_s`, each by its
    name (capture/timing.py), the largest first. `threads` and `processes` are by their names; what has ended between
    two looks is in `stages` only.
    """

    wall_s: float
    cpu_s: float
    children_s: float
    stages: Mapping[str, float]
    threads: tuple[NamedCpu, ...]
    processes: tuple[NamedCpu, ...]
