"""How long a source may show or say nothing new before that is a fault, from the settings."""

from collections.abc import Iterable
from dataclasses import dataclass

from config.schema import BUILT_IN_PATIENCE, Settings
from devices.model import DeviceKind


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a source's picture may stand still or be black, and that its sound may be silent."""

    frozen_s: float
    black_s: float
    silence_s: float


def patience_for(settings: Settings, kind: DeviceKind, role: str | None = None) -> Patience:
    """Return the patience with a device of `kind` that has `role`.

    What is set for the role comes first, then what is set for the kind, then what is built in for it.
    """
    layers = [
        layer
        for layer in (settings.patience.get(role or ""), settings.patience.get(kind), BUILT_IN_PATIENCE[kind])
        if layer is not None
    ]
    return Patience(
        _first(layer.frozen_s for layer in layers),
        _first(layer.black_s for layer in layers),
        _first(layer.silence_s for layer in layers),
    )


def _first(values: Iterable[float | None]) -> float:
    return next(value for value in values if value is not None)
