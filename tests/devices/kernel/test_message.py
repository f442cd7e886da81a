"""Messages of the kernel as /dev/kmsg and the journal give them; whom they are about."""

import json
from pathlib import Path

import pytest

from devices.kernel.message import KernelMessage, buses_of, from_journal, from_kmsg


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
