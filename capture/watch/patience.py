"""How long a source may give nothing, or show or say nothing new, before that is a fault."""

from collections.abc import Iterable
from dataclasses import dataclass

from config.schema import BUILT_IN_PATIENCE, Settings
from config.schema import Patience as Setting
from devices.model import DeviceKind

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
    """Return the patience with a device of `kind` that has `role`.

    What is set for the role comes first, then what is set for the kind, then what is built in for it. The word
    `microphone` is a role and a kind: as a role's, only what differs from what is built in for the kind counts.
    """
    layers = [_set_for(settings, role or ""), settings.patience.get(kind) or Setting(), BUILT_IN_PATIENCE[kind]]
    return Patience(
        _first(layer.frozen_s for layer in layers),
        _first(layer.black_s for layer in layers),
        _first(layer.silence_s for layer in layers),
    )


def _set_for(settings: Settings, name: str) -> Setting:
    """Return what is set for a name; what is built in is not."""
    given, usual = settings.patience.get(name) or Setting(), BUILT_IN_PATIENCE.get(name) or Setting()
    return Setting(
        frozen_s=None if given.frozen_s == usual.frozen_s else given.frozen_s,
        black_s=None if given.black_s == usual.black_s else given.black_s,
        silence_s=None if given.silence_s == usual.silence_s else given.silence_s,
    )


def _first(values: Iterable[float | None]) -> float:
    return next(value for value in values if value is not None)
