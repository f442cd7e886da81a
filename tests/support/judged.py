"""Workers whose devices are judged as in a session, and never come back once they are lost."""

from capture.detectors.audio_detectors import AudioDetectors
from capture.detectors.source_health import Patience, SourceHealth
from capture.detectors.video_detectors import VideoDetectors
from capture.source import AudioBlock, AudioSource, Frame, VideoFormat, VideoSource
from capture.sources.worker import AudioWorker, DeviceSupervision, LocatedDevice, SourceWorker, VideoWorker
from devices.health.faults import HealthTracker
from devices.model.device import Device


class Nowhere:
    """Locates nothing."""

    def lost(self) -> None:
        """Nothing to note."""

    def reopened(self) -> None:
        """Nothing to note."""

    def find(self) -> LocatedDevice | None:
        return None


def judged_video(
    source: VideoSource, device: Device, patience: Patience, tracker: HealthTracker
) -> tuple[VideoWorker, SourceHealth[Frame, VideoFormat]]:
    """Return the worker of `source`, not open yet, and what judges it."""
    health = SourceHealth(
        source,
        device,
        lambda told, known, usual, form: VideoDetectors(told, known, usual, form, source),
        lambda _known: patience,
        tracker,
    )
    return VideoWorker(source, tracker.clock, supervision=DeviceSupervision(Nowhere(), health)), health


def judged_sound(
    source: AudioSource, device: Device, patience: Patience, tracker: HealthTracker
) -> tuple[AudioWorker, SourceHealth[AudioBlock, None]]:
    """Return the worker of `source`, not open yet, and what judges it."""
    health = SourceHealth(
        source,
        device,
        lambda told, _known, usual, _form: AudioDetectors(told, source.channels, silence_s=usual.silence_s),
        lambda _known: patience,
        tracker,
    )
    return SourceWorker(source, tracker.clock, supervision=DeviceSupervision(Nowhere(), health)), health
