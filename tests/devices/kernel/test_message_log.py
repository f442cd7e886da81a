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
from devices.host.clock import NANOSECONDS
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
    is_at_or_below,
    open_source,
)
from devices.model.device import Device, DeviceKind
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


def test_a_record_of_kmsg_is_read_with_its_subject() -> None:
    record = b"6,1234,98765432,-;usb 1-2: USB disconnect, device number 5\n SUBSYSTEM=usb\n DEVICE=c189:4\n"
    message = from_kmsg(record)
    assert message == KernelMessage(6, 98.765432, "usb 1-2: USB disconnect, device number 5", "c189:4")
    assert message.port == "1-2"


def test_what_a_program_wrote_into_kmsg_is_not_the_kernels() -> None:
    assert from_kmsg(b"11,7,98,-;usb 1-2: USB disconnect, device number 5\n") is None  # facility 1: a user's program
    message = from_kmsg(b"3,7,98,c,more;usb 1-2: said by the kernel\n")
    assert message is not None
    assert message.level == 3


@pytest.mark.parametrize("record", [b"", b"no header;text", b"6;text", b"x,y,z;text", b"\xff\xfe"])
def test_what_is_no_record_is_no_message(record: bytes) -> None:
    assert from_kmsg(record) is None


def test_what_is_not_plain_text_comes_on_one_line_as_it_was_meant() -> None:
    message = from_kmsg(rb"6,1,1,-;usb 1-2: Product: Kam\xc3\xa9ra\x0aroom \x5c2" + b"\n")
    assert message == KernelMessage(6, 1e-6, "usb 1-2: Product: Kaméra room \\2")


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


def test_a_text_of_the_journal_may_be_bytes() -> None:
    line = b'{"MESSAGE":[117,115,98,255,33],"PRIORITY":"6"}'
    assert from_journal(line) == KernelMessage(6, 0.0, "usb\ufffd!")
    for torn in (line[:20], b"{}", b"[]", b'{"MESSAGE":"x","PRIORITY":"high"}', b""):
        assert from_journal(torn) is None


