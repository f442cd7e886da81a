"""A health log with something of every kind in it, and `liput health` about it."""

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from tests.support import command

CAMERA, STICK = "046d:0825:CAM0001", "534d:2109@1-2"
NOW = datetime.now().astimezone()


def write(state: Path, *lines: HealthLine) -> None:
    (state / "health").mkdir(parents=True, exist_ok=True)
    for line in lines:
        with (state / "health" / f"{line.at:%Y-%m-%d}.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


def ago(
    span: timedelta,
    kind: str,
    reason: str = "",
    *,
    device: str = CAMERA,
    name: str = "Rig Webcam",
    level: LogLevel = LogLevel.INFO,
    **detail: object,
) -> HealthLine:
    return HealthLine(at=NOW - span, device=device, name=name, level=level, kind=kind, reason=reason, detail=detail)


HOUR = timedelta(hours=1)
LINES = (
    ago(100 * HOUR, LogKind.UNPLUGGED, "long ago", level=LogLevel.WARN),
    ago(5 * HOUR, LogKind.PLUGGED, "plugged into port 1-2", device=STICK, name="MS2109 HDMI capture stick"),
    ago(4 * HOUR, LogKind.SAMPLE, level=LogLevel.DEBUG, fps=29.97, rms_dbfs=[-20.0, -21.5]),
    ago(3 * HOUR, LogKind.DEGRADED, "it gives nothing", level=LogLevel.ERROR, fault="no-data", after_s=0.7),
    ago(2 * HOUR, LogKind.RECOVERED, "it gives nothing", fault="no-data", lasted_s=3600.0),
    ago(
        HOUR, LogKind.KERNEL, "usb 1-2: reset", device=STICK, name="", level=LogLevel.WARN, advice="Try another cable."
    ),
    ago(HOUR / 2, LogKind.WATCH_STARTED, device=PC, name=""),
)


def health(tmp_path: Path, env: dict[str, str], *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return command.liput(tmp_path, "health", *arguments, more=env)


def kinds(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [str(line["kind"]) for line in command.lines(done.stdout)]
