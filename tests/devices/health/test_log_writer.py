"""The health log keeps what it is told, whatever the disk, the clock and other processes do; and holds nobody up."""

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from config.settings.schema import HealthLogSettings
from devices.health import log_writer
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import (
    LONGEST_LINE,
    HealthLog,
    JournaldClient,
    LogAppender,
    datagram,
    day_and_number,
    log_files,
)
from devices.host.clock import SystemClock
from tests.support.command import run_python
from tests.support.waiting import wait_for

CAMERA = "046d:0825:A1"


class SetClock(SystemClock):
    def __init__(self, now: datetime = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "health"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


class PatientLog(HealthLog):
    def flush(self, timeout_s: float = 60.0) -> bool:
        return super().flush(timeout_s)


@pytest.fixture
def health_log(folder: Path, clock: SetClock) -> Iterator[HealthLog]:
    with PatientLog(folder, clock=clock, journal=None) as it:
        yield it


def names(folder: Path) -> list[str]:
    return [file.name for file in log_files(folder)]


def kept(folder: Path) -> list[HealthLine]:
    return list(read(folder, LogFilter()))


def reasons(folder: Path) -> list[str]:
    return [line.reason for line in kept(folder)]


def test_a_line_is_json_in_a_private_file_of_its_day(health_log: HealthLog, folder: Path, clock: SetClock) -> None:
    health_log(CAMERA, LogKind.UNPLUGGED, "gone", name="Webcam", level=LogLevel.WARN, port="1-2")
    assert health_log.flush()
    assert (folder / "2026-11-25.jsonl").read_text() == (
        f'{{"type":"health","at":"2026-11-25T09:00:00Z","device":"{CAMERA}","name":"Webcam","level":"warn",'
        '"kind":"unplugged","reason":"gone","detail":{"port":"1-2"}}\n'
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "2026-11-25.jsonl").stat().st_mode) == 0o600


def test_the_day_is_the_local_one(health_log: HealthLog, folder: Path, clock: SetClock) -> None:
    clock.time = datetime.fromisoformat("2026-11-26T00:30:00+07:00")
    health_log(CAMERA, LogKind.PLUGGED)
    clock.time += timedelta(days=1)
    health_log(CAMERA, LogKind.PLUGGED)
    assert health_log.flush()
    assert names(folder) == ["2026-11-26.jsonl", "2026-11-27.jsonl"]


def test_lines_that_end_with_their_process_carry_its_number(health_log: HealthLog, folder: Path) -> None:
    health_log(CAMERA, LogKind.OPENED)
    health_log(CAMERA, LogKind.DEGRADED, fault="slow")
    health_log(CAMERA, LogKind.OPENED, pid=7)
    health_log(CAMERA, LogKind.PLUGGED)
    assert health_log.flush()
    assert [line.detail.get("pid") for line in kept(folder)] == [os.getpid(), os.getpid(), 7, None]


def test_what_json_cannot_hold_is_replaced_and_the_line_is_kept(health_log: HealthLog, folder: Path) -> None:
    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    loop: list[object] = []
    loop.append(loop)
    health_log(
        "dev\udcff", LogKind.PLUGGED, "bad \udc80", name="n\udcff", path=Path("/dev/video0"), fps=np.float32(29.5)
    )
    health_log(CAMERA, LogKind.PLUGGED, "odd", thing=Odd(), nothing=float("nan"))
    health_log(CAMERA, LogKind.PLUGGED, "loop", loop=loop)
    health_log(CAMERA, LogKind.PLUGGED, "long" * LONGEST_LINE, text="x" * LONGEST_LINE)
    assert health_log.flush()
    bad, odd, looped, long = kept(folder)
    assert (bad.device, bad.name, bad.reason) == ("dev\ufffd", "n\ufffd", "bad \ufffd")
    assert bad.detail == {"path": "/dev/video0", "fps": 29.5}
    assert (odd.reason, odd.detail, looped.reason, looped.detail) == ("odd", {}, "loop", {})
    assert long.reason.startswith("longlong")
    assert list(long.detail) == ["left_out_bytes"]
    assert all(len(line) < LONGEST_LINE for line in (folder / "2026-11-25.jsonl").read_bytes().splitlines())


