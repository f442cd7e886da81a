"""What Liput is measured against, and how: whole processes doing the same job, by the CPU time the kernel counts."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
"""What the `liput` command sets for itself; ffmpeg does not look at it."""


class JobFailed(Exception):
    """A job did not do what the other side does, so there is nothing to compare."""


@dataclass(frozen=True)
class Job:
    """A command, and where its two outputs are afterwards."""

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, str]
    """Patterns of the MP4 and the FLV in the job's folder."""


def ffmpeg_job(clip: Path, folder: Path) -> Job:
    """Return the ffmpeg command: decode, encode once, write MP4 and FLV."""
    mp4, flv = folder / "out.mp4", folder / "out.flv"
    rate = ("-b:v", "4500k", "-maxrate", "4500k", "-bufsize", "4500k")
    keyframes = ("-g", "60", "-force_key_frames", "expr:gte(t,n_forced*2)", "-forced-idr", "1")
    video = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", *rate, *keyframes)
    audio = ("-c:a", "aac", "-b:a", "128k")
    source = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(clip), "-map", "0:v", "-map", "0:a")
    sinks = ("-flags", "+global_header", "-f", "tee", f"[f=mp4]{mp4}|[f=flv]{flv}")
    return Job("ffmpeg", (*source, *video, *audio, *sinks), ("out.mp4", "out.flv"))


def liput_job(clip: Path, folder: Path) -> Job:
    """Return a session of Liput over the clip."""
    command = (sys.executable, "-m", "tests.bench.liput_job", str(clip), str(folder))
    return Job("liput", command, ("archive/**/*.mp4", "out.flv"))


def cpu_seconds(job: Job, folder: Path) -> float:
    """Run the job and return the user and system time of its process and of all that it waited for."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        complaint = (folder / "log").read_text(errors="replace")[-2000:]
        raise JobFailed(f"{job.name} ended with {process.returncode}: {complaint}")
    return usage.ru_utime + usage.ru_stime


def output(folder: Path, pattern: str) -> Path:
    """Return the one file that a pattern names."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise JobFailed(f"{len(found)} files {pattern} in {folder} where one was expected")
    return found[0]


def picture_count(path: Path) -> int:
    """Return how many pictures a file holds, as ffprobe counts them."""
    entries = ("-select_streams", "v:0", "-count_packets", "-show_entries", "stream=nb_read_packets")
    answer = subprocess.run(
        ("ffprobe", "-v", "error", *entries, "-of", "json", str(path)), check=True, capture_output=True
    )
    return int(json.loads(answer.stdout)["streams"][0]["nb_read_packets"])


def x264_options(path: Path) -> dict[str, str]:
    """Return the settings that x264 wrote into its stream."""
    with path.open("rb") as file:
        found = re.search(rb"x264 - core .*? - options: ([^\0]*)\0", file.read(), re.DOTALL)
    if not found:
        raise JobFailed(f"{path} was not made by x264")
    return dict(pair.split("=", 1) for pair in found[1].decode().split(" ") if "=" in pair)
