"""The plan of a session: all decisions before it starts."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capture.pacing import Pace
from capture.source import VideoSource
from capture.sources.source_kind import ChosenSource
from config.settings.schema import Profile, RecordingSettings, StorageSettings
from config.settings.secrets import StreamTarget
from devices.health.faults import SessionDeviceHealth
from recorder.archive.archive import Archive
from recorder.encode.session_encoder import EncoderPlan
from recorder.live_encode.headroom import StreamPlan
from recorder.model.packet import Track
from recorder.package.metadata import SessionContext
from recorder.program.mixer import SoundInput
from recorder.program.scene import Appearance
from recorder.session.hooks import SessionHooks

if TYPE_CHECKING:
    from recorder.recovery.resume import Resumption


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """A planned session. It opens and closes its sources, and sets `stop`, on which they wait.

    `live` sessions run in real time, others as fast as they can. The first of the `archives` gets the recording; the
    others follow if a disk fails. `ends` are the tracks with a finite source.
    """

    profile: Profile
    pictures: Sequence[ChosenSource[VideoSource]]
    sounds: Sequence[SoundInput]
    archives: Sequence[Archive]
    pace: Pace
    stop: threading.Event
    live: bool
    ends: frozenset[Track]
    duration_s: float | None = None
    targets: Sequence[StreamTarget]
    stream: StreamPlan
    storage: StorageSettings
    recording: RecordingSettings
    context: SessionContext
    board: SessionDeviceHealth  # health of its sources
    isolate: bool  # whether to make iso recordings (recorder/recording/iso.py)
    appearance: Appearance
    layout: str
    encoder: EncoderPlan  # the choice of the video encoder
    adaptive_rate: bool  # whether a static picture is encoded at STILL_RATE (recorder/program/video_track.py)
    hooks: SessionHooks = field(default_factory=SessionHooks)
    resume: "Resumption | None" = None  # the killed session that it continues; its parts are locked
    x264_params: str | None = None  # see recorder.encode.x264.VideoSettings

    @property
    def title(self) -> str:
        return self.appearance.title
