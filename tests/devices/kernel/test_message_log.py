"""Messages of the kernel as /dev/kmsg and the journal give them; whom they are about."""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.health.log_line import PC, LogKind, LogLevel
from devices.kernel import message_log as kernel_log
from devices.kernel.message_log import (
    JournalSource,
    KernelLogFollower,
    KernelMessage,
    KernelMessageWriter,
    KmsgSource,
    buses_of,
    classify_message,
    from_journal,
    from_kmsg,
    open_source,
)
from devices.model.device import Device, DeviceKind
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


def test_a_record_of_kmsg_is_read_with_its_subject_unless_a_program_wrote_it() -> None:
    record = b"6,1234,98765432,-;usb 1-2: USB disconnect, device number 5\n SUBSYSTEM=usb\n DEVICE=c189:4\n"
    message = from_kmsg(record)
    assert message == KernelMessage(6, 98.765432, "usb 1-2: USB disconnect, device number 5", "c189:4")
    assert message.port == "1-2"
    assert from_kmsg(b"11,7,98,-;usb 1-2: USB disconnect, device number 5\n") is None  # facility 1: a user's program
    assert from_kmsg(b"3,7,98,c,more;usb 1-2: said\n") == KernelMessage(3, 98e-6, "usb 1-2: said")
    message = from_kmsg(rb"6,1,1,-;usb 1-2: Product: Kam\xc3\xa9ra\x0aroom \x5c2" + b"\n")
    assert message == KernelMessage(6, 1e-6, "usb 1-2: Product: Kaméra room \\2")
    assert [from_kmsg(torn) for torn in (b"", b"x,y,z;text")] == [None, None]


def test_an_entry_of_the_journal_is_read_with_its_subject() -> None:
    entry = {
        "MESSAGE": "uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", "PRIORITY": "4",
        "SYSLOG_FACILITY": "0", "_KERNEL_DEVICE": "+usb:1-2:1.1", "_KERNEL_SUBSYSTEM": "usb", "_TRANSPORT": "kernel",
        "_SOURCE_BOOTTIME_TIMESTAMP": "98765432", "__REALTIME_TIMESTAMP": "1764040000000000",
    }  # fmt: skip
    message = from_journal(json.dumps(entry).encode())
    assert message == KernelMessage(4, 98.765432, entry["MESSAGE"], "+usb:1-2:1.1")
    assert message.port == "1-2"
    entry |= {"SYSLOG_FACILITY": "3", "MESSAGE": "systemd[1]: started"}
    assert from_journal(json.dumps(entry).encode()) is None
    line = b'{"MESSAGE":[117,115,98,255,33],"PRIORITY":"6"}'
    assert from_journal(line) == KernelMessage(6, 0.0, "usb\ufffd!")
    for torn in (line[:20], b"{}", b"[]", b'{"MESSAGE":"x","PRIORITY":"high"}', b""):
        assert from_journal(torn) is None


@pytest.mark.parametrize(
    ("text", "device", "port", "controller"),
    [
        ("usb 1-2.3: device descriptor read/64, error -71", "c189:7", "1-2.3", None),
        ("snd-usb-audio 3-1.4:1.2: cannot submit urb (err = -19)", "+usb:3-1.4:1.2", "3-1.4", None),
        ("usb 1-2-port3: unable to enumerate USB device", "+usb:1-2-port3", "1-2.3", None),
        ("usb usb2-port14: over-current condition", "+usb:usb2-port14", "2-14", None),
        ("hub 1-0:1.0: over-current condition exists", "+usb:1-0:1.0", "1-0", None),
        ("something new", "+usb:1-4.2:1.0", "1-4.2", None),
        ("xhci_hcd 0000:00:14.0: HC died; cleaning up", "+pci:0000:00:14.0", None, "0000:00:14.0"),
        ("xhci-hcd xhci-hcd.1.auto: HC died; cleaning up", "+platform:xhci-hcd.1.auto", None, "xhci-hcd.1.auto"),
        ("CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)", "", None, None),
    ],
)
def test_the_port_or_the_controller_is_told(text: str, device: str, port: str | None, controller: str | None) -> None:
    message = KernelMessage(4, 1.0, text, device)
    assert (message.port, message.controller) == (port, controller)


def test_the_buses_of_a_controller_are_those_below_it(tmp_path: Path) -> None:
    devices = tmp_path / "bus/usb/devices"
    devices.mkdir(parents=True)
    for bus, controller in ((1, "0000:00:14.0"), (2, "0000:00:14.0"), (3, "0000:05:00.3"), (14, "0000:06:00.0")):
        real = tmp_path / f"devices/pci0000:00/{controller}/usb{bus}"
        real.mkdir(parents=True)
        (devices / f"usb{bus}").symlink_to(real)
    assert buses_of("0000:00:14.0", tmp_path) == {"1", "2"}
    assert buses_of("0000:06:00.0", tmp_path) == {"14"}
    assert buses_of("0000:09:00.0", tmp_path) == set()


