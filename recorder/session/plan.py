"""The plan of a session: all decisions before it starts."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from capture.pacing import Pace
from capture.source import VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource
from config.settings.layouts import LayoutSettings, ProgramSettings
from config.settings.schema import Profile
from config.settings.schema import RecordingSettings as RecordingSettings
from config.settings.schema import StorageSettings as StorageSettings
from config.settings.secrets import StreamTarget
from devices.health.faults import SessionDeviceHealth
from devices.host.clock import NANOSECONDS, Clock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AudioSettings
from recorder.encode.session_encoder import EncoderPlan
from recorder.encode.x264 import STILL_RATE, VideoSettings, video_settings
from recorder.live_encode.headroom import StreamPlan
from recorder.model.packet import Track
from recorder.package.metadata import SessionContext
from recorder.program.mixer import SoundInput
from recorder.program.scene import Appearance
from recorder.recording.replica_opener import StorageRequirements
from recorder.session.hooks import SessionHooks

if TYPE_CHECKING:
    from recorder.recovery.resume import Resumption


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """A planned session. It opens and closes its sources, and sets `stop`, on which they wait.

    `live` sessions run in real time, others as fast as they can. The first of the `archives` gets the recording; the
    others follow if a disk fails. `ends` are the tracks with a finite source.
    """

    title: str
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
    language: str  # of slates and cards
    layout: str
    layouts: Mapping[str, LayoutSettings]
    program: ProgramSettings  # title line and logo
    encoder: EncoderPlan  # the choice of the video encoder
    adaptive_rate: bool  # whether a static picture is encoded at STILL_RATE (recorder/program/video_track.py)
    hooks: SessionHooks = field(default_factory=SessionHooks)
    resume: "Resumption | None" = None  # the killed session that it continues; its parts are locked
    x264_params: str | None = None  # see recorder.encode.x264.VideoSettings

    @property
    def appearance(self) -> Appearance:
        """How its frames look."""
        return Appearance(self.layouts, self.program, self.title, self.language)


def encoder_settings(
    plan: SessionPlan, video: VideoFormat
) -> tuple[VideoSettings, AudioSettings | None, dict[str, AudioSettings]]:
    """Return the settings for video, the mix, and each input with its own track."""
    profile = plan.profile
    sound = AudioSettings(profile.audio_channels, profile.audio_bitrate)
    return (
        replace(
            video_settings(profile, video),
            slowest=STILL_RATE if plan.adaptive_rate else None,
            x264_params=plan.x264_params,
        ),
        sound if plan.sounds else None,
        {sound_input.name: sound for sound_input in plan.sounds if sound_input.own_track},
    )


def live_facts(plan: SessionPlan, video: VideoFormat) -> dict[str, object]:
    """Return the event log's fields for a session's beginning: sources, format and destinations."""
    return {
        "title": plan.title,
        "picture": ", ".join(picture.name for picture in plan.pictures),
        "sound": ", ".join(sound.name for sound in plan.sounds) or None,
        "width": video.width,
        "height": video.height,
        "rate": float(video.rate),
        "still_rate": float(STILL_RATE) if plan.adaptive_rate else None,
        "matrix": video.matrix.name,
        "destinations": [target.name for target in plan.targets],
        "request": plan.context.request.request.uuid if plan.context.request else None,
    }


def storage_task(plan: SessionPlan, began_ns: int, clock: Clock, destinations: Sequence[str]) -> StorageRequirements:
    """Return the storage task of a recording that began at `began_ns` on the session clock, or is resumed."""
    back_ns = clock.now_ns() - began_ns if plan.live else 0
    began = clock.now() - timedelta(seconds=back_ns / NANOSECONDS)
    task = StorageRequirements(
        archives=plan.archives,
        storage=plan.storage,
        recording=plan.recording,
        bytes_per_s=(plan.profile.video_bitrate + plan.profile.audio_bitrate) / 8,
        planned_s=plan.duration_s,
        waits=not plan.live,
        title=plan.title,
        started_at=began,
        context=msgspec.structs.replace(plan.context, destinations=destinations),
    )
    if (resume := plan.resume) is None:
        return task
    return replace(
        task,
        title=resume.title,
        started_at=resume.started_at,
        uuid=resume.uuid,
        offset_s=resume.offset_s(began_ns, began),
        part=resume.part,
        earlier=resume.works,
    )
