"""What checks look at, made for a test."""

import threading
from collections.abc import Mapping, Sequence

from agent.checks.check import Progress, Situation
from agent.checks.held import Held, still_open
from agent.checks.result import Result
from config.schema import Settings
from devices.host.clock import SystemClock
from devices.model import Device
from recorder.asked import Asked
from recorder.model.status import SessionState, SessionStatus, SourceLine


def situation(
    asked: Asked | None = None,
    settings: Settings | None = None,
    *,
    devices: Sequence[Device] = (),
    held: Mapping[str, SessionStatus | None] | None = None,
    quick: bool = True,
) -> Situation:
    """Return a situation of the profile that `asked` names; without it that of the settings."""
    asked, settings = asked or Asked(title="Rapat"), settings or Settings()
    return Situation(
        asked=asked,
        settings=settings,
        profile=settings.profile(asked.profile),
        clock=SystemClock(),
        stop=threading.Event(),
        devices=lambda: list(devices),
        held=holding(held or {}),
        quick=quick,
    )


def holding(sessions: Mapping[str, SessionStatus | None]) -> Sequence[Held]:
    """Return the sessions that have something open, of some by their titles; None does not answer."""
    return still_open(Held(title, status) for title, status in sessions.items())


def session(state: SessionState, *sources: SourceLine) -> SessionStatus:
    """Return what a session in `state` says that has these sources."""
    return SessionStatus(
        state=state, elapsed_s=0.0, media_time_s=0.0, bytes=0, frames=0, dropped=0, repeated=0, fps=0.0, levels_dbfs=[],
        disk_left_s=None, destinations=[], sources=list(sources),
    )  # fmt: skip


def unheard(_progress: Progress) -> None:
    """Take what a check says while it looks; nobody listens."""


def codes(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return the name and the code of each result."""
    return [(result.name, result.code) for result in results]
