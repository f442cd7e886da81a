"""Recorded trees of USB hubs and devices (tests/devices/usb_trees/*.toml), unpacked as sysfs would show them.

A table for each hub or device, by its sysfs name; its keys are sysfs's attributes, those in hexadecimal digits
`descriptors` and `bos_descriptors`. A record of which only a listing (lsusb -v) is public has its endpoints a line
each instead, from which `descriptors` are made:

    "1.11 0e02 81 iso 1400 1"

is interface 1, alternate setting 11, class 0e subclass 02, endpoint 81, isochronous, wMaxPacketSize 1400, bInterval 1;
a ninth word is the wBytesPerInterval of its SuperSpeed companion.
"""

import struct
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

TREES = Path(__file__).parents[1] / "devices" / "usb_trees"
_BINARY = ("descriptors", "bos_descriptors")
_TRANSFERS = {"ctrl": 0, "iso": 1, "bulk": 2, "int": 3}


def usb_tree(name: str, folder: Path) -> Path:
    """Unpack the recorded tree `name` below `folder`; return what stands for /sys/bus/usb/devices."""
    root = folder / name
    tree = tomllib.loads((TREES / f"{name}.toml").read_text())
    for port, attributes in tree.items():
        add_device(root, port, attributes)
    return root


def add_device(root: Path, port: str, attributes: Mapping[str, object]) -> None:
    """Add one hub or device to an unpacked tree."""
    place = root / port
    place.mkdir(parents=True)
    for key, value in attributes.items():
        if key == "endpoints":
            assert isinstance(value, list)
            (place / "descriptors").write_bytes(descriptors(value))
        elif key in _BINARY:
            (place / key).write_bytes(bytes.fromhex(str(value)))
        else:
            (place / key).write_text(f"{value}\n")


def descriptors(lines: Sequence[str]) -> bytes:
    """Return what sysfs would have as `descriptors` of a device with the endpoints in `lines`."""
    parts = [struct.pack("<BB16x", 18, 1), struct.pack("<BBHBBBBB", 9, 2, 0, 1, 1, 0, 0x80, 250)]
    for line in lines:
        where, kind, address, transfer, packet, interval, *companion = line.split()
        interface, setting = map(int, where.split("."))
        parts.append(bytes((9, 4, interface, setting, 1, *bytes.fromhex(kind), 0, 0)))
        packed = struct.pack("<BBBBHB", 7, 5, int(address, 16), _TRANSFERS[transfer], int(packet, 16), int(interval))
        parts.append(packed)
        if companion:
            parts.append(struct.pack("<BBBBH", 6, 0x30, 0, 0, int(companion[0])))
    return b"".join(parts)
