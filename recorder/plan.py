"""What a session is asked to be: everything that is decided before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from capture.pacing import Pace
from capture.source import AudioSource, VideoSource
from config.schema import Profile
from config.schema import Recording as RecordingSettings
from config.secrets import StreamTarget
from recorder.archive.model import SessionContext
from recorder.outputs import MakeSink
from recorder.packet import Track


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """A session to be run. The sources are not open yet; the session opens and closes them.

    `live` sessions run as time passes (`pace` is a RealPace), others as fast as they can. `ends` are the tracks
    whose source ends by itself, as a file does. `duration_s` of None means until somebody stops it.
    """

    title: str
    profile: Profile
    video: VideoSource
    audio: AudioSource | None
    pace: Pace
    live: bool
    ends: frozenset[Track] = frozenset()
    targets: Sequence[StreamTarget] = ()
    duration_s: float | None = None
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    context: SessionContext = field(default_factory=SessionContext)
    sinks: Sequence[MakeSink] = ()
    """Sinks beside the recording and the targets."""
    x264_params: str | None = None
    """See recorder.encoder.VideoSettings."""