WORDS: list[tuple[int, str, str, LogLevel]] = [
    (6, "usb 2-1: reset SuperSpeed Plus Gen 2x1 USB device number 3 using xhci_hcd", "reset", LogLevel.WARN),
    (6, "usb 1-2: USB disconnect, device number 5", "disconnect", LogLevel.INFO),
    (3, "usb 1-2: cannot submit urb 0, error -19: no device", "disconnect", LogLevel.INFO),
    (3, "usb 1-2: device descriptor read/64, error -71", "enumeration", LogLevel.WARN),
    (3, "usb usb1-port3: unable to enumerate USB device", "enumeration", LogLevel.ERROR),
    (3, "usb usb1-port3: disabled by hub (EMI?), re-enabling...", "disturbance", LogLevel.WARN),
    (5, "usb usb1-port3: over-current change #2", "over-current", LogLevel.ERROR),
    (6, "usb 1-2: rejected 1 configuration due to insufficient available bus power", "power", LogLevel.WARN),
    (3, "uvcvideo 1-2:1.1: Failed to submit URB 0 (-28).", "bandwidth", LogLevel.WARN),
    (6, "usb 1-2: not running at top speed; connect to a high speed hub", "slow-port", LogLevel.WARN),
    (4, "uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", "picture", LogLevel.WARN),
    (3, "uvcvideo 1-2:1.0: Failed to initialize the device (-5).", "picture", LogLevel.ERROR),
    (3, "usb 1-2: cannot submit urb 0, error -32: stalled", "sound", LogLevel.WARN),
    (3, "usb 1-2: 3:1: cannot get freq at ep 0x82", "sound", LogLevel.INFO),
    (3, "xhci_hcd 0000:00:14.0: HC died; cleaning up", "controller", LogLevel.ERROR),
    (4, "xhci_hcd 0000:00:14.0: WARNING: Host System Error", "controller", LogLevel.ERROR),
    (4, "xhci_hcd 0000:00:14.0: WARN: bandwidth overrun event for slot 3 ep 2", "controller", LogLevel.INFO),
    (6, "usb usb1: root hub lost power or was reset", "controller", LogLevel.WARN),
    (4, "CPU3: Core temperature is above threshold, cpu clock is throttled (total events = 1)", "heat", LogLevel.WARN),
    (6, "CPU3: Core temperature/speed normal (total events = 1)", "heat", LogLevel.INFO),
    (0, "thermal thermal_zone0: x86_pkg_temp: critical temperature reached", "heat", LogLevel.ERROR),
    (6, "PM: hibernation: hibernation exit", "sleep", LogLevel.INFO),
    (3, "Out of memory: Killed process 4711 (firefox) total-vm:8123456kB, anon-rss:7kB", "memory", LogLevel.ERROR),
    (3, "I/O error, dev sda, sector 1234 op 0x1:(WRITE) flags 0x0 phys_seg 1", "disk", LogLevel.ERROR),
    (2, "EXT4-fs (sda2): Remounting filesystem read-only", "disk", LogLevel.ERROR),
    (0, "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [ffmpeg:4711]", "stuck", LogLevel.WARN),
    (6, "mce: [Hardware Error]: Machine check events logged", "hardware", LogLevel.ERROR),
    (3, "usb 1-2: words that no table has", "other", LogLevel.WARN),
]

NOTHING = [
    (6, "usb 1-2: New USB device found, idVendor=046d, idProduct=0825, bcdDevice= 0.10"),
    (3, "usb usb1: Not yet implemented"),  # drivers/usb/usbip/vhci_hcd.c, while sound streams over USB/IP
    (3, "I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0"),  # a scratched DVD
]


@pytest.mark.parametrize(("level", "text", "topic", "expected"), WORDS)
def test_the_kernels_words_are_understood(level: int, text: str, topic: str, expected: LogLevel) -> None:
    message = KernelMessage(level, 1.0, text)
    found = classify_message(message)
    assert found is not None
    assert (found.topic, found.level) == (topic, expected)
    if topic in {"heat", "sleep", "memory", "disk", "stuck", "hardware"}:
        assert found.subject == "pc"
    else:
        assert found.subject == ("controller" if message.controller else "port")
        assert message.controller or message.port
    assert found.advice or found.level is not LogLevel.ERROR


