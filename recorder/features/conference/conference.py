"""A two-way conference beside a session: a virtual camera and microphone for Zoom, Meet or Jitsi.

Video and audio of the far side are recorded, and never sent back (docs/decisions/0030).
"""

from collections.abc import Callable, Sequence

from devices.host.clock import NANOSECONDS
from recorder.features.conference.camera import ConferenceCamera
from recorder.features.conference.conference_task import CLOSE_S
from recorder.features.conference.plan import ConferencePlan
from recorder.features.conference.sound import ConferenceSound
from recorder.model.status import ConferenceLine
from recorder.program.scene import Appearance
from recorder.program.timeline import RunContext
from recorder.program.video_input import VideoInput


class Conference:
    """Video and audio of a conference; it never delays the recording, and never raises into it."""

    def __init__(
        self,
        plan: ConferencePlan,
        videos: Sequence[VideoInput],
        sounds: Sequence[str],
        appearance: Appearance,
        *,
        channels: int,
        shows: Callable[[], str],
        run: RunContext,
    ) -> None:
        """`videos` and `sounds` are all inputs of the session; `shows` returns the program's layout."""
        self._clock = run.clock
        self._stopped_ns: int | None = None
        self.camera = ConferenceCamera(plan, videos, appearance, shows=shows, run=run)
        sink = plan.settings.microphone
        self.sound = ConferenceSound(sounds, plan.far_sounds, sink, channels=channels, run=run)

    def start(self) -> None:
        """Begin; returns at once."""
        self.camera.start()
        self.sound.start()

    def stop(self) -> None:
        """Begin to end both; returns at once. A second call changes nothing."""
        if self._stopped_ns is None:
            self._stopped_ns = self._clock.now_ns()
        self.camera.stop()
        self.sound.stop()

    def close(self) -> None:
        """Wait for the end of both, until CLOSE_S after `stop`; abandons what hangs."""
        self.stop()
        for half in (self.camera, self.sound):
            passed_s = (self._clock.now_ns() - (self._stopped_ns or 0)) / NANOSECONDS
            half.close(max(0.0, CLOSE_S - passed_s))

    @property
    def line(self) -> ConferenceLine:
        """Status of both."""
        return ConferenceLine(camera=self.camera.line, microphone=self.sound.line)
