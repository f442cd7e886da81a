"""ALSA's names of sound inputs, hw:CARD=ID,DEV=N: the card by its id, which it keeps whatever its number is."""

import re
from pathlib import Path

CARDS = Path("/proc/asound")
_NAME = re.compile(r"hw:CARD=([^,]+)(?:,DEV=(\d+))?")


def card_and_device(name: str) -> tuple[str, int] | None:
    """Return the card's id and the number of its device that `name` names, None where it is no such name."""
    match = _NAME.fullmatch(name)
    return (match[1], int(match[2] or 0)) if match else None


def card_number(card: str) -> str | None:
    """Return the number that the card has now, None where there is none of that id."""
    try:
        return (CARDS / card).readlink().name.removeprefix("card")
    except OSError:
        return None


def pcm_node(name: str) -> str | None:
    """Return the node of the input `name`, of a gone card one that is not there; None for another kind of name."""
    found = card_and_device(name)
    if found is None:
        return None
    card, device = found
    number = card_number(card)
    return f"/dev/snd/{card}" if number is None else f"/dev/snd/pcmC{number}D{device}c"
