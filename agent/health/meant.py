"""Which devices of the health log somebody means who looks into it."""

import contextlib
from pathlib import Path

from config.errors import DeviceNotFound, StateError
from devices.health.query import Wanted, devices_in, meant_by


def devices_meant(word: str, folder: Path, span: Wanted, *, may_come: bool = False) -> frozenset[str]:
    """Return the ids that `word` means, an unknown one too if it `may_come`. Raises DeviceNotFound."""
    names = devices_in(folder, span)
    devices = meant_by(word, names, _roles())
    if devices:
        return devices
    if not names or (may_come and ":" in word):
        return frozenset({word})
    from agent.health.text import device_text

    known = ", ".join(device_text(device, name) for device, name in sorted(names.items()))
    raise DeviceNotFound(
        f'the health log says nothing about "{word}" since {span.since:%Y-%m-%d %H:%M}',
        hint=f"it knows {known}; --since looks further back",
    )


def _roles() -> dict[str, str]:
    """Return the id of the device that each role belongs to; none where they cannot be read."""
    from devices.roles.roles import roles_store

    with contextlib.suppress(StateError):
        return {role: binding.id for role, binding in roles_store().read().items()}
    return {}
