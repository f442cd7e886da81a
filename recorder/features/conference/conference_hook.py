"""The conference of a session."""

from typing import TYPE_CHECKING

import msgspec

from capture.sources.source_kind import ChosenSources
from config.errors import UsageError
from config.events import Emit
from config.settings.schema import Settings
from recorder.model.status import SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.session.hooks import SessionHook
from recorder.session.request import SessionRequest

if TYPE_CHECKING:
    from recorder.features.conference.conference import Conference
    from recorder.features.conference.plan import ConferencePlan


class ConferenceHook(SessionHook):
    """Plans a conference with the session, and runs it beside the tracks."""

    def __init__(self, asked: SessionRequest, settings: Settings) -> None:
        self._asked = asked
        self._settings = settings
        self._plan: ConferencePlan | None = None
        self._refusal: UsageError | None = None
        self._conference: Conference | None = None

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
        """Make video and audio of the conference."""
        if self._plan is None:
            return
        from recorder.features.conference.conference import Conference

        self._conference = Conference(
            self._plan,
            program.inputs,
            program.sounds,
            program.appearance,
            channels=program.channels,
            shows=program.shows,
            run=program.run,
        )
        self.bus = self._conference.sound.offer

    def start(self) -> None:
        """Start both."""
        if self._conference:
            self._conference.start()

    def stop(self) -> None:
        """Begin to end both."""
        if self._conference:
            self._conference.stop()

    def close(self) -> None:
        """Wait a little for the end of both."""
        if self._conference:
            self._conference.close()

    def describe(self, status: SessionStatus) -> SessionStatus:
        """Add the state of both."""
        return msgspec.structs.replace(status, conference=self._conference.line) if self._conference else status


def make_hook(asked: SessionRequest, settings: Settings) -> SessionHook | None:
    """Return the hook if the request or the settings want a conference; a fast session has none by the settings."""
    is_wanted = settings.conference.always if asked.conference is None else asked.conference
    return ConferenceHook(asked, settings) if is_wanted and (asked.live or asked.conference) else None
