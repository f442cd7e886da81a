"""The CPU profile of a recorder: from the plan of its session to the sealed package."""

from config.settings.schema import Settings
from recorder.session.hooks import SessionHook
from recorder.session.request import SessionRequest


def make_hook(asked: SessionRequest, _settings: Settings) -> SessionHook | None:
    """Return the hook of a session that asks for a profile, which begins at once."""
    if not asked.profile_stages:
        return None
    from recorder.features.profiler.profile import StageProfile

    return StageProfile()
