"""A message of the kernel, as /dev/kmsg and the journal give it, and the USB port or controller that it is about."""

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

ERROR, WARNING, INFO = 3, 4, 6
"""Some of the kernel's levels: 0 is an emergency, 7 is for debugging."""

_LEVEL_BITS = 3
_PORT = r"(?P<bus>\d+)-(?P<path>\d+(?:\.\d+)*)"
_ABOUT_USB = re.compile(rf"^[\w-]+ {_PORT}(?::\d+\.\d+)?(?:-port(?P<child>\d+))?: ")
_ABOUT_ROOT = re.compile(r"^(?:usb usb|hub )(?P<bus>\d+)(?:-0:1\.0|-port(?P<child>\d+))?: ")
_ABOUT_CONTROLLER = re.compile(r"^[xeou]hci[\w-]* (?P<name>\S+): ")
_USB_FIELD = re.compile(rf"^\+usb:{_PORT}(?::\d+\.\d+)?$")
_CONTROLLER_FIELD = re.compile(r"^\+(?:pci|platform):(?P<name>.+)$")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class KernelMessage:
    """One message: its level (0 the gravest), when the kernel said it, its words, and what they are about.

    `time_s` are seconds since boot as dmesg prints them: the kernel's own clock, near CLOCK_MONOTONIC. `device` is
    what the kernel calls its subject: `+usb:1-2:1.0`, `+pci:0000:00:14.0`, `c189:5`, `b8:0`.
    """

    level: int
    time_s: float
    text: str
    device: str = ""

    @property
    def port(self) -> str | None:
        """The USB port it is about: `1-2.3`; `1-0` for the root hub of bus 1."""
        if match := _ABOUT_USB.match(self.text):
            port = f"{match['bus']}-{match['path']}"
            return f"{port}.{match['child']}" if match["child"] else port
        if match := _ABOUT_ROOT.match(self.text):
            return f"{match['bus']}-{match['child'] or 0}"
        match = _USB_FIELD.match(self.device)
        return f"{match['bus']}-{match['path']}" if match else None

    @property
    def controller(self) -> str | None:
        """What it is about where that is no USB device but may be a USB controller: `0000:00:14.0`."""
        match = _ABOUT_CONTROLLER.match(self.text) or _CONTROLLER_FIELD.match(self.device)
        return match["name"] if match else None


def from_kmsg(record: bytes) -> KernelMessage | None:
    """Return the message in a record of /dev/kmsg; None for one that makes no sense, or that a program wrote."""
    head, _, body = record.decode("utf-8", "replace").partition(";")
    try:
        priority, _, microseconds, *_ = head.split(",")
        facility, level = divmod(int(priority), 1 << _LEVEL_BITS)
        time_s = int(microseconds) / 1e6
    except ValueError:
        return None
    if facility:
        return None
    text, *fields = body.rstrip("\n").split("\n")
    named = dict(field.strip().split("=", 1) for field in fields if field.startswith(" ") and "=" in field)
    return KernelMessage(level, time_s, _plain(text), named.get("DEVICE", ""))


class _Entry(msgspec.Struct, rename={
    "text": "MESSAGE", "level": "PRIORITY", "facility": "SYSLOG_FACILITY", "source_us": "_SOURCE_MONOTONIC_TIMESTAMP",
    "boot_us": "_SOURCE_BOOTTIME_TIMESTAMP", "device": "_KERNEL_DEVICE",
}):  # fmt: skip
    """An entry of the journal with the fields we read; a text with bytes that are no UTF-8 is a list of numbers."""

    text: str | list[int] | None = None
    level: str = str(INFO)
    facility: str = "0"
    source_us: str = "0"
    boot_us: str = "0"
    device: str = ""


def from_journal(line: bytes) -> KernelMessage | None:
    """Return the message in a line of `journalctl -k -o json`; None as `from_kmsg`."""
    try:
        entry = msgspec.json.decode(line, type=_Entry)
        level, facility = int(entry.level), int(entry.facility)
        time_s = max(int(entry.source_us), int(entry.boot_us)) / 1e6
    except ValueError:
        return None
    if facility or entry.text is None:
        return None
    text = entry.text if isinstance(entry.text, str) else bytes(entry.text).decode("utf-8", "replace")
    return KernelMessage(level, time_s, " ".join(text.split()), entry.device)


def _plain(text: str) -> str:
    r"""Return a text on one line, without the escapes that /dev/kmsg writes for all but printable ASCII: `\xc3`."""
    raw = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    return " ".join(raw.decode("utf-8", "replace").split())


def buses_of(controller: str, sysfs: Path = Path("/sys")) -> frozenset[str]:
    """Return the numbers of the USB buses that `controller` (`0000:00:14.0`) drives: two where it is a USB 3 one."""
    found = set()
    for bus in sysfs.glob("bus/usb/devices/usb*"):
        if controller in bus.resolve().parts:
            found.add(bus.name.removeprefix("usb"))
    return frozenset(found)
