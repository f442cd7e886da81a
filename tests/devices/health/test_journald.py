"""What journald is sent: read here by a strict reader of its protocol, in tests/rig/guest by journald itself."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from devices.health import log_writer
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_writer import HealthLog, JournaldClient, LogAppender, datagram
from devices.host.clock import SystemClock
from tests.support.waiting import wait_for

LINE = HealthLine(
    at=datetime(2026, 11, 25, tzinfo=UTC),
    device="046d:0825:A1",
    name="Webcam",
    level=LogLevel.ERROR,
    kind=LogKind.DEGRADED,
    reason="no picture for 0.7 s",
    detail={"fault": "no-data"},
)
FIELDS = {
    "MESSAGE": "Webcam: degraded: no picture for 0.7 s",
    "PRIORITY": "3",
    "SYSLOG_IDENTIFIER": "liput",
    "LIPUT_DEVICE": "046d:0825:A1",
    "LIPUT_KIND": "degraded",
    "LIPUT_FAULT": "no-data",
}


def parsed(data: bytes) -> dict[str, str]:
    """Read an entry as systemd's journal-native protocol has it; anything that is not so raises."""
    fields = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if equals:
            data = rest
        else:
            size = int.from_bytes(rest[:8], "little")
            value, end, data = rest[8 : 8 + size], rest[8 + size : 9 + size], rest[9 + size :]
            assert (len(value), end) == (size, b"\n")
        assert name.decode("ascii").replace("_", "").isalnum()
        assert name.isupper()
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def server(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as it:
        it.bind(str(tmp_path / "socket"))
        it.settimeout(20)
        yield it


def test_a_line_is_an_entry_with_fields_to_search_by() -> None:
    assert parsed(datagram(LINE)) == FIELDS


@pytest.mark.parametrize(("level", "priority"), [(LogLevel.INFO, "6"), (LogLevel.WARN, "4"), (LogLevel.ERROR, "3")])
def test_the_level_is_the_priority(level: LogLevel, priority: str) -> None:
    assert parsed(datagram(msgspec.structs.replace(LINE, level=level)))["PRIORITY"] == priority


def test_a_text_of_several_lines_cannot_make_up_fields() -> None:
    line = msgspec.structs.replace(LINE, reason="one\nPRIORITY=0\ntwo", name="", detail={})
    fields = parsed(datagram(line))
    assert fields["MESSAGE"] == "046d:0825:A1: degraded: one\nPRIORITY=0\ntwo"
    assert fields["PRIORITY"] == "3"
    assert "LIPUT_FAULT" not in fields


def test_what_is_too_long_for_a_datagram_is_cut_between_characters(server: socket.socket, tmp_path: Path) -> None:
    journal = JournaldClient(tmp_path / "socket")
    assert journal.send(msgspec.structs.replace(LINE, name="", device="d", reason="é" * 1_000_000))
    message = parsed(server.recv(1_000_000))["MESSAGE"]
    assert len(message.encode()) in {log_writer.LONGEST_VALUE, log_writer.LONGEST_VALUE - 1}
    assert message.endswith("éé")
    journal.close()


def test_samples_are_not_sent(server: socket.socket, tmp_path: Path) -> None:
    journal = JournaldClient(tmp_path / "socket")
    assert not journal.send(msgspec.structs.replace(LINE, level=LogLevel.DEBUG))
    assert journal.send(LINE)
    assert parsed(server.recv(100_000)) == FIELDS
    journal.close()


def test_a_journald_that_hangs_or_is_not_there_holds_nobody_up(server: socket.socket, tmp_path: Path) -> None:
    journal = JournaldClient(tmp_path / "socket")
    while journal.send(LINE):  # until its queue is full
        pass
    server.close()
    assert not journal.send(LINE)
    (tmp_path / "socket").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as restarted:
        restarted.bind(str(tmp_path / "socket"))
        assert journal.send(LINE)
        assert parsed(restarted.recv(100_000)) == FIELDS
    journal.close()
    nobody = JournaldClient(tmp_path / "nobody")
    assert not nobody.send(LINE)
    nobody.close()


def test_what_the_disk_does_not_take_journald_gets(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "RETRY_S", 0.01)
    folder = tmp_path / "log"
    folder.write_text("a file where the folder should be")
    with HealthLog(folder, clock=SystemClock(), journal=tmp_path / "socket") as health_log:
        for reason in ("one", "two"):
            health_log(LINE.device, LogKind.PLUGGED, reason)
        received = [parsed(server.recv(100_000))["MESSAGE"] for _ in range(2)]
        assert received == [f"{LINE.device}: plugged: one", f"{LINE.device}: plugged: two"]
        assert not health_log.flush(0.01)
        folder.unlink()
        assert health_log.flush(20)


def test_the_log_tells_journald_once_however_often_the_disk_is_tried(
    server: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "RETRY_S", 0.01)
    tries = iter(range(3))
    append = LogAppender.append

    def failing(self: LogAppender, at: datetime, line: bytes) -> None:
        for _ in tries:
            raise OSError
        append(self, at, line)

    monkeypatch.setattr(LogAppender, "append", failing)
    with HealthLog(tmp_path / "log", clock=SystemClock(), journal=tmp_path / "socket") as health_log:
        health_log(LINE.device, LogKind.DEGRADED, LINE.reason, name="Webcam", level=LogLevel.ERROR, fault="no-data")
        assert parsed(server.recv(100_000)) == FIELDS
        assert health_log.flush(20)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):
        server.recv(100_000)


def test_a_line_that_comes_while_another_is_handed_over_is_handed_over_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    def send(_: JournaldClient, line: HealthLine) -> bool:
        sent.append(line.reason)
        if line.reason == "one":
            health_log(LINE.device, LogKind.PLUGGED, "two")
        return True

    monkeypatch.setattr(JournaldClient, "send", send)
    with HealthLog(tmp_path, clock=SystemClock()) as health_log:
        health_log(LINE.device, LogKind.PLUGGED, "one")
        assert wait_for(lambda: len(sent) == 2 and health_log.flush())
    assert sent == ["one", "two"]
