"""A hash of what a USB device says it can do: the same for every unit of a make, on whatever port and link.

What is counted of its descriptors (USB 2.0, chapter 9): class, vendor, product and release of the device; the class
of each interface; and what its functions say of themselves (terminals, units, formats, frame sizes). What is left out
differs between units of a make, or with the speed of the link: indexes of strings (0 where a unit has no serial
number), endpoints with their packet sizes, alternate settings, power. A make that offers other pictures on a slow
link has another hash there, which is true: it is less of a device.
"""

import hashlib
from collections.abc import Iterator

_DEVICE, _CONFIGURATION, _INTERFACE, _ASSOCIATION, _OF_CLASS = 0x01, 0x02, 0x04, 0x0B, 0x24
_VIDEO = 0x0E
_DIGITS = 12
_LEAST = {_DEVICE: 18, _CONFIGURATION: 9, _INTERFACE: 9, _ASSOCIATION: 8, _OF_CLASS: 3}
"""The bytes that a descriptor of each type that is counted has at least."""


def capabilities_hash(raw: bytes) -> str | None:
    """Return the hash (12 hex digits) of sysfs' file `descriptors`; None where that says nothing."""
    counted = b"".join(_counted(raw))
    return hashlib.sha256(counted).hexdigest()[:_DIGITS] if counted else None


def gives_pictures(raw: bytes) -> bool:
    """Return whether sysfs' file `descriptors` has an interface for video."""
    return any(kind == _INTERFACE and part[5] == _VIDEO for kind, part in _parts(raw))


def _counted(raw: bytes) -> Iterator[bytes]:
    """Yield what counts of each descriptor, with its type."""
    for kind, part in _parts(raw):
        if counted := _of(kind, part):
            yield bytes((kind, len(counted))) + counted


def _parts(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each descriptor with its type; what is cut off ends it."""
    at = 0
    while at + 2 <= len(raw):
        length, kind = raw[at], raw[at + 1]
        if length < _LEAST.get(kind, 2) or at + length > len(raw):
            return
        yield kind, raw[at : at + length]
        at += length


def _of(kind: int, part: bytes) -> bytes:
    if kind == _DEVICE:
        return part[4:7] + part[8:14]
    if kind == _CONFIGURATION:
        return part[4:5]
    if kind == _INTERFACE:
        return b"" if part[3] else part[2:3] + part[5:8]
    if kind == _ASSOCIATION:
        return part[2:7]
    return part[2:] if kind == _OF_CLASS else b""
