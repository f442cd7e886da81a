"""Which device of the health log a person means by a word: it need not be plugged in any more."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from devices.health.line import PC
from devices.health.query import Wanted, raw_lines

_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_WHO = re.compile(rb'"device":(' + _TEXT + rb'),"name":(' + _TEXT + rb")")


def devices_in(folder: Path, wanted: Wanted) -> dict[str, str]:
    """Return the id of each device that lines between `wanted.since` and `.until` are about, with its last name.

    Raises StateError where the log cannot be read.
    """
    names: dict[str, str] = {}
    seen: set[bytes] = set()
    for raw in raw_lines(folder, wanted):
        who = _WHO.search(raw)
        # Nearly every line is about a device that was there before; decoding all would take five times as long.
        if who is None or who[0] in seen:
            continue
        seen.add(who[0])
        try:
            device, name = (msgspec.json.decode(part, type=str) for part in who.groups())
        except (msgspec.DecodeError, ValueError):
            continue
        names[device] = name or names.get(device, "")
    return names


def meant_by(word: str, names: Mapping[str, str], roles: Mapping[str, str]) -> frozenset[str]:
    """Return the ids of the devices that `word` stands for, of those in `names` (id to name); maybe none.

    In this order of trust: an id, a serial number, a role (`roles` gives the id), a port, a part of an id or a name.
    Capital letters do not matter. A part may stand for several.
    """
    word = word.strip().casefold()
    if not word:
        return frozenset()
    for meant in _readings(word, names, {role.casefold(): device for role, device in roles.items()}):
        if meant:
            return meant
    return frozenset()


def _readings(word: str, names: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[frozenset[str]]:
    yield frozenset(device for device in names if device.casefold() == word)
    yield frozenset(device for device in names if word in device.casefold().removesuffix("+sound").split(":")[2:])
    yield frozenset({roles[word]} if word in roles else ())
    yield frozenset(device for device in names if device.casefold().partition("@")[2].partition("+")[0] == word)
    yield frozenset({PC} if word in {"this pc", "computer"} else ())
    yield frozenset(device for device, name in names.items() if word in name.casefold() or word in device.casefold())
