"""Puts a watch around each device of a session, and sets a camera's controls before it streams.

What a watch takes is loaded with the first device: sessions of files, or of a synthetic picture, have none.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from capture.source import AudioSource, VideoSource
from capture.timing import Timing, untimed
from config.schema import Settings
from devices.clock import Clock
from devices.health.board import HealthBoard
from devices.health.line import Kind, Level, Record, nowhere
from devices.model import Device, DeviceKind


@dataclass(frozen=True, slots=True)
class Watcher:
    """Watches of one session: what they find is written to `record`, and stands on `board`."""

    settings: Settings
    clock: Clock
    record: Record = nowhere
    board: HealthBoard = field(default_factory=HealthBoard)
    timing: Timing = untimed

    def prepare(self, device: Device) -> None:
        """Set the controls of a camera as its preset and the settings have them; never raises: what fails is logged."""
        try:
            from devices.controls.presets import apply_to

            apply_to(device, power_line=self.settings.devices.power_line_frequency, record=self.record)
        except Exception as error:  # of whatever kind: a camera with other controls is better than none
            reason = f"its controls could not be set: {error!r}; please report this"
            with contextlib.suppress(Exception):
                self.record(device.id, Kind.CONTROLS_APPLIED, reason, name=device.name, level=Level.WARN)

    def video(self, source: VideoSource, device: Device) -> VideoSource:
        """Return `source`, which is the picture of `device`, with a watch around it."""
        from capture.watch.patience import patience_for
        from capture.watch.watched_video import WatchedVideo

        self.board.add(device)
        return WatchedVideo(
            source,
            device,
            patience_of=lambda known: patience_for(self.settings, known.kind, known.role),
            record=self.record,
            clock=self.clock,
            on_change=self.board,
            timing=self.timing,
        )

    def sound(self, source: AudioSource, device: Device, plug_of: Callable[[Device], DeviceKind | None]) -> AudioSource:
        """Return `source`, which is the sound of `device`, with a watch around it.

        `plug_of` returns the kind of what gives pictures on the plug of a device: a capture card's sound has that one's
        patience.
        """
        from capture.watch.audio import mains_hz
        from capture.watch.patience import patience_for
        from capture.watch.watched_audio import WatchedAudio

        self.board.add(device)
        return WatchedAudio(
            source,
            device,
            patience_of=lambda known: patience_for(self.settings, plug_of(known) or known.kind, known.role),
            record=self.record,
            clock=self.clock,
            on_change=self.board,
            mains_hz=mains_hz(self.settings.devices.power_line_frequency),
            timing=self.timing,
        )
