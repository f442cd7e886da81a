"""The status and result lines of `liput record --json`, and the states of a session."""

import threading
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from devices.health.faults import SessionDeviceHealth
from devices.model.device import Health


class SessionState(StrEnum):
    """The states of a session; see docs/architecture.md."""

    IDLE = "idle"
    ARMED = "armed"
    LIVE = "live"
    DEGRADED = "degraded"
    SEALING = "sealing"
    SEALED = "sealed"
    FAILED = "failed"


STATES_BEFORE = (SessionState.ARMED, SessionState.IDLE)
STATES_RECORDING = (SessionState.LIVE, SessionState.DEGRADED)
STATES_AFTER = (SessionState.SEALING, SessionState.SEALED, SessionState.FAILED)
"""The states before a session records, while it records, and afterwards."""

TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = {
    # Armed: the sources are open (or stand as slates), the encoder runs. Failed: nothing could be opened.
    SessionState.IDLE: frozenset({SessionState.ARMED, SessionState.FAILED}),
    # Live: start. Idle: disarm, or stop; nothing was written. Failed: the encoder broke, or no recording could begin.
    SessionState.ARMED: frozenset({SessionState.LIVE, SessionState.IDLE, SessionState.FAILED}),
    # Degraded: something is less than it should be. Sealing: stop, the planned end, a file's end, or a fatal fault.
    SessionState.LIVE: frozenset({SessionState.DEGRADED, SessionState.SEALING}),
    SessionState.DEGRADED: frozenset({SessionState.LIVE, SessionState.SEALING}),
    # Sealed: the package is in the archive. Failed: it could not be sealed; the recording stays where it is.
    SessionState.SEALING: frozenset({SessionState.SEALED, SessionState.FAILED}),
    SessionState.SEALED: frozenset(),
    SessionState.FAILED: frozenset(),
}


class StateMachine:
    """The state of one session; safe from any thread."""

    def __init__(self) -> None:
        self._state = SessionState.IDLE
        self._lock = threading.Lock()

    @property
    def state(self) -> SessionState:
        """The current state."""
        return self._state

    def to(self, state: SessionState) -> None:
        """Enter `state`. Raises ValueError for a transition that TRANSITIONS lacks, which is a bug."""
        with self._lock:
            if state not in TRANSITIONS[self._state]:
                raise ValueError(f"a session that is {self._state} cannot become {state}")
            self._state = state

    def judge(self, *, is_troubled: bool) -> SessionState:
        """Enter DEGRADED or LIVE if the session records; return the state."""
        with self._lock:
            if self._state in STATES_RECORDING:
                self._state = SessionState.DEGRADED if is_troubled else SessionState.LIVE
            return self._state


class DestinationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One live destination.

    `state` is `armed` (until the recording starts), `connecting`, `listening` (for a caller), `live`, `waiting`,
    `stopped` or `removed`. `since` is the last change between live, lost, slow and keeping up. `backlog_s` is the delay
    of the newest frame that viewers have.
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
    """One recorded device and its health."""

    id: str
    name: str
    role: str | None
    health: Health


def source_lines(board: SessionDeviceHealth) -> list[SourceLine]:
    """Return a line for each device on the board."""
    return [
        SourceLine(id=device.id, name=device.name, role=device.role, health=health)
        for device, health in board.read().values()
    ]


class SoundLine(msgspec.Struct, frozen=True, kw_only=True):
    """One sound input: peak levels in dBFS, and `ppm`, the drift of its clock against the session clock."""

    name: str
    muted: bool
    levels_dbfs: list[float]
    ppm: float | None


class Loudness(msgspec.Struct, frozen=True, kw_only=True):
    """Loudness of 0.4 s, 3 s and the whole program (LUFS), and its range (LU); None below the gate or too early."""

    momentary_lufs: float | None = None
    short_term_lufs: float | None = None
    integrated_lufs: float | None = None
    range_lu: float | None = None


class ConferenceOutput(msgspec.Struct, frozen=True, kw_only=True):
    """One output to the conference: `starting`, `live`, `idle` (no reader), `waiting` (retry), `off` or `stopped`."""

    state: str
    reason: str | None = None


class ConferenceLine(msgspec.Struct, frozen=True, kw_only=True):
    """The outputs to the conference."""

    camera: ConferenceOutput
    microphone: ConferenceOutput


class StreamLine(msgspec.Struct, frozen=True, kw_only=True):
    """The encode of live destinations: `shared` or `separate`, the reason, and bits a second of video.

    `least` and `most` are the range of a separate encode. `late` counts frames that it dropped because this PC was too
    slow.
    """

    encode: str
    why: str
    bitrate: int
    least: int | None = None
    most: int | None = None
    late: int = 0


class SheddingStep(StrEnum):
    """Steps of load shedding, in order."""

    ENCODER = "encoder"  # simpler x264 parameters
    VIEWERS = "viewers"  # previews once a second; every second frame for the live encode
    RATE = "frame rate"  # half the program's frame rate
    DETAIL = "detail"  # the cheapest x264 parameters


class LoadLine(msgspec.Struct, frozen=True, kw_only=True):
    """The load of the video track (recorder/features/load_shedding).

    `steps` are the active measures in order. `behind_s` is the queue in seconds, `busy` the share of time in which the
    thread works. `left_out` counts frames that a step left out.
    """

    steps: list[str] = []
    behind_s: float = 0.0
    busy: float = 0.0
    left_out: int = 0


class EncoderLine(msgspec.Struct, frozen=True, kw_only=True):
    """The video encoder (recorder/encode): its `name` in the settings, and why others were not taken.

    `why` is `set`, `tried` (with real frames), `refused` (the one set) or `failed` (the one chosen).
    """

    name: str
    why: str
    reason: str | None = None


class MarkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A mark: media time and text."""

    media_s: float
    text: str


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="status"):
    """One status line. `media_time_s` and `bytes` are on disk; levels are dBFS per channel.

    `pre_roll_s` is the pre-roll of an armed session, `ends_in_s` the time until a planned end. `troubles` are
    `KIND: SUBJECT`. `marks` are the newest ones.
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
    ends_in_s: float | None = None


class SessionResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="result"):
    """The last line: `sealed` or `failed`, the package or the folder left, and the losses.

    `packages` has one for each copy of a mirrored session and for each part that could not be joined. Length and frames
    count `package` and its other parts. `broke_off` means that the session failed before it was stopped.
    """

    state: SessionState
    package: str | None
    duration_s: float
    frames: int
    degraded: list[str]
    broke_off: bool = False
    packages: list[str] = []


class NamedCpu(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds of all threads or processes of one name; `count` is their number."""

    name: str
    count: int
    cpu_s: float


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds since the recorder's process began, and the seconds that passed since.

    `cpu_s` includes `children_s` of child processes. `stages` add up to `cpu_s` (capture/cpu_stages.py), the largest
    first. `threads` and `processes` miss those that ended between two looks; `stages` have them.
    """

    wall_s: float
    cpu_s: float
    children_s: float
    stages: Mapping[str, float]
    threads: tuple[NamedCpu, ...]
    processes: tuple[NamedCpu, ...]
