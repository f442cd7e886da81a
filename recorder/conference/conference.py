"""A two-way conference beside a session: a camera and a microphone of its own for Zoom, Meet or Jitsi.

What the far side shows and says is recorded, and never sent back: docs/decisions/0030.
"""

from collections.abc import Callable, Sequence

from config.events import Emit
from devices.clock import Clock
from recorder.conference.bus import ConferenceSound
from recorder.conference.camera import Appearance, ConferenceCamera
from recorder.conference.plan import ConferencePlan
from recorder.status import ConferenceLine
from recorder.video_input import VideoInput


class Conference:
    """Both halves; nothing of it makes the recording wait, or raises into it."""

    def __init__(
        self,
        plan: ConferencePlan,
        videos: Sequence[VideoInput],
        sounds: Sequence[str],
        appearance: Appearance,
        *,
        channels: int,
        shows: Callable[[], str],
        clock: Clock,
        emit: Emit,
    ) -> None:
        """`videos` and `sounds` are all inputs of the session; `shows` tells which layout the program shows."""
        self.camera = ConferenceCamera(plan, videos, appearance, shows=shows, clock=clock, emit=emit)
        sink = plan.settings.microphone
        self.sound = ConferenceSound(sounds, plan.far_sounds, sink, channels=channels, clock=clock, emit=emit)

    def start(self) -> None:
        """Begin; returns at once."""
        self.camera.start()
        self.sound.start()

    def close(self) -> None:
        """End both, within two seconds whatever hangs."""
        self.camera.close()
        self.sound.close()

    @property
    def line(self) -> ConferenceLine:
        """How both are."""
        return ConferenceLine(camera=self.camera.line, microphone=self.sound.line)
