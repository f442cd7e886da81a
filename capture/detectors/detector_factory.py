"""Makes the detectors of a session's devices, and sets controls of cameras; loads both with the first device."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capture.cpu_stages import CpuTimer, untimed
from capture.source import AudioBlock, AudioSource, Frame, VideoFormat, VideoSource
from config.errors import as_liput_error
from config.settings.schema import Settings
from devices.health.faults import HealthTracker, SessionDeviceHealth
from devices.health.log_line import HealthLogger, LogKind, LogLevel, discard_line
from devices.host.clock import Clock
from devices.model.device import Device, DeviceKind

if TYPE_CHECKING:
    from capture.detectors.source_health import SourceHealth


@dataclass(frozen=True, slots=True)
class DetectorFactory:
    """Makes the detectors of one session; they log to `record` and report to `board`."""

    settings: Settings
    clock: Clock
    record: HealthLogger = discard_line
    board: SessionDeviceHealth = field(default_factory=SessionDeviceHealth)
    timing: CpuTimer = untimed

    def prepare(self, device: Device) -> None:
        """Set a camera's controls by its preset and the settings; never raises, but logs errors."""
        try:
            from devices.controls.presets import restore_preset

            restore_preset(device, power_line=self.settings.devices.power_line_frequency, record=self.record)
        except Exception as error:  # any bug: a camera with other controls is better than none
            reason = f"its controls could not be set: {as_liput_error(error).message}; please report this"
            with contextlib.suppress(Exception):
                self.record(device.id, LogKind.CONTROLS_APPLIED, reason, name=device.name, level=LogLevel.WARN)

    def video(self, source: VideoSource, device: Device) -> "SourceHealth[Frame, VideoFormat]":
        """Return the listener that judges `source`, the video of `device`."""
        from capture.detectors.source_health import SourceHealth, patience_for
        from capture.detectors.video_detectors import VideoDetectors

        return SourceHealth(
            source,
            device,
            lambda tracker, known, patience, form: VideoDetectors(tracker, known, patience, form, source),
            lambda known: patience_for(self.settings, known.kind, known.role),
            self._track(device),
            self.timing,
        )

    def sound(
        self, source: AudioSource, device: Device, plug_of: Callable[[Device], DeviceKind | None]
    ) -> "SourceHealth[AudioBlock, None]":
        """Return the listener that judges `source`, the audio of `device`; `plug_of` gives the kind of its picture."""
        from capture.detectors.audio_detectors import AudioDetectors, mains_hz
        from capture.detectors.source_health import SourceHealth, patience_for

        mains = mains_hz(self.settings.devices.power_line_frequency)
        return SourceHealth(
            source,
            device,
            lambda tracker, _device, patience, _form: AudioDetectors(
                tracker, source.channels, silence_s=patience.silence_s, mains_hz=mains
            ),
            lambda known: patience_for(self.settings, plug_of(known) or known.kind, known.role),
            self._track(device),
            self.timing,
        )

    def _track(self, device: Device) -> HealthTracker:
        """Show `device` on the board; return its tracker."""
        self.board.add(device)
        return HealthTracker(device.id, device.name, record=self.record, clock=self.clock, on_change=self.board)