def test_nobody_waits_for_a_disk_that_hangs(
    health_log: HealthLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    append = LogAppender.append

    def hanging(self: LogAppender, at: datetime, line: bytes) -> None:
        assert answers.wait(60)
        append(self, at, line)

    monkeypatch.setattr(LogAppender, "append", hanging)
    monkeypatch.setattr(log_writer, "QUEUE_LINES", 100)
    for number in range(150):
        health_log(CAMERA, LogKind.SAMPLE, str(number))  # would never come back if it waited
    assert not health_log.flush(0.01)
    answers.set()
    assert health_log.flush(60)
    lines = kept(folder)
    told = [line for line in lines if line.kind == log_writer.DROPPED_LINES]
    assert sum(int(str(line.detail["lines"])) for line in told) == 50
    assert [line.reason for line in lines if line.kind == LogKind.SAMPLE] == [str(n) for n in range(100)]
    assert told[0].level is LogLevel.WARN


def test_closing_waits_for_no_disk_that_hangs(folder: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(LogAppender, "append", lambda *_: answers.wait(60))
    health_log = HealthLog(folder, clock=clock, journal=None)
    health_log(CAMERA, LogKind.PLUGGED)
    began = time.monotonic()
    health_log.close(0.1)
    assert time.monotonic() - began < 30
    health_log(CAMERA, LogKind.PLUGGED)  # nothing happens
    answers.set()


FILLING = """
import resource, signal, sys
from pathlib import Path
from devices.host.clock import SystemClock
from devices.health import log_writer
from devices.health.log_line import LogKind, LogLevel
log_writer.RETRY_S = 0.05
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
with log_writer.HealthLog(Path(sys.argv[1]), clock=SystemClock(), journal=None) as health_log:
    for number in range(100):
        health_log("camera", LogKind.PLUGGED, str(number), level=LogLevel.WARN)
    assert not health_log.flush(0.5)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert health_log.flush(20)
"""


def test_a_disk_that_takes_half_a_line_loses_none(tmp_path: Path) -> None:
    done = run_python(tmp_path, FILLING, str(tmp_path / "log"))
    assert (done.returncode, done.stderr) == (0, "")
    assert reasons(tmp_path / "log") == [str(number) for number in range(100)]
    (file,) = log_files(tmp_path / "log")
    assert len(file.read_bytes().splitlines()) == 101, "the half line that the disk took stands there, cut off"


@pytest.mark.parametrize(
    ("back_s", "expected"), [(1.5, ["2026-11-25.jsonl"]), (3, ["2026-11-25.jsonl", "2026-11-25.2.jsonl"])]
)
def test_a_clock_that_was_set_back_begins_a_file(
    health_log: HealthLog, folder: Path, clock: SetClock, back_s: float, expected: list[str]
) -> None:
    health_log(CAMERA, LogKind.PLUGGED, "first")
    clock.time -= timedelta(seconds=back_s)
    health_log(CAMERA, LogKind.PLUGGED, "second")
    clock.time += timedelta(seconds=0.5)
    health_log(CAMERA, LogKind.PLUGGED, "third")
    assert health_log.flush()
    assert names(folder) == expected
    if len(expected) == 2:
        assert reasons(folder) == ["second", "third", "first"], "by time"


def test_the_time_of_another_process_counts_too(health_log: HealthLog, folder: Path, clock: SetClock) -> None:
    health_log(CAMERA, LogKind.PLUGGED, "before")
    assert health_log.flush()
    with HealthLog(folder, clock=SetClock(clock.time + timedelta(hours=1)), journal=None) as other:
        other(CAMERA, LogKind.PLUGGED, "from later")
    health_log(CAMERA, LogKind.PLUGGED, "now")
    assert health_log.flush()
    assert names(folder) == ["2026-11-25.jsonl", "2026-11-25.2.jsonl"]


# How much is kept


def appended(folder: Path, days: list[int], *, keep_days: int = 90, max_size: int = 200_000_000) -> list[str]:
    """Write a line on each day after 2026-01-01; return the files there are then."""
    appender = LogAppender(folder, HealthLogSettings(keep_days=keep_days, max_size=max_size))
    for day in days:
        at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)
        appender.append(at, b'{"type":"health","at":"%s"}\n' % at.isoformat().encode())
    appender.close()
    return names(folder)


def test_a_file_goes_when_it_is_older_than_keep_days(folder: Path) -> None:
    (folder.parent / "health").mkdir(parents=True)
    (folder / "not ours.jsonl").touch()
    assert appended(folder, [0, 1, 2, 3, 4], keep_days=2) == [f"2026-01-0{day}.jsonl" for day in (4, 5)]
    assert (folder / "not ours.jsonl").exists()


def test_a_wrong_clock_does_not_throw_the_whole_log_away(folder: Path) -> None:
    expected = ["2026-01-01.jsonl", "2026-01-02.jsonl", "2035-12-30.jsonl"]
    assert appended(folder, [0, 1, 3650], keep_days=90) == expected


def test_the_log_stays_below_its_size_and_loses_the_oldest(folder: Path) -> None:
    appender = LogAppender(folder, HealthLogSettings(max_size=1_000_000))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(800):  # 1.6 MB
        at += timedelta(seconds=1)
        line = b'{"type":"health","at":"%s","device":"%d"}' % (at.isoformat().encode(), number)
        appender.append(at, line.ljust(1999) + b"\n")
        assert sum(file.stat().st_size for file in log_files(folder)) <= 1_000_000
    found = log_files(folder)
    assert all(file.stat().st_size <= 100_000 for file in found)
    numbers = [place[1] for file in found if (place := day_and_number(file.name))]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(found) >= 9
    assert b'"799"' in found[-1].read_bytes()
    appender.close()


def test_the_newest_file_stays_however_small_the_log_may_be(folder: Path) -> None:
    assert appended(folder, [0, 1, 2], max_size=1) == ["2026-01-03.jsonl"]


def test_trouble_is_synced_at_once_the_rest_later(
    health_log: HealthLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fdatasync = os.fdatasync

    def noting(fd: int) -> None:
        synced.append(os.fstat(fd).st_size)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", noting)
    monkeypatch.setattr(log_writer, "SYNC_S", 3600.0)
    for number in range(20):
        health_log(CAMERA, LogKind.PLUGGED, str(number))
    wait_for(lambda: len(kept(folder)) == 20)
    assert synced == []
    health_log(CAMERA, LogKind.DEGRADED, "trouble", level=LogLevel.ERROR)
    wait_for(lambda: synced)
    assert synced == [(folder / "2026-11-25.jsonl").stat().st_size]
    monkeypatch.setattr(log_writer, "SYNC_S", 0.05)
    health_log(CAMERA, LogKind.PLUGGED, "later")
    wait_for(lambda: synced[-1] == (folder / "2026-11-25.jsonl").stat().st_size > synced[0])


# journald: read here by a strict reader of its protocol, in tests/rig/guest by journald itself


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


def test_a_journald_that_hangs_or_is_not_there_holds_nobody_up(server: socket.socket, tmp_path: Path) -> None:
    journal = JournaldClient(tmp_path / "socket")
    assert not journal.send(msgspec.structs.replace(LINE, level=LogLevel.DEBUG)), "samples are not sent"
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


def test_journald_gets_what_no_disk_takes(
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
    assert reasons(folder) == ["one", "two"]


def test_two_that_write_at_once_lose_and_mix_up_nothing(folder: Path, clock: SetClock) -> None:
    with HealthLog(folder, clock=clock, journal=None) as one, HealthLog(folder, clock=clock, journal=None) as other:
        for number in range(500):
            for name, log in (("one", one), ("other", other)):
                log(name, LogKind.SAMPLE, "x" * (number % 300), number=number)
        assert one.flush(30)
        assert other.flush(30)
    for name in ("one", "other"):
        found = read(folder, LogFilter(devices=[name]))
        assert [line.detail["number"] for line in found] == list(range(500))
    (file,) = log_files(folder)
    assert len(file.read_bytes().split()) == 1000, "no line is torn"
