"""Messages of the kernel, from /dev/kmsg or the journal, and their meaning for devices and the PC."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from devices.health.log_line import LogLevel

ERROR, WARNING, INFO = 3, 4, 6  # three of the kernel's levels: 0 is an emergency, 7 is for debugging

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
    """One message; `level` 0 is the gravest.

    `time_s`: seconds since boot on the kernel's clock, as in dmesg, near CLOCK_MONOTONIC. `device` is the kernel's name
    of the subject: `+usb:1-2:1.0`, `+pci:0000:00:14.0`, `c189:5`, `b8:0`.
    """

    level: int
    time_s: float
    text: str
    device: str = ""

    @property
    def port(self) -> str | None:
        """The USB port in the message: `1-2.3`; `1-0` for the root hub of bus 1."""
        if match := _ABOUT_USB.match(self.text):
            port = f"{match['bus']}-{match['path']}"
            return f"{port}.{match['child']}" if match["child"] else port
        if match := _ABOUT_ROOT.match(self.text):
            return f"{match['bus']}-{match['child'] or 0}"
        match = _USB_FIELD.match(self.device)
        return f"{match['bus']}-{match['path']}" if match else None

    @property
    def controller(self) -> str | None:
        """The possible USB controller in the message: `0000:00:14.0`; None for a USB device."""
        match = _ABOUT_CONTROLLER.match(self.text) or _CONTROLLER_FIELD.match(self.device)
        return match["name"] if match else None


def from_kmsg(record: bytes) -> KernelMessage | None:
    """Parse a record of /dev/kmsg; None if it is malformed or a program wrote it."""
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
    """An entry of the journal. A text that is not UTF-8 is a list of byte values."""

    text: str | list[int] | None = None
    level: str = str(INFO)
    facility: str = "0"
    source_us: str = "0"
    boot_us: str = "0"
    device: str = ""


def from_journal(line: bytes) -> KernelMessage | None:
    """Parse a line of `journalctl -k -o json`; None as `from_kmsg`."""
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
    r"""Return `text` on one line, with /dev/kmsg's escapes (`\xc3`) decoded."""
    raw = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    return " ".join(raw.decode("utf-8", "replace").split())


def buses_of(controller: str, sysfs: Path = Path("/sys")) -> frozenset[str]:
    """Return the numbers of the USB buses of `controller` (`0000:00:14.0`); a USB 3 controller has two."""
    found = set()
    for bus in sysfs.glob("bus/usb/devices/usb*"):
        if controller in bus.resolve().parts:
            found.add(bus.name.removeprefix("usb"))
    return frozenset(found)


type MessageSubject = Literal["port", "controller", "pc"]
"""A port with all devices below it, all buses of a USB controller, or the computer."""


@dataclass(frozen=True, slots=True)
class MessageMeaning:
    """The meaning of a message. An `at_stake` message matters even at a port without a known device."""

    topic: str
    subject: MessageSubject
    level: LogLevel
    advice: str = ""
    at_stake: bool = False


_CABLE = "Check the cable; try another port, without a hub or extension in between."
_POWER = "It takes more power than the port gives: use another port, or a hub with a power supply of its own."
_ROOM = "This USB bus is full: move one device to another port, or use MJPEG or a smaller picture."
_CONTROLLER = "The USB controller has failed: unplug everything from it, or start the PC anew."
_DISK = "Look after the disk before the next session: record to another one until it is known to be good."
_HEAT = "Give the PC air: clean its fans, take it out of the cabinet."

_RESET = MessageMeaning("reset", "port", LogLevel.WARN, _CABLE)
_GONE = MessageMeaning("disconnect", "port", LogLevel.INFO)
_UNKNOWN = MessageMeaning("enumeration", "port", LogLevel.ERROR, _CABLE, at_stake=True)
_RETRY = MessageMeaning("enumeration", "port", LogLevel.WARN, _CABLE, at_stake=True)
_DISTURBED = MessageMeaning("disturbance", "port", LogLevel.WARN, _CABLE, at_stake=True)
_OVER_CURRENT = MessageMeaning("over-current", "port", LogLevel.ERROR, _POWER, at_stake=True)
_UNDER_POWER = MessageMeaning("power", "port", LogLevel.WARN, _POWER, at_stake=True)
_FULL = MessageMeaning("bandwidth", "port", LogLevel.WARN, _ROOM, at_stake=True)
_SLOW = MessageMeaning("slow-port", "port", LogLevel.WARN, "Plug it into a faster port.")
_PICTURE = MessageMeaning("picture", "port", LogLevel.WARN, _CABLE)
_NO_PICTURE = MessageMeaning("picture", "port", LogLevel.ERROR, "Unplug it, wait two seconds and plug it in again.")
_SOUND = MessageMeaning("sound", "port", LogLevel.WARN, _CABLE)
_SOUND_HABIT = MessageMeaning("sound", "port", LogLevel.INFO)
_DEAD = MessageMeaning("controller", "controller", LogLevel.ERROR, _CONTROLLER)
_GRUMBLE = MessageMeaning("controller", "controller", LogLevel.INFO)
_HOT = MessageMeaning("heat", "pc", LogLevel.WARN, _HEAT)
_TOO_HOT = MessageMeaning("heat", "pc", LogLevel.ERROR, _HEAT)
_COOL = MessageMeaning("heat", "pc", LogLevel.INFO)
_NO_MEMORY = MessageMeaning("memory", "pc", LogLevel.ERROR, "Close other programs before a session.")
_BAD_DISK = MessageMeaning("disk", "pc", LogLevel.ERROR, _DISK)
_STUCK = MessageMeaning("stuck", "pc", LogLevel.WARN)
_ASLEEP = MessageMeaning("sleep", "pc", LogLevel.INFO)
_HARDWARE = MessageMeaning("hardware", "pc", LogLevel.ERROR, "Have the PC looked after: its processor or memory errs.")

