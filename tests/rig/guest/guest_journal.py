"""The real journald gets the lines of the health log, and gives them back with their fields."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices.health.log_line import LogKind, LogLevel
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import SOCKET, HealthLog
from devices.host.clock import SystemClock
from tests.support.waiting import wait_for

JOURNALD = "/usr/lib/systemd/systemd-journald"
CAMERA = "046d:0825:CAM0001"


@pytest.fixture
def journald() -> Iterator["subprocess.Popen[bytes]"]:
    """Run journald by hand, as nothing else does in this machine; it needs a cgroup to look up."""
    cgroup = Path("/sys/fs/cgroup")
    if not (cgroup / "cgroup.procs").exists():
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", cgroup], check=True)
    machine_id = Path("/etc/machine-id")
    if not machine_id.exists() or not machine_id.read_text().strip().isalnum():
        machine_id.write_text("0123456789abcdef0123456789abcdef\n")
    for folder in ("/run/systemd/journal", "/run/log/journal"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    with subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL) as process:
        wait_for(SOCKET.exists, what="journald's socket")
        yield process
        process.terminate()


def entries() -> list[dict[str, Any]]:
    """Return what journald has of Liput."""
    subprocess.run(["journalctl", "--sync"], check=True, timeout=60)
    done = subprocess.run(
        ["journalctl", "--output=json", "--no-pager", "--quiet", "SYSLOG_IDENTIFIER=liput"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_journald_has_the_lines_with_their_fields_and_does_without_samples(
    journald: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    with HealthLog(tmp_path, clock=SystemClock()) as health_log:
        health_log(CAMERA, LogKind.DEGRADED, "two\nPRIORITY=0", name="Webcam", level=LogLevel.ERROR, fault="no-data")
        health_log(CAMERA, LogKind.SAMPLE, level=LogLevel.DEBUG, fps=30.0)
        health_log(CAMERA, LogKind.KERNEL, "é" * 100_000, level=LogLevel.WARN)
        assert health_log.flush(30)
        degraded, kernel = entries()
        fields = ("MESSAGE", "PRIORITY", "LIPUT_DEVICE", "LIPUT_KIND", "LIPUT_FAULT", "_TRANSPORT")
        assert [degraded[name] for name in fields] == [
            "Webcam: degraded: two\nPRIORITY=0", "3", CAMERA, "degraded", "no-data", "journal",
        ]  # fmt: skip
        assert (kernel["PRIORITY"], kernel["MESSAGE"][-3:], "LIPUT_FAULT" in kernel) == ("4", "ééé", False)
        # A journald that has gone costs its entries; one that comes back gets those from then on.
        journald.terminate()
        journald.wait(30)
        health_log(CAMERA, LogKind.PLUGGED, "unheard")
        assert health_log.flush(30)
        SOCKET.unlink(missing_ok=True)
        with subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL) as again:
            wait_for(SOCKET.exists, what="journald's socket")
            health_log(CAMERA, LogKind.UNPLUGGED, "heard")
            assert health_log.flush(30)
            assert [entry["LIPUT_KIND"] for entry in entries()] == ["degraded", "kernel", "unplugged"]
            again.terminate()
    assert [line.kind for line in read(tmp_path, LogFilter())] == [
        "degraded",
        "sample",
        "kernel",
        "plugged",
        "unplugged",
    ]
