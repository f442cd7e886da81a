"""How long a source may give nothing, or show or say nothing new, before that is a fault."""

from dataclasses import dataclass

from msgspec.structs import asdict

from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import Patience as Setting
from devices.model.device import DeviceKind

SILENT_S, SILENT_FRAMES = 0.7, 5
"""A source of pictures gives nothing when none has come for SILENT_S or so many intervals, the longer."""
NOBODY_ASKED_S = 0.5
"""Whoever reads asks five times as often; where he did not, the PC stood still and the device is not to blame."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a source's picture may stand still or be black, and that its sound may be silent."""

    frozen_s: float
    black_s: float
    silence_s: float


def patience_for(settings: Settings, kind: DeviceKind, role: str | None = None) -> Patience:
    """Return the patience with a device: set for its role (what is built in does not count), its kind, or built in."""
    usual = asdict(BUILT_IN_PATIENCE.get(role or "") or Setting())
    of_role = asdict(settings.patience.get(role or "") or Setting())
    found = asdict(BUILT_IN_PATIENCE[kind])
    for seconds in (asdict(settings.patience.get(kind) or Setting()), dict(of_role.items() - usual.items())):
        found |= {name: value for name, value in seconds.items() if value is not None}
    return Patience(**found)
