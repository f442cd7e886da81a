"""The CPU profile of a recorder: from the plan of its session to the sealed package."""

from contextlib import ExitStack

from config.events import Emit, Event
from config.settings.schema import Settings
from recorder.model.status import SessionResult, SessionState
from recorder.session.hooks import SessionHook
from recorder.session.request import SessionRequest


class ProfilerHook(SessionHook):
    """Runs a StageProfile, which begins at once."""

    def __init__(self) -> None:
        from recorder.features.profiler.profile import StageProfile

        self._running = ExitStack()
        self._profile = self._running.enter_context(StageProfile())
        self.timing = self._profile.timing

    def attach(self, emit: Emit) -> None:
        """Report to `emit`."""
        self._profile.tell_to(emit)

    def hear(self, event: Event) -> None:
        """Note the phase of the session."""
        self._profile.hear(event)

    def end(self, result: SessionResult | None) -> None:
        """Report the whole session, unless it ended with an error."""
        if result is not None:
            self._profile.tell("sealed" if result.state is SessionState.SEALED else "ended")
        self._running.close()


def make_hook(asked: SessionRequest, _settings: Settings) -> SessionHook | None:
    """Return the hook of a session that asks for a profile."""
    return ProfilerHook() if asked.profile_stages else None