@pytest.mark.parametrize(
    ("text", "device", "port", "controller"),
    [
        ("usb 1-2.3: device descriptor read/64, error -71", "c189:7", "1-2.3", None),
        ("uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", "+usb:1-2:1.1", "1-2", None),
        ("snd-usb-audio 3-1.4:1.2: cannot submit urb (err = -19)", "+usb:3-1.4:1.2", "3-1.4", None),
        ("usb 1-2-port3: unable to enumerate USB device", "+usb:1-2-port3", "1-2.3", None),
        ("usb usb2-port14: over-current condition", "+usb:usb2-port14", "2-14", None),
        ("usb usb1: root hub lost power or was reset", "c189:0", "1-0", None),
        ("hub 1-0:1.0: over-current condition exists", "+usb:1-0:1.0", "1-0", None),
        ("hub 1-4:1.0: USB hub found", "+usb:1-4:1.0", "1-4", None),
        ("something new", "+usb:1-4.2:1.0", "1-4.2", None),
        ("xhci_hcd 0000:00:14.0: HC died; cleaning up", "+pci:0000:00:14.0", None, "0000:00:14.0"),
        ("xhci-hcd xhci-hcd.1.auto: HC died; cleaning up", "+platform:xhci-hcd.1.auto", None, "xhci-hcd.1.auto"),
        ("e1000e 0000:00:19.0 eth0: NIC Link is Down", "n2", None, None),
        ("CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)", "", None, None),
        ("I/O error, dev sda, sector 1234 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0", "", None, None),
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


HUB, CORE = "drivers/usb/core/hub.c", "drivers/usb/core"
VIDEO, SOUND = "drivers/media/usb/uvc/uvc_video.c", "sound/usb"
XHCI, EHCI = "drivers/usb/host/xhci", "drivers/usb/host/ehci-hcd.c"
EXT4, OOM, BLOCK = "fs/ext4/super.c", "mm/oom_kill.c", "block/blk-mq.c"
NVME, ATA = "drivers/nvme/host/pci.c", "drivers/ata/libata-eh.c"

WORDS: list[tuple[str, int, str, str, LogLevel]] = [
    (HUB, 6, "usb 1-2: reset high-speed USB device number 5 using xhci_hcd", "reset", LogLevel.WARN),
    (HUB, 6, "usb 2-1: reset SuperSpeed Plus Gen 2x1 USB device number 3 using xhci_hcd", "reset", LogLevel.WARN),
    (HUB, 6, "usb 1-2: USB disconnect, device number 5", "disconnect", LogLevel.INFO),
    (HUB, 3, "usb 1-2: device descriptor read/64, error -71", "enumeration", LogLevel.WARN),
    (HUB, 3, "usb 1-2: device descriptor read/all, error -110", "enumeration", LogLevel.WARN),
    (HUB, 3, "usb 1-2: device not accepting address 79, error -71", "enumeration", LogLevel.WARN),
    (f"{XHCI}.c", 4, "usb 1-2: Device not responding to setup address.", "enumeration", LogLevel.WARN),
    (HUB, 3, "usb 1-2-port3: Cannot enable. Maybe the USB cable is bad?", "enumeration", LogLevel.WARN),
    (HUB, 6, "usb 1-2-port3: attempt power cycle", "enumeration", LogLevel.WARN),
    (HUB, 3, "usb 1-2-port3: unable to enumerate USB device", "enumeration", LogLevel.ERROR),
    (HUB, 3, "usb usb1-port3: unable to enumerate USB device", "enumeration", LogLevel.ERROR),
    (HUB, 3, "usb 1-2: can't read configurations, error -110", "enumeration", LogLevel.ERROR),
    (HUB, 3, "usb 1-2: can't set config #1, error -28", "enumeration", LogLevel.ERROR),
    (f"{CORE}/config.c", 3, "usb 1-2: unable to read config index 0 descriptor/all", "enumeration", LogLevel.WARN),
    (HUB, 6, "usb 1-2: device firmware changed", "enumeration", LogLevel.WARN),
    (HUB, 3, "usb usb1-port3: disabled by hub (EMI?), re-enabling...", "disturbance", LogLevel.WARN),
    (HUB, 3, "usb 1-2-port3: over-current condition", "over-current", LogLevel.ERROR),
    (HUB, 3, "hub 1-0:1.0: over-current condition exists", "over-current", LogLevel.ERROR),
    (HUB, 5, "usb usb1-port3: over-current change #2", "over-current", LogLevel.ERROR),
    (f"{CORE}/generic.c", 6, "usb 1-2: rejected 1 configuration due to insufficient available bus power", "power",
     LogLevel.WARN),
    (HUB, 4, "hub 1-2:1.0: insufficient power available to use all downstream ports", "power", LogLevel.WARN),
    (f"{XHCI}.c", 4, "usb 1-2.4: Not enough bandwidth for new device state.", "bandwidth", LogLevel.WARN),
    (f"{CORE}/message.c", 6, "usb 1-2.4: Not enough bandwidth for altsetting 11", "bandwidth", LogLevel.WARN),
    (VIDEO, 3, "uvcvideo 1-2:1.1: Failed to submit URB 0 (-28).", "bandwidth", LogLevel.WARN),
    (f"{SOUND}/endpoint.c", 3, "usb 1-2: 2:1: usb_set_interface failed (-28)", "bandwidth", LogLevel.WARN),
    (HUB, 6, "usb 1-2: not running at top speed; connect to a high speed hub", "slow-port", LogLevel.WARN),
    (VIDEO, 4, "uvcvideo 1-2:1.1: Non-zero status (-71) in video completion handler.", "picture", LogLevel.WARN),
    ("drivers/media/usb/uvc/uvc_status.c", 4, "usb 1-2: Non-zero status (-71) in status completion handler.",
     "picture", LogLevel.WARN),
    (VIDEO, 3, "uvcvideo 1-2:1.1: Failed to resubmit video URB (-1).", "picture", LogLevel.WARN),
    (VIDEO, 3, "usb 1-2: Failed to query (GET_CUR) UVC control 11 on unit 1: -110 (exp. 1).", "picture", LogLevel.WARN),
    (VIDEO, 3, "usb 1-2: Failed to set UVC probe control : -71 (exp. 26).", "picture", LogLevel.WARN),
    ("drivers/media/usb/uvc/uvc_driver.c", 3, "uvcvideo 1-2:1.0: Failed to initialize the device (-5).", "picture",
     LogLevel.ERROR),
    (f"{SOUND}/endpoint.c", 3, "usb 1-2: timeout: still 3 active urbs on EP #82", "sound", LogLevel.WARN),
    (f"{SOUND}/endpoint.c", 3, "usb 1-2: cannot submit urb 0, error -19: no device", "disconnect", LogLevel.INFO),
    (VIDEO, 3, "usb 1-2: Failed to query (GET_MIN) UVC control 2 on unit 2: -19 (exp. 2).", "disconnect",
     LogLevel.INFO),
    (f"{SOUND}/endpoint.c", 3, "usb 1-2: cannot submit urb 0, error -32: stalled", "sound", LogLevel.WARN),
    (f"{SOUND}/clock.c", 3, "usb 1-2: 3:1: cannot set freq 48000 to ep 0x82", "sound", LogLevel.WARN),
    (f"{SOUND}/clock.c", 3, "usb 1-2: 3:1: cannot get freq at ep 0x82", "sound", LogLevel.INFO),
    (f"{CORE}/hcd.c", 3, "xhci_hcd 0000:00:14.0: HC died; cleaning up", "controller", LogLevel.ERROR),
    (f"{XHCI}-ring.c", 3, "xhci_hcd 0000:00:14.0: xHCI host controller not responding, assume dead", "controller",
     LogLevel.ERROR),
    (f"{XHCI}-ring.c", 4, "xhci_hcd 0000:00:14.0: WARNING: Host System Error", "controller", LogLevel.ERROR),
    (f"{XHCI}-ring.c", 4, "xhci_hcd 0000:00:14.0: WARN: bandwidth overrun event for slot 3 ep 2 on endpoint",
     "controller", LogLevel.INFO),
    (EHCI, 3, "ehci-pci 0000:00:1d.0: fatal error", "controller", LogLevel.ERROR),
    (HUB, 6, "usb usb1: root hub lost power or was reset", "controller", LogLevel.WARN),
    ("drivers/thermal/intel/therm_throt.c", 4,
     "CPU3: Core temperature is above threshold, cpu clock is throttled (total events = 1)", "heat", LogLevel.WARN),
    ("drivers/thermal/intel/therm_throt.c of 5.4", 2,
     "CPU3: Package temperature above threshold, cpu clock throttled (total events = 1)", "heat", LogLevel.WARN),
    ("drivers/thermal/intel/therm_throt.c", 6, "CPU3: Core temperature/speed normal (total events = 1)", "heat",
     LogLevel.INFO),
    ("drivers/thermal/thermal_core.c", 0, "thermal thermal_zone0: x86_pkg_temp: critical temperature reached", "heat",
     LogLevel.ERROR),
    ("kernel/power/suspend.c", 6, "PM: suspend entry (deep)", "sleep", LogLevel.INFO),
    ("kernel/power/suspend.c", 6, "PM: suspend exit", "sleep", LogLevel.INFO),
    ("kernel/power/hibernate.c", 6, "PM: hibernation: hibernation exit", "sleep", LogLevel.INFO),
    (OOM, 3, "Out of memory: Killed process 4711 (firefox) total-vm:8123456kB, anon-rss:7kB", "memory", LogLevel.ERROR),
    (OOM, 3, "Out of memory (oom_kill_allocating_task): Killed process 4711 (firefox) total-vm:8kB", "memory",
     LogLevel.ERROR),
    (BLOCK, 3, "I/O error, dev sda, sector 1234 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 0", "disk",
     LogLevel.ERROR),
    (BLOCK, 3, "critical medium error, dev sda, sector 1234 op 0x0:(READ) flags 0x0", "disk", LogLevel.ERROR),
    (BLOCK, 3, "device offline error, dev sdb, sector 1234 op 0x1:(WRITE) flags 0x0", "disk", LogLevel.ERROR),
    ("fs/buffer.c", 3, "Buffer I/O error on dev sdb1, logical block 0, lost async page write", "disk", LogLevel.ERROR),
    (EXT4, 2, "EXT4-fs error (device sda2): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
     "disk", LogLevel.ERROR),
    (EXT4, 2, "EXT4-fs error (device sda2) in ext4_reserve_inode_write:5811: Out of memory", "disk", LogLevel.ERROR),
    (EXT4, 2, "EXT4-fs (sda2): Remounting filesystem read-only", "disk", LogLevel.ERROR),
    ("fs/jbd2/journal.c", 3, "Aborting journal on device sda2-8.", "disk", LogLevel.ERROR),
    ("fs/jbd2/journal.c", 3, "JBD2: I/O error when updating journal superblock for sda2-8.", "disk", LogLevel.ERROR),
    ("fs/jbd2/commit.c", 4, "JBD2: Detected IO errors while flushing file data on sda2-8", "disk", LogLevel.ERROR),
    ("fs/btrfs/messages.c", 2, "BTRFS: error (device sda2: state A) in btrfs_sync_log:3174: errno=-5 IO failure",
     "disk", LogLevel.ERROR),
    ("fs/btrfs/messages.c", 3, "BTRFS error (device sda2: state EA): bdev /dev/sda2 errs: wr 1, rd 0, flush 0",
     "disk", LogLevel.ERROR),
    ("fs/xfs/xfs_fsops.c", 1, "XFS (sda2): Log I/O Error (0x2) detected at xlog_ioend_work (fs/xfs/xfs_log.c:1378).",
     "disk", LogLevel.ERROR),
    ("fs/xfs/xfs_error.c", 1, "XFS (sda2): Corruption detected. Unmount and run xfs_repair", "disk", LogLevel.ERROR),
    (NVME, 4, "nvme nvme0: I/O tag 5 (1005) opcode 0x2 (Read) QID 1 timeout, reset controller", "disk", LogLevel.ERROR),
    (NVME, 4, "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10", "disk", LogLevel.ERROR),
    (NVME, 4, "nvme nvme0: Disabling device after reset failure: -19", "disk", LogLevel.ERROR),
    ("drivers/nvme/host/core.c", 3, "nvme nvme0: Device not ready; aborting reset, CSTS=0x1", "disk", LogLevel.ERROR),
    (ATA, 3, "ata1.00: exception Emask 0x10 SAct 0x0 SErr 0x4050000 action 0xe frozen", "disk", LogLevel.ERROR),
    (ATA, 3, "ata1.00: failed command: WRITE FPDMA QUEUED", "disk", LogLevel.ERROR),
    ("kernel/hung_task.c", 3, "INFO: task kworker/0:1:31 blocked for more than 120 seconds.", "stuck", LogLevel.WARN),
    ("kernel/watchdog.c", 0, "watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [ffmpeg:4711]", "stuck", LogLevel.WARN),
    ("kernel/watchdog.c", 0, "watchdog: Watchdog detected hard LOCKUP on cpu 3", "stuck", LogLevel.WARN),
    ("arch/x86/kernel/cpu/mce/core.c", 6, "mce: [Hardware Error]: Machine check events logged", "hardware",
     LogLevel.ERROR),
    ("drivers/usb/misc/unknown.c", 3, "usb 1-2: words that no table has", "other", LogLevel.WARN),
]  # fmt: skip

NOTHING = [
    (6, "usb 1-2: New USB device found, idVendor=046d, idProduct=0825, bcdDevice= 0.10"),
    (6, "usb 1-2: new high-speed USB device number 5 using xhci_hcd"),
    (6, "hub 1-4:1.0: USB hub found"),
    (3, "usb usb1: Not yet implemented"),  # drivers/usb/usbip/vhci_hcd.c, while sound streams over USB/IP
    (6, "vhci_hcd: unlink->seqnum 4711"),
    (4, "ACPI BIOS Warning (bug): 32/64X length mismatch"),
    (3, "I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0"),  # a scratched DVD
    (3, "Buffer I/O error on dev fd0, logical block 0, async page read"),  # no floppy
    (6, "nvme nvme0: Shutdown timeout set to 10 seconds"),
    (6, "PM: suspend devices took 0.512 seconds"),
    (6, "IPv6: ADDRCONF(NETDEV_CHANGE): wlan0: link becomes ready"),
    (4, "workqueue: blk_mq_run_work_fn hogged CPU for >10000us 4 times"),
]


@pytest.mark.parametrize(("source", "level", "text", "topic", "expected"), WORDS)
def test_the_kernels_words_are_understood(source: str, level: int, text: str, topic: str, expected: LogLevel) -> None:
    message = KernelMessage(level, 1.0, text)
    found = classify_message(message)
    assert found is not None, source
    assert (found.topic, found.level) == (topic, expected)
    if topic in {"heat", "sleep", "memory", "disk", "stuck", "hardware"}:
        assert found.subject == "pc"
    elif message.controller:
        assert found.subject == "controller"
    else:
        assert found.subject == "port"
        assert message.port
    if found.level is LogLevel.ERROR:
        assert found.advice


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


def pass_seconds(clock: SimulatedClock, seconds: float) -> None:
    clock.advance_to(clock.now_ns() + int(seconds * NANOSECONDS))


def test_a_message_is_a_line_of_the_device_at_its_port(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd", 6))
    (line,) = recorded.lines
    assert (line.device, line.name, line.kind, line.level) == (CAMERA.id, "Webcam", LogKind.KERNEL, LogLevel.WARN)
    assert line.reason == "usb 1-2: reset high-speed USB device number 5 using xhci_hcd"
    assert line.detail["topic"] == "reset"
    assert line.detail["kernel_s"] == 12.5
    assert line.detail["port"] == "1-2"
    assert "cable" in str(line.detail["advice"])


@pytest.mark.parametrize(
    ("text", "devices"),
    [
        (
            "usb 1-4: reset high-speed USB device number 3 using xhci_hcd",
            [STICK],
        ),  # the hub it is in; once for the plug
        ("usb 1-4-port1: over-current condition", [STICK]),
        ("usb 1-4.1: cannot submit urb 0, error -32: stalled", [STICK_SOUND]),
        ("xhci_hcd 0000:00:14.0: HC died; cleaning up", [CAMERA, STICK]),
        ("xhci_hcd 0000:05:00.3: HC died; cleaning up", [ELSEWHERE]),
        ("xhci_hcd 0000:09:00.0: HC died; cleaning up", []),
        ("usb usb1: root hub lost power or was reset", [CAMERA, STICK]),
        ("usb 1-20: reset low-speed USB device number 9 using xhci_hcd", []),  # a keyboard
        ("usb 1-20: words that no table has", []),
    ],
)
def test_a_message_reaches_what_is_at_the_port_or_below(
    recorder: KernelMessageWriter, recorded: Recorded, text: str, devices: list[Device]
) -> None:
    recorder.take(said(text))
    assert sorted(line.device for line in recorded.lines) == sorted(device.id for device in devices)


def test_a_port_that_keeps_a_device_away_has_lines_of_its_own(
    recorder: KernelMessageWriter, recorded: Recorded
) -> None:
    recorder.take(said("usb usb1-port7: unable to enumerate USB device"))
    assert [(line.device, line.level) for line in recorded.lines] == [("1-7", LogLevel.ERROR)]


def test_what_is_said_of_a_device_that_just_left_is_still_its_own(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    recorder.observe([STICK])
    pass_seconds(clock, 30)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert [line.device for line in recorded.lines] == [CAMERA.id]
    recorder.observe([STICK, ELSEWHERE])
    pass_seconds(clock, 40)
    recorder.take(said("usb 1-2: device descriptor read/64, error -71"))
    assert recorded.lines[-1].device == "1-2"


def test_a_port_is_of_what_is_plugged_in_now(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    successor = Device(id="1e4e:7016:C", kind=DeviceKind.CAMERA, name="Other", port="1-2", node="/dev/video4")
    recorder.observe([successor])
    recorder.take(said("usb 1-2: reset high-speed USB device number 5 using xhci_hcd"))
    assert [line.device for line in recorded.lines] == [successor.id]


def test_the_pcs_troubles_are_lines_of_the_pc(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    recorder.take(said("Out of memory: Killed process 4711 (firefox) total-vm:1kB"))
    assert [(line.device, line.level) for line in recorded.lines] == [(PC, LogLevel.ERROR)]


def test_a_flood_is_a_few_lines_and_then_a_count(
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
    pass_seconds(clock, 60)
    assert recorder.flush() is None
    count = recorded.lines[-1]
    assert (count.device, count.level, count.detail["left_out"]) == (CAMERA.id, LogLevel.ERROR, 998)
    assert count.reason.endswith("the last: usb usb1-port2: over-current condition")
    recorder.take(flood)
    assert len(recorded.lines) == 6


def test_what_was_only_counted_is_told_at_the_end_and_by_the_next_message(
    recorder: KernelMessageWriter, recorded: Recorded, clock: SimulatedClock
) -> None:
    flood = said("usb 1-2: device descriptor read/64, error -71")
    for _ in range(5):
        recorder.take(flood)
    pass_seconds(clock, 61)
    recorder.take(flood)
    assert [line.detail.get("left_out") for line in recorded.lines] == [None, None, None, 2, None]
    for _ in range(3):
        recorder.take(flood)
    recorder.finish()
    assert recorded.lines[-1].detail["left_out"] == 1


def test_a_port_is_below_its_hub_and_its_root() -> None:
    assert is_at_or_below("1-2.3", "1-2")
    assert is_at_or_below("1-2.3", "1-2.3")
    assert is_at_or_below("1-2.3", "1-0")
    assert not is_at_or_below("1-23", "1-2")
    assert not is_at_or_below("11-2", "1-0")
    assert not is_at_or_below("1-2", "1-2.3")
    assert not is_at_or_below("", "1-2")


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
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.end()


def test_each_message_is_recorded_as_it_comes(
    kernel: Kernel, recorder: KernelMessageWriter, recorded: Recorded
) -> None:
    log = KernelLogFollower(recorder, recorded, opens=lambda: kernel.source)
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


def test_what_was_overwritten_before_it_was_read_is_passed_over(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert len(list(kernel.source.messages())) == kernel_log._RECORDS_PER_TURN
    log = KernelLogFollower(recorder, recorded, opens=lambda: kernel.source)
    log.start()
    wait_for(lambda: len(recorded.lines) == 3)
    log.stop()
    assert int(str(recorded.lines[-1].detail["left_out"])) > 0


def test_a_source_that_ends_is_one_line_and_costs_nothing_more(
    kernel: Kernel, recorder: KernelMessageWriter, recorded: Recorded
) -> None:
    log = KernelLogFollower(recorder, recorded, opens=lambda: kernel.source)
    log.start()
    kernel.end()
    wait_for(lambda: recorded.lines)
    log.stop()
    (line,) = recorded.lines
    assert (line.device, line.kind, line.level) == (PC, LogKind.KERNEL, LogLevel.INFO)
    assert "not to be had any more" in line.reason


def test_where_the_kernel_may_not_be_read_one_line_says_what_to_do(
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


def test_the_journal_stands_in_where_it_may_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: Path = kernel_log.KMSG) -> KmsgSource:
        raise PermissionError

    (tmp_path / "0123").mkdir()
    (tmp_path / "0123/system.journal").touch()
    monkeypatch.setattr(KmsgSource, "open", refuse)
    monkeypatch.setattr(kernel_log, "JOURNALS", (f"{tmp_path}/*/system.journal",))
    monkeypatch.setattr(kernel_log, "FOLLOW_JOURNAL", ("sleep", "60"))
    source = open_source()
    assert isinstance(source, JournalSource)
    source.close()


def test_the_journals_lines_are_read_as_they_come_whole_or_in_pieces(
    recorder: KernelMessageWriter, recorded: Recorded
) -> None:
    program = """
import sys, time
line = '{"MESSAGE":"usb 1-2: device descriptor read/64, error -71","PRIORITY":"3","SYSLOG_FACILITY":"0"}'
for part in (line + "\\n" + line[:30], line[30:] + "\\n", "no entry\\n"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.1)
time.sleep(60)
"""
    source = JournalSource((sys.executable, "-c", program))
    log = KernelLogFollower(recorder, recorded, opens=lambda: source)
    log.start()
    wait_for(lambda: len(recorded.lines) == 2)
    log.stop()
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 2
    assert not Path(f"/proc/{source.pid}").exists()


def test_a_journalctl_that_ends_is_one_line(recorder: KernelMessageWriter, recorded: Recorded) -> None:
    log = KernelLogFollower(recorder, recorded, opens=lambda: JournalSource(("true",)))
    log.start()
    wait_for(lambda: recorded.lines)
    log.stop()
    assert len(recorded.lines) == 1
