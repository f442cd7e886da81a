"""The kernel's messages are followed as they come, whatever becomes of where they come from."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.health.log_line import PC, LogKind, LogLevel
from devices.host.clock import SystemClock
from devices.kernel import message_log as kernel_log
from devices.kernel.message_log import JournalSource, KernelLogFollower, KernelMessageWriter, KmsgSource, open_source
from devices.model.device import Device, DeviceKind
from tests.support.health import Recorded
from tests.support.waiting import wait_for

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
RESET = b"6,1,98765432,-;usb 1-2: reset high-speed USB device number 5 using xhci_hcd\n SUBSYSTEM=usb\n DEVICE=c189:4\n"


@pytest.fixture
def recorded() -> Recorded:
    return Recorded(SystemClock())


@pytest.fixture
def recorder(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> KernelMessageWriter:
    monkeypatch.setattr("devices.kernel.message_log.PER_MINUTE", 2)
    recorder = KernelMessageWriter(recorded, SystemClock())
    recorder.observe([CAMERA])
    return recorder


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
    for _ in range(3):
        kernel.say(RESET)
    wait_for(lambda: len(recorded.lines) == 2)
    log.stop()
    assert [line.device for line in recorded.lines] == [CAMERA.id] * 3
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
    wait_for(lambda: len(recorded.lines) == 2)
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
