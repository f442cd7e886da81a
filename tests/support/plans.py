"""Plans of sessions: what a test does not say is as a plain session of the settings has it."""

import dataclasses
from typing import Any

from config.settings.schema import Settings
from config.settings.secrets import StreamTarget
from devices.health.faults import SessionDeviceHealth
from recorder.encode.session_encoder import EncoderPlan
from recorder.live_encode.headroom import SHARED, HeadroomQuery, StreamPlan
from recorder.package.metadata import SessionContext
from recorder.program.scene import Appearance
from recorder.session.plan import SessionPlan


def session_plan(**said: Any) -> SessionPlan:
    """Return a plan; `title`, `profile`, sources, archives and pace have to be said. `layouts` may be."""
    settings = Settings()
    targets: list[StreamTarget] = []
    plain = {
        "ends": frozenset(),
        "targets": targets,
        "stream": StreamPlan(SHARED, 300_000, HeadroomQuery(settings.profile(None), 4_500_000)),
        "storage": settings.storage,
        "recording": settings.recording,
        "context": SessionContext(),
        "board": SessionDeviceHealth(),
        "isolate": False,
        "layout": settings.program.layout,
        "appearance": Appearance(said.pop("layouts", settings.layouts), settings.program, said.pop("title"), "id"),
        "encoder": EncoderPlan(),
        "adaptive_rate": False,
    }
    assert set(plain) <= {field.name for field in dataclasses.fields(SessionPlan)}
    return SessionPlan(**{**plain, **said})
