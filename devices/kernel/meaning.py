"""What the kernel's messages mean for devices and for the PC: one table of its own words, of Linux 6.12 and older."""

import re
from dataclasses import dataclass
from typing import Literal

from devices.health.line import Level
from devices.kernel.message import ERROR, WARNING, KernelMessage

type Subject = Literal["port", "controller", "pc"]
"""What a message is about: all at or below the port it names, all on a USB controller's buses, or the computer."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message is about: `topic` a stable word, `advice` what to do.

    An `at_stake` message matters even where no device is known at its port: it tells why none is.
    """

    topic: str
    subject: Subject
    level: Level
    advice: str = ""
    at_stake: bool = False


_CABLE = "Check the cable; try another port, without a hub or extension in between."
_POWER = "It takes more power than the port gives: use another port, or a hub with a power supply of its own."
_ROOM = "This USB bus is full: move one device to another port, or use MJPEG or a smaller picture."
_CONTROLLER = "The USB controller has failed: unplug everything from it, or start the PC anew."
_DISK = "Look after the disk before the next session: record to another one until it is known to be good."
_HEAT = "Give the PC air: clean its fans, take it out of the cabinet."

_RESET = Meaning("reset", "port", Level.WARN, _CABLE)
_GONE = Meaning("disconnect", "port", Level.INFO)
_UNKNOWN = Meaning("enumeration", "port", Level.ERROR, _CABLE, at_stake=True)
_RETRY = Meaning("enumeration", "port", Level.WARN, _CABLE, at_stake=True)
_DISTURBED = Meaning("disturbance", "port", Level.WARN, _CABLE, at_stake=True)
_OVER_CURRENT = Meaning("over-current", "port", Level.ERROR, _POWER, at_stake=True)
_UNDER_POWER = Meaning("power", "port", Level.WARN, _POWER, at_stake=True)
_FULL = Meaning("bandwidth", "port", Level.WARN, _ROOM, at_stake=True)
_SLOW = Meaning("slow-port", "port", Level.WARN, "Plug it into a faster port.")
_PICTURE = Meaning("picture", "port", Level.WARN, _CABLE)
_NO_PICTURE = Meaning("picture", "port", Level.ERROR, "Unplug it, wait two seconds and plug it in again.")
_SOUND = Meaning("sound", "port", Level.WARN, _CABLE)
_SOUND_HABIT = Meaning("sound", "port", Level.INFO)
_DEAD = Meaning("controller", "controller", Level.ERROR, _CONTROLLER)
_GRUMBLE = Meaning("controller", "controller", Level.INFO)
_HOT = Meaning("heat", "pc", Level.WARN, _HEAT)
_TOO_HOT = Meaning("heat", "pc", Level.ERROR, _HEAT)
_COOL = Meaning("heat", "pc", Level.INFO)
_NO_MEMORY = Meaning("memory", "pc", Level.ERROR, "Close other programs before a session.")
_BAD_DISK = Meaning("disk", "pc", Level.ERROR, _DISK)
_STUCK = Meaning("stuck", "pc", Level.WARN)
_ASLEEP = Meaning("sleep", "pc", Level.INFO)
_HARDWARE = Meaning("hardware", "pc", Level.ERROR, "Have the PC looked after: its processor or memory errs.")

_A_DISK = r"(?!sr\d|fd\d|loop)"
"""Discs and floppies that cannot be read are no trouble of the PC's own."""

_TABLE: tuple[tuple[str, Meaning], ...] = (
    (r"(?:Failed to|[Cc]annot) .*-(?:19|108)\b", _GONE),  # ENODEV, ESHUTDOWN: what was under way when it was pulled out
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
    (r"root hub lost power or was reset", Meaning("controller", "port", Level.WARN)),
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


def meaning(message: KernelMessage) -> Meaning | None:
    """Return what a message means, None where it concerns neither a device that Liput uses nor the PC's fitness."""
    if _HARMLESS.match(message.text):
        return None
    for pattern, found in _RULES:
        if pattern.search(message.text):
            return found
    if message.port and not message.port.endswith("-0") and message.level <= WARNING:
        return Meaning("other", "port", Level.WARN if message.level <= ERROR else Level.INFO)
    return None