@pytest.mark.parametrize(("level", "text"), NOTHING)
def test_what_concerns_no_device_is_left_alone(level: int, text: str) -> None:
    assert classify_message(KernelMessage(level, 1.0, text)) is None


# Lines of the health log


CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
STICK = Device(id="534d:2109@1-4.1", kind=DeviceKind.CAPTURE_CARD, name="Stick", port="1-4.1", node="/dev/video2")
STICK_SOUND = Device(
    id="534d:2109@1-4.1+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", port="1-4.1", alsa="hw:CARD=S,DEV=0"
)
ELSEWHERE = Device(id="0bda:5411:B", kind=DeviceKind.MICROPHONE, name="Mic", port="3-1", alsa="hw:CARD=M,DEV=0")
BUILT_IN = Device(id="platform-vivid.0", kind=DeviceKind.CAMERA, name="vivid", node="/dev/video9")
ALL = [STICK_SOUND, CAMERA, STICK, ELSEWHERE, BUILT_IN]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def recorded(clock: SimulatedClock) -> Recorded:
    return Recorded(clock)


@pytest.fixture
def recorder(clock: SimulatedClock, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> KernelMessageWriter:
    buses = {"0000:00:14.0": {"1", "2"}, "0000:05:00.3": {"3"}}
    monkeypatch.setattr("devices.kernel.message_log.PER_MINUTE", 3)
    monkeypatch.setattr("devices.kernel.message_log.buses_of", lambda name: buses.get(name, set()))
    recorder = KernelMessageWriter(recorded, clock)
    recorder.observe(ALL)
    return recorder


def said(text: str, level: int = 3, device: str = "") -> KernelMessage:
    return KernelMessage(level, 12.5, text, device)


def test_a_message_is_a_line_of_the_device_at_its_port(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd", 6))
    (line,) = recorded.lines
    assert (line.device, line.name, line.kind, line.level) == (CAMERA.id, "Webcam", LogKind.KERNEL, LogLevel.WARN)
    assert line.reason == "usb 1-2: reset high-speed USB device number 5 using xhci_hcd"
    assert (line.detail["topic"], line.detail["kernel_s"], line.detail["port"]) == ("reset", 12.5, "1-2")
    assert "cable" in str(line.detail["advice"])


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("usb 1-4: reset high-speed USB device number 3 using xhci_hcd", {STICK.id}),  # the hub; once for the plug
        ("usb 1-4.1: cannot submit urb 0, error -32: stalled", {STICK_SOUND.id}),
        ("xhci_hcd 0000:00:14.0: HC died; cleaning up", {CAMERA.id, STICK.id}),
        ("usb usb1: root hub lost power or was reset", {CAMERA.id, STICK.id}),
        ("usb 1-20: reset low-speed USB device number 9 using xhci_hcd", set()),  # a keyboard
        ("usb usb1-port7: unable to enumerate USB device", {"1-7"}),  # the port keeps a device away
        ("Out of memory: Killed process 4711 (firefox) total-vm:1kB", {PC}),
    ],
)
def test_a_message_reaches_what_is_at_the_port_or_below(
    recorder: KernelMessageWriter, recorded: Recorded, text: str, devices: set[str]
) -> None:
    recorder.take(said(text))
    assert sorted(line.device for line in recorded.lines) == sorted(devices)


def test_one_that_just_left_has_lines(recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock) -> None:
    recorder.observe([STICK])
    clock.advance(30)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert [line.device for line in recorded.lines] == [CAMERA.id]
    recorder.observe([STICK, ELSEWHERE])
    clock.advance(40)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert recorded.lines[-1].device == "1-2"


