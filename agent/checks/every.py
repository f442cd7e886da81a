"""All checks, in the order in which they are shown."""

from agent.checks import (
    computer,
    encoder,
    equipment,
    hardware,
    internet,
    keys,
    pictures,
    sounds,
    storage,
    ticks,
    uplink,
)
from agent.checks.check import Check


def every_check() -> list[Check]:
    """Return them."""
    return [
        *equipment.CHECKS,
        *pictures.CHECKS,
        *sounds.CHECKS,
        *encoder.CHECKS,
        *hardware.CHECKS,
        *storage.CHECKS,
        *computer.CHECKS,
        *internet.CHECKS,
        *keys.CHECKS,
        *uplink.CHECKS,
        *ticks.CHECKS,
    ]
