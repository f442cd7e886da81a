"""What a session is asked to be: everything that is decided before it starts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from capture.pacing import Pace
from capture.source import AudioSource, VideoFormat, VideoSource
from config.schema import Profile
from config.schema import Recording as RecordingSettings
from config.secrets import StreamTarget
from devices.health.board import HealthBoard
from recorder.archive.model import SessionContext
from recorder.encoder import AudioSettings, VideoSettings
from recorder.outputs import MakeSink
from recorder.packet import Track
from recorder.sound.inputs import SoundInput


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
    board: HealthBoard = field(default_factory=HealthBoard)
    """Where the watches of its sources say how they are."""
    sinks: Sequence[MakeSink] = ()
    """Sinks beside the recording and the targets."""
    x264_params: str | None = None
    """See recorder.encoder.VideoSettings."""

    @property
    def inputs(self) -> tuple[SoundInput, ...]:
        """The inputs of the program's sound."""
        return (SoundInput(self.audio.name, self.audio),) if self.audio else ()


def encoder_settings(plan: SessionPlan, video: VideoFormat) -> tuple[VideoSettings, AudioSettings | None]:
    """Return what the encoders are asked for: the profile's rates, the size and meaning of what the source gives."""
    profile = plan.profile
    return (
        VideoSettings(
            width=video.width,
            height=video.height,
            rate=min(profile.fps, video.rate),
            matrix=video.matrix,
            bit_rate=profile.video_bitrate,
            max_rate=profile.max_bitrate,
            preset=profile.preset,
            keyframe_s=profile.keyframe_s,
            x264_params=plan.x264_params,
        ),
        AudioSettings(profile.audio_channels, profile.audio_bitrate) if plan.inputs else None,
    )


def live_facts(plan: SessionPlan, video: VideoFormat) -> dict[str, object]:
    """Return what the event log should say of a session's beginning: what is recorded, how, and to where."""
    return {
        "title": plan.title,
        "picture": plan.video.name,
        "sound": ", ".join(sound.name for sound in plan.inputs) or None,
        "width": video.width,
        "height": video.height,
        "rate": float(video.rate),
        "destinations": [target.name for target in plan.targets],
    }