def test_a_port_is_of_what_is_plugged_in_now(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    successor = Device(id="1e4e:7016:C", kind=DeviceKind.CAMERA, name="Other", port="1-2", node="/dev/video4")
    recorder.observe([successor])
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd"))
    assert [line.device for line in recorded.lines] == [successor.id]


def test_a_flood_is_few_lines_and_a_count(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    flood = said("uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", 4)
    for _ in range(1000):
        recorder.take(flood)
    recorder.take(said("usb usb1-port2: over-current condition"))
    recorder.take(said("usb 3-1: reset full-speed USB device number 2 using xhci_hcd"))
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 3 + [ELSEWHERE.id]
    assert recorder.flush() == pytest.approx(60.0)
    assert len(recorded.lines) == 4
    clock.advance(60)
    assert recorder.flush() is None
    count = recorded.lines[-1]
    assert (count.device, count.level, count.detail["left_out"]) == (CAMERA.id, LogLevel.ERROR, 998)
    assert count.reason.endswith("the last: usb usb1-port2: over-current condition")
    recorder.take(flood)
    assert len(recorded.lines) == 6


# Following the kernel and the journal


RESET = b"6,1,98765432,-;usb 1-2: reset high-speed USB device number 5 using xhci_hcd\n SUBSYSTEM=usb\n DEVICE=c189:4\n"


class Kernel:
    """Stands for /dev/kmsg: each read gives one record."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setblocking(False)
        self.source = KmsgSource(theirs.detach())

    def say(self, record: bytes) -> None:
        self._ours.send(record)

    def end(self) -> None:
        self._ours.close()


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    kernel = Kernel()
    monkeypatch.setattr(kernel_log, "open_source", lambda: kernel.source)
    yield kernel
    kernel.end()


def test_messages_are_recorded_as_they_come(kernel: Kernel, recorder: KernelMessageWriter, recorded: Recorded) -> None:
    log = KernelLogFollower(recorder, recorded)
    log.start()
    log.start()
    assert [thread.name for thread in threading.enumerate()].count("kernel-log") == 1
    kernel.say(RESET)
    kernel.say(b"12,2,98765433,-;a program's own words\n")
    wait_for(lambda: recorded.lines)
    for _ in range(4):
        kernel.say(RESET)
    wait_for(lambda: len(recorded.lines) == 3)
    log.stop()
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 4
    assert recorded.lines[-1].detail["left_out"] == 2


def test_what_was_overwritten_is_passed_over(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    real, overwritten = os.read, [True]

    def read(fd: int, size: int) -> bytes:
        if overwritten and fd == kernel.source.fileno():
            overwritten.clear()
            raise BrokenPipeError
        return real(fd, size)

    monkeypatch.setattr(os, "read", read)
    kernel.say(RESET)
    assert [message.port for message in kernel.source.messages()] == ["1-2"]
    assert not overwritten
    kernel.source.close()


def test_a_flood_does_not_keep_the_thread_from_ending(
    kernel: Kernel, recorder: KernelMessageWriter, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "read", lambda _fd, _size: RESET)
    kernel.say(RESET)
    assert len(list(kernel.source.messages())) < 10_000
    log = KernelLogFollower(recorder, recorded)
    log.start()
    wait_for(lambda: len(recorded.lines) == 3)
    log.stop()
    assert int(str(recorded.lines[-1].detail["left_out"])) > 0


def test_a_source_that_ends_is_one_line(kernel: Kernel, recorder: KernelMessageWriter, recorded: Recorded) -> None:
    log = KernelLogFollower(recorder, recorded)
    log.start()
    kernel.end()
    wait_for(lambda: recorded.lines)
    log.stop()
    (line,) = recorded.lines
    assert (line.device, line.kind, line.level) == (PC, LogKind.KERNEL, LogLevel.INFO)
    assert "not to be had any more" in line.reason


def test_the_journal_stands_in_or_a_line_says_so(
    recorder: KernelMessageWriter, recorded: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: Path = kernel_log.KMSG) -> KmsgSource:
        raise PermissionError

    monkeypatch.setattr(KmsgSource, "open", refuse)
    monkeypatch.setattr(kernel_log, "JOURNALS", (f"{tmp_path}/*/system.journal",))
    assert open_source() is None
    log = KernelLogFollower(recorder, recorded)
    log.start()
    log.stop()
    (line,) = recorded.lines
    assert (line.device, line.kind, line.level) == (PC, LogKind.KERNEL, LogLevel.INFO)
    assert "may not read the kernel's messages" in line.reason
    assert "usermod -aG systemd-journal" in str(line.detail["advice"])
    (tmp_path / "0123").mkdir()
    (tmp_path / "0123/system.journal").touch()
    monkeypatch.setattr(kernel_log, "FOLLOW_JOURNAL", ("sleep", "60"))
    source = open_source()
    assert isinstance(source, JournalSource)
    source.close()


def test_the_journal_is_read_whole_or_in_pieces(
    recorder: KernelMessageWriter, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import sys, time
line = '{"MESSAGE":"usb 1-2: device descriptor read/64, error -71","PRIORITY":"3","SYSLOG_FACILITY":"0"}'
for part in (line + "\\n" + line[:30], line[30:] + "\\n", "no entry\\n"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.1)
time.sleep(60)
"""
    source = JournalSource((sys.executable, "-c", program))
    monkeypatch.setattr(kernel_log, "open_source", lambda: source)
    log = KernelLogFollower(recorder, recorded)
    log.start()
    wait_for(lambda: len(recorded.lines) == 2)
    log.stop()
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 2
    assert not Path(f"/proc/{source.pid}").exists()
