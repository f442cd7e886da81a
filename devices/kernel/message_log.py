"""Follows the kernel's messages, finds their meaning, and writes those about devices and the PC to the health log.

Reads /dev/kmsg, or the journal where only root may read that. Groups `adm` and `systemd-journal` may read the journal.
"""

import contextlib
import os
import re
import select
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from devices.health.log_line import PC, HealthLogger, LogKind, LogLevel
from devices.host import threads
from devices.host.child import ChildProcess
from devices.host.clock import NANOSECONDS, Clock
from devices.host.framing import ReceiveBuffer
from devices.model.device import Device

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


PER_MINUTE = 20  # the most lines a minute about one device; further messages are counted
MINUTE_NS = 60 * NANOSECONDS
REMEMBERED_NS = 60 * NANOSECONDS  # after an unplug, messages still belong to the device so long


@dataclass(slots=True)
class _MessageCount:
    """One minute of one device's messages: how many were written, how many left out."""

    name: str
    began_ns: int
    written: int = 0
    left_out: int = 0
    level: LogLevel = LogLevel.DEBUG
    last: str = ""


class KernelMessageWriter:
    """Writes messages as lines of the devices that they name. `observe` is thread-safe; the rest is for one thread."""

    def __init__(self, record: HealthLogger, clock: Clock) -> None:
        self._record = record
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Device, int | None]] = {}
        """By id: a device, and the time until which it is remembered (None: it is plugged in)."""
        self._minutes: dict[str, _MessageCount] = {}

    def observe(self, devices: Sequence[Device]) -> None:
        """Take `devices` as the plugged-in devices from now on."""
        now_ns = self._clock.now_ns()
        with self._lock:
            there = {device.id: device for device in devices if device.port}
            left = {
                identifier: (device, now_ns + REMEMBERED_NS if until_ns is None else until_ns)
                for identifier, (device, until_ns) in self._seen.items()
                if until_ns is None or until_ns >= now_ns
            }
            self._seen = left | {identifier: (device, None) for identifier, device in there.items()}

    def take(self, message: KernelMessage) -> None:
        """Write a line for each device that `message` concerns."""
        meant = classify_message(message)
        if meant is None:
            return
        for device, name in self._subjects(message, meant):
            self._write(device, name, message, meant)

    def flush(self) -> float | None:
        """Write the counts of minutes that are over. Return the seconds until the next ends, None without counts."""
        now_ns, due_ns = self._clock.now_ns(), None
        for device, minute in list(self._minutes.items()):
            if now_ns - minute.began_ns >= MINUTE_NS:
                del self._minutes[device]
                self._count(device, minute)
            elif minute.left_out:
                ends_ns = minute.began_ns + MINUTE_NS
                due_ns = ends_ns if due_ns is None else min(due_ns, ends_ns)
        return None if due_ns is None else (due_ns - now_ns) / NANOSECONDS

    def finish(self) -> None:
        """Write all remaining counts."""
        for device, minute in self._minutes.items():
            self._count(device, minute)
        self._minutes.clear()

    def _subjects(self, message: KernelMessage, meant: MessageMeaning) -> Iterator[tuple[str, str]]:
        """Yield the id and name of each device that a message concerns; without a device, the name is empty."""
        if meant.subject == "pc":
            yield PC, ""
            return
        if meant.subject == "controller":
            numbers = buses_of(message.controller) if message.controller else ()
            plugs = self._plugs(lambda port: port.partition("-")[0] in numbers, meant)
        else:
            port = message.port or ""
            plugs = self._plugs(lambda other: is_at_or_below(other, port), meant)
        for device in plugs:
            yield device.id, device.name
        if not plugs and meant.at_stake and message.port:
            yield message.port, ""

    def _plugs(self, concerns: Callable[[str], bool], meant: MessageMeaning) -> list[Device]:
        """Return one device for each port that `concerns`: plugged-in ones, else those just unplugged."""
        now_ns = self._clock.now_ns()
        with self._lock:
            seen = [(device, until_ns) for device, until_ns in self._seen.values() if concerns(device.port or "")]
        there = [device for device, until_ns in seen if until_ns is None]
        left = [device for device, until_ns in seen if until_ns is not None and until_ns >= now_ns]
        wants_sound = meant.topic == "sound"
        chosen: dict[str, Device] = {}
        for device in sorted(there or left, key=lambda device: (device.alsa is None) is wants_sound):
            chosen.setdefault(device.port or "", device)
        return list(chosen.values())

    def _write(self, device: str, name: str, message: KernelMessage, meant: MessageMeaning) -> None:
        now_ns = self._clock.now_ns()
        minute = self._minutes.get(device)
        if minute is None or now_ns - minute.began_ns >= MINUTE_NS:
            if minute is not None:
                self._count(device, minute)
            minute = self._minutes[device] = _MessageCount(name, now_ns)
        if minute.written >= PER_MINUTE:
            minute.left_out += 1
            minute.level = max(minute.level, meant.level, key=lambda level: level.rank)
            minute.last = message.text
            return
        minute.written += 1
        detail: dict[str, object] = {"topic": meant.topic, "kernel_s": round(message.time_s, 6)}
        if meant.advice:
            detail["advice"] = meant.advice
        if message.port:
            detail["port"] = message.port
        self._record(device, LogKind.KERNEL, message.text, name=name, level=meant.level, **detail)

    def _count(self, device: str, minute: _MessageCount) -> None:
        if minute.left_out:
            reason = f"{minute.left_out} more messages of the kernel within a minute, the last: {minute.last}"
            left_out = minute.left_out
            self._record(device, LogKind.KERNEL, reason, name=minute.name, level=minute.level, left_out=left_out)