_A_DISK = r"(?!sr\d|fd\d|loop)"  # unreadable discs and floppies are no fault of the PC

_TABLE: tuple[tuple[str, MessageMeaning], ...] = (
    (r"(?:Failed to|[Cc]annot) .*-(?:19|108)\b", _GONE),  # ENODEV, ESHUTDOWN: operations cut off by an unplug
    (r": reset .*\bUSB device number \d", _RESET),
    (r": USB disconnect, device number \d", _GONE),
    (r"unable to enumerate USB device|can't read configurations, error|can't set config #\d", _UNKNOWN),
    (r"device descriptor read/|device not accepting address|[Dd]evice not responding to setup", _RETRY),
    (r"Maybe the USB cable is bad|unable to read config index|descriptor too short|attempt power cycle", _RETRY),
    (r"can't read device descriptor|device (?:descriptor|firmware) (?:has )?changed", _RETRY),
    (r"disabled by hub \(EMI\?\)", _DISTURBED),
    (r"over-current (?:condition|change)", _OVER_CURRENT),
    (r"due to insufficient available bus power|exceeds power limit by|insufficient power available", _UNDER_POWER),
    (r"can't connect bus-powered hub to this port", _UNDER_POWER),
    (r"[Nn]ot enough bandwidth|Failed to submit URB \d+ \(-28\)|usb_set_interface failed \(-28\)", _FULL),
    (r"not running at top speed", _SLOW),
    (r"uvcvideo .*Failed to (?:initialize the device|register)", _NO_PICTURE),
    (r"in (?:video|status) completion handler|Failed to (?:re)?submit (?:video |status )?URB", _PICTURE),
    (r"Failed to query \(|Failed to set UVC|Failed to initialize entity|Stream \d+ error event", _PICTURE),
    (
        r"cannot get (?:freq at ep|min/max values|current value)|No valid sample rate|failed to read current",
        _SOUND_HABIT,
    ),
    (r"usb_set_interface failed|cannot set freq|cannot submit urb|still \d+ active urbs", _SOUND),
    (r"clock source \d+ is not valid|failed to prepare urb|cannot find format", _SOUND),
    (r"HC died; cleaning up|host controller not responding|not responding to stop endpoint", _DEAD),
    (r"^[xeou]hci.*(?:Host System Error|Host Controller Error|fatal error|Host halt failed)", _DEAD),
    (r"root hub lost power or was reset", MessageMeaning("controller", "port", LogLevel.WARN)),
    (r"^[xeou]hci.*: (?:ERROR|WARN)", _GRUMBLE),
    (r"[Cc]ritical temperature reached", _TOO_HOT),
    (r"temperature (?:is )?above threshold, cpu clock (?:is )?throttled", _HOT),
    (r"temperature/speed normal", _COOL),
    (r"^PM: (?:suspend|hibernation: hibernation) (?:entry|exit)", _ASLEEP),
    (r"[Oo]ut of memory(?: \(\w+\))?: Killed process", _NO_MEMORY),
    (rf"(?:I/O|critical (?:target|medium)|device offline|timeout) error, dev {_A_DISK}", _BAD_DISK),
    (rf"Buffer I/O error on dev {_A_DISK}", _BAD_DISK),
    (r"EXT4-fs error|[Rr]emounting filesystem read-only|Aborting journal on device", _BAD_DISK),
    (r"^JBD2: .*I/?O error|BTRFS:? (?:error|critical)|XFS .*(?:[Ee]rror|[Ss]hut|[Cc]orruption)", _BAD_DISK),
    (r"^nvme .*(?:QID \d+ timeout|controller is down|Device not ready|Disabling device)", _BAD_DISK),
    (r"^ata\d.*(?:exception Emask|failed command)", _BAD_DISK),
    (r"blocked for more than \d+ seconds|soft lockup|hard LOCKUP", _STUCK),
    (r"\[Hardware Error\]|Machine check", _HARDWARE),
)
_RULES = tuple((re.compile(pattern), meaning) for pattern, meaning in _TABLE)
_HARMLESS = re.compile(r"^(?:usb usb\d+: Not yet implemented|vhci_hcd: )")


def classify_message(message: KernelMessage) -> MessageMeaning | None:
    """Return the meaning of a message; None if it concerns neither a USB device nor the PC's fitness."""
    if _HARMLESS.match(message.text):
        return None
    for pattern, found in _RULES:
        if pattern.search(message.text):
            return found
    if message.port and not message.port.endswith("-0") and message.level <= WARNING:
        return MessageMeaning("other", "port", LogLevel.WARN if message.level <= ERROR else LogLevel.INFO)
    return None
