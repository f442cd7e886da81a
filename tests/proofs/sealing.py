"""What it takes to seal a recording of four hours: time, processor, memory; and whether people see how long."""

import argparse
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.features.report.material import SHEET_FILE
from recorder.features.report.page import HTML_FILE, PDF_FILE
from recorder.package.metadata import DerivedRecord
from recorder.package.work_folder import DERIVED_FILE
from tests.support import archives, command
from tests.support.command import Used, measured, used

CLIP_S = 10
MOST_S_PER_GB = 20.0
MOST_MEMORY_BYTES = 400_000_000


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Seal `--minutes` of media, four hours unless told otherwise."""
    return run((arguments.minutes or 240) * 60, "5500k")


def run(seconds: float, bit_rate: str, size: str = "1920x1080") -> Mapping[str, object]:
    with tempfile.TemporaryDirectory(prefix="liput-sealing-", dir=os.environ.get("LIPUT_PROOF_DISK")) as folder:
        return _run(Path(folder), seconds, bit_rate, size)


def _run(folder: Path, seconds: float, bit_rate: str, size: str) -> Mapping[str, object]:
    needed = seconds * 8_000_000 / 8 + 2_000_000_000
    free = shutil.disk_usage(folder).free
    assert free > needed, f"{needed / 1e9:.0f} GB are needed in {folder}, {free / 1e9:.0f} GB are free"
    archive = Archive(folder / "arsip", SystemClock(), 1)
    work = archive.begin("Empat Jam", datetime.now().astimezone(), archives.DERIVED)
    _make_long(folder, work.program, seconds, bit_rate, size)
    media_bytes = work.program.stat().st_size
    work.release()
    shown, took_s, usage = _sealed_at_a_terminal(folder, archive.root)
    assert usage.status == 0, shown
    (package,) = archive.list()
    left = re.findall(r"\d:\d\d:\d\d", shown)
    began = time.monotonic()
    problems: list[object] = list(archive.verify(package))
    verify_s = time.monotonic() - began
    problems += msgspec.json.decode((package.folder / DERIVED_FILE).read_bytes(), type=DerivedRecord).problems
    problems += [name for name in (HTML_FILE, PDF_FILE, SHEET_FILE) if not (package.folder / name).exists()]
    assert package.recording
    return {
        "media_bytes": media_bytes,
        "media_s": package.duration_s,
        "frames": package.recording.frames,
        "sealing_s": round(took_s, 2),
        "cpu_s": round(usage.cpu_s, 2),
        "peak_memory_bytes": usage.peak_bytes,
        "bytes_a_second": round(media_bytes / took_s),
        "verify_s": round(verify_s, 2),
        "problems": [str(problem) for problem in problems],
        "times_left_shown": len(set(left)),
        "holds": problems == []
        and abs(package.duration_s - seconds) < 0.01 * seconds  # each repetition ends with a whole AAC frame
        and usage.peak_bytes < MOST_MEMORY_BYTES
        and took_s < MOST_S_PER_GB * max(1.0, media_bytes / 1e9)
        and (len(set(left)) > 1 or media_bytes < 2_000_000_000),  # sealed within a moment, no time left is shown
    }


def _make_long(folder: Path, program: Path, seconds: float, bit_rate: str, size: str) -> None:
    """Make a clip, and repeat it into `program`; nothing of it stays in memory: what is measured reads the disk."""
    clip = folder / "clip.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=s={size}:r=30:d={CLIP_S},noise=alls=20:allf=t", "-f", "lavfi", "-i",
        f"sine=440:r=48000:d={CLIP_S}", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", bit_rate, "-minrate",
        bit_rate, "-maxrate", bit_rate, "-bufsize", bit_rate, "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac",
        "-b:a", "128k", str(clip),
    )  # fmt: skip
    ffmpeg("-stream_loop", str(round(seconds / CLIP_S) - 1), "-i", str(clip), "-c", "copy", str(program))
    clip.unlink()
    with program.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def ffmpeg(*words: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words], check=True, stdin=subprocess.DEVNULL)


def _sealed_at_a_terminal(folder: Path, root: Path) -> tuple[str, float, Used]:
    """Run `liput archive seal` at a terminal; return what was on it, the seconds, and what it used."""
    began, told = time.monotonic(), folder / "used.json"
    terminal, its_side = pty.openpty()
    sealing = subprocess.Popen(
        measured([*command.LIPUT, "archive", "seal", "--all", "--archive", str(root)], told),
        env=command.environment(folder, {"TERM": "xterm", "COLUMNS": "120"}), cwd=folder,
        stdin=its_side, stdout=its_side, stderr=its_side,
    )  # fmt: skip
    os.close(its_side)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # what Linux says when the other side is closed
            break
    sealing.wait()
    took_s = time.monotonic() - began
    os.close(terminal)
    return shown.decode(errors="replace"), took_s, used(told)
