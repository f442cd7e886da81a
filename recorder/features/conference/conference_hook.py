"""A two-way conference beside a session: a virtual camera and microphone for Zoom, Meet or Jitsi.

Video and audio of the far side are recorded, and never sent back (docs/decisions/0030).
"""

from typing import TYPE_CHECKING

import msgspec

from capture.sources.source_kind import ChosenSources
from config.errors import UsageError
from config.events import Emit
from config.settings.schema import Settings
from recorder.model.status import ConferenceLine, SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.session.hooks import SessionHook
from recorder.session.request import SessionRequest

if TYPE_CHECKING:
    from recorder.features.conference.conference_task import ConferenceTask
    from recorder.features.conference.plan import ConferencePlan


class ConferenceHook(SessionHook):
    """Plans a conference with the session, and runs it beside the tracks."""

    def __init__(self, asked: SessionRequest, settings: Settings) -> None:
        self._asked = asked
        self._settings = settings
        self._plan: ConferencePlan | None = None
        self._refusal: UsageError | None = None
        self.tasks: tuple[ConferenceTask, ...] = ()  # of the camera and the microphone

    def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
        """Find the far side's inputs. Raises the UsageError of a conference that somebody asked for just now."""
        if not self._asked.live:
            raise UsageError("a conference runs in real time", hint="leave out --pace fast, or --conference")
        from recorder.features.conference.plan import plan_conference

        try:
            self._plan = plan_conference(self._settings.conference, self._settings.layouts, chosen)
        except UsageError as error:
            if self._asked.conference and not unattended:
                raise
            self._refusal = error  # the recording comes first

    def attach(self, emit: Emit) -> None:
        """Report a conference that the settings rule out."""
        if error := self._refusal:
            emit("conference-lost", "camera", error.message, reason="settings", hint=error.hint)

    def arm(self, program: ArmedProgram) -> None:
        if self._plan is None:
            return
        from recorder.features.conference.camera import ConferenceCamera
        from recorder.features.conference.sound import ConferenceSound

        plan, run = self._plan, program.run
        sink, channels = plan.settings.microphone, program.channels
        sound = ConferenceSound(program.sounds, plan.far_sounds, sink, channels=channels, run=run)
        camera = ConferenceCamera(plan, program.inputs, program.appearance, shows=program.shows, run=run)
        self.bus, self.tasks = sound.offer, (camera, sound)

    def start(self) -> None:
        for task in self.tasks:
            task.start()

    def stop(self) -> None:
        """Begin to end both."""
        for task in self.tasks:
            task.stop()

    def close(self) -> None:
        """Wait a little for the end of both."""
        self.stop()
        for task in self.tasks:
            task.close()

    def describe(self, status: SessionStatus) -> SessionStatus:
        """Add the state of both."""
        if not self.tasks:
            return status
        camera, microphone = (task.line for task in self.tasks)
        return msgspec.structs.replace(status, conference=ConferenceLine(camera=camera, microphone=microphone))


def make_hook(asked: SessionRequest, settings: Settings) -> SessionHook | None:
    """Return the hook if the request or the settings want a conference; a fast session has none by the settings."""
    is_wanted = settings.conference.always if asked.conference is None else asked.conference
    return ConferenceHook(asked, settings) if is_wanted and (asked.live or asked.conference) else None