def is_at_or_below(port: str, place: str) -> bool:
    """Return whether `port` is `place` or below it: `1-2.3` is below `1-2`, and below the root hub `1-0`."""
    return port == place or port.startswith(f"{place}.") or (place.endswith("-0") and port.startswith(place[:-1]))


KMSG = Path("/dev/kmsg")
JOURNALS = ("/run/log/journal/*/system.journal", "/var/log/journal/*/system.journal")
FOLLOW_JOURNAL = ("journalctl", "--dmesg", "--follow", "--lines=0", "--output=json", "--quiet")
UNREADABLE = "this user may not read the kernel's messages, so they are not in the health log"
ADVICE = 'An administrator can allow it: sudo usermod -aG systemd-journal "$USER"; then log out and in again.'
_RECORD_BYTES = 8192  # the kernel's longest record
_LONGEST_ENTRY = 1_000_000
_RECORDS_PER_TURN = 200  # records in one turn, so that a flood of them cannot keep the thread from stopping


class KmsgSource:
    """The kernel's log, from its end on."""

    def __init__(self, fd: int) -> None:
        """Take over `fd`, /dev/kmsg open for reading without blocking."""
        self._fd = fd

    @classmethod
    def open(cls, path: Path = KMSG) -> "KmsgSource":
        """Open the log at its end; raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.lseek(fd, 0, os.SEEK_END)
        except OSError:
            os.close(fd)
            raise
        return cls(fd)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._fd

    def messages(self) -> Iterator[KernelMessage]:
        """Yield the new messages without blocking. Raises EOFError at the end."""
        for _ in range(_RECORDS_PER_TURN):
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # overwritten; the next read gives the oldest record left
                continue
            if not record:
                raise EOFError
            if message := from_kmsg(record):
                yield message

    def close(self) -> None:
        os.close(self._fd)


class JournalSource(ChildProcess):
    """The journal's copy, through a `journalctl` child that ends with its reader."""

    def __init__(self, command: Sequence[str] = FOLLOW_JOURNAL) -> None:
        super().__init__(command, stdin=subprocess.DEVNULL)
        self._received = ReceiveBuffer(_LONGEST_ENTRY)

    def fileno(self) -> int:
        return self.output

    def messages(self) -> Iterator[KernelMessage]:
        """Yield the complete entries without blocking. Raises EOFError, and FrameTooLong for an endless line."""
        data = self.read()
        if data == b"":
            raise EOFError
        self._received.add(data or b"")
        while (line := self._received.line()) is not None:
            if message := from_journal(line):
                yield message

    def close(self) -> None:
        self.end()


type KernelSource = KmsgSource | JournalSource


def open_source() -> KernelSource | None:
    """Return the first source that this user may read; None without any."""
    with contextlib.suppress(OSError):
        return KmsgSource.open()
    journals = (path for pattern in JOURNALS for path in Path("/").glob(pattern.lstrip("/")))
    if shutil.which(FOLLOW_JOURNAL[0]) and any(os.access(path, os.R_OK) for path in journals):
        with contextlib.suppress(OSError):
            return JournalSource(FOLLOW_JOURNAL)
    return None


class KernelLogFollower:
    """Passes the kernel's messages to `recorder`, on its own thread."""

    def __init__(self, recorder: KernelMessageWriter, record: HealthLogger) -> None:
        self._recorder = recorder
        self._record = record
        self._source: KernelSource | None = None
        self._wake: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. Without a readable source, write one line that says so. Idempotent."""
        if self._thread is not None:
            return
        self._source = open_source()
        if self._source is None:
            self._record(PC, LogKind.KERNEL, UNREADABLE, level=LogLevel.INFO, advice=ADVICE)
            return
        self._wake = os.pipe()
        self._thread = threads.start_thread(self._run, self._source, self._wake[0], name="kernel-log")

    def stop(self) -> None:
        """Stop the thread and write the remaining counts."""
        if self._thread is None or self._wake is None or self._source is None:
            return
        os.close(self._wake[1])
        self._thread.join()
        os.close(self._wake[0])
        self._source.close()
        self._recorder.finish()
        self._thread = None

    def _run(self, source: KernelSource, wake: int) -> None:
        poll = select.poll()
        poll.register(source.fileno(), select.POLLIN)
        poll.register(wake, select.POLLIN)
        wait_s: float | None = None
        while True:
            ready = dict(poll.poll(None if wait_s is None else max(1.0, wait_s * 1000)))
            if source.fileno() in ready and not self._read(source):
                poll.unregister(source.fileno())
            if wake in ready:  # checked last: messages before the stop are still recorded
                return
            wait_s = self._recorder.flush()

    def _read(self, source: KernelSource) -> bool:
        try:
            for message in source.messages():
                self._recorder.take(message)
        except Exception as error:  # any error ends the reading, not the process
            reason = "the kernel's messages are not to be had any more"
            self._record(PC, LogKind.KERNEL, f"{reason}: {error}" if str(error) else reason, level=LogLevel.INFO)
            return False
        return True
