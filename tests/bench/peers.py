"""What Liput is measured against, and how: whole processes doing the same job, by what the kernel counts of them."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from capture.source import ColorMatrix
from recorder.encode.x264 import VideoSettings, x264_settings
from tests.bench.material import Clip

_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
    "OPENBLAS_NUM_THREADS": "1"
}
"""What the `liput` command sets for itself, and modules compiled once; the peers do not look at it."""
_LOOKS_EVERY_S = 0.05
KEYFRAME_S = 2


class JobFailed(Exception):
    """A job did not do what the other side does, so there is nothing to compare."""


@dataclass(frozen=True)
class Job:
    """A command, and where its outputs are afterwards."""

    name: str
    command: tuple[str, ...]
    outputs: tuple[str, ...] = ("out.mp4", "out.flv")
    """Patterns in the job's folder, the MP4 first."""


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of a job and of all that it waited for, and the most memory that its own process had resident, MB."""

    cpu_s: float
    peak_mb: float


def x264_words(clip: Clip) -> tuple[str, ...]:
    """Return what ffmpeg is told of the encoders: those settings that every peer has."""
    rate = ("-b:v", str(clip.bit_rate), "-maxrate", str(clip.bit_rate), "-bufsize", str(clip.bit_rate))
    every = round(KEYFRAME_S * clip.rate)
    keyframes = ("-g", str(every), "-force_key_frames", f"expr:gte(t,n_forced*{KEYFRAME_S})", "-forced-idr", "1")
    video = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high")
    return (*video, *rate, *keyframes, "-threads:v", str(threads(clip)), "-c:a", "aac", "-b:a", "128k")


def threads(clip: Clip) -> int:
    """Return how many threads x264 gets on all sides: what Liput gives it; on two cores that is x264's own choice."""
    asked = VideoSettings(clip.width, clip.height, Fraction(clip.rate), ColorMatrix.BT601, clip.bit_rate, clip.bit_rate)
    return x264_settings(asked).threads


FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-y")


def ffmpeg_job(clip: Clip, folder: Path) -> Job:
    """Return the ffmpeg command: decode, encode once, write MP4 and FLV."""
    source = ("-i", str(clip.path), "-map", "0:v", "-map", "0:a")
    return Job("ffmpeg", (*FFMPEG, *source, *x264_words(clip), *tee(folder)))


def tee(folder: Path) -> tuple[str, ...]:
    """Return how ffmpeg is told to write both files."""
    return ("-flags", "+global_header", "-f", "tee", f"[f=mp4]{folder}/out.mp4|[f=flv]{folder}/out.flv")


def gstreamer_job(clip: Clip, folder: Path) -> Job:
    """Return the same job as a GStreamer pipeline, a queue at every join; x264 is told what ffmpeg tells it."""
    # The muxers wait for both tracks; sound waits for as long as x264 looks ahead.
    patient = "queue max-size-time=4000000000 max-size-bytes=0 max-size-buffers=0"
    x264 = (
        f"x264enc bitrate={clip.bit_rate // 1000} vbv-buf-capacity=1000 speed-preset=veryfast "
        f"key-int-max={round(KEYFRAME_S * clip.rate)} threads={threads(clip)} {_LIKE_FFMPEG}"
    )
    pipeline = f"""
        filesrc location={clip.path} ! matroskademux name=source
        source.video_0 ! queue ! jpegdec ! videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 ! queue
            ! {x264} ! video/x-h264,profile=high,stream-format=avc ! tee name=pictures
        source.audio_0 ! {patient} ! audioconvert ! avenc_aac bitrate=128000 ! tee name=sound
        mp4mux name=mp4 ! filesink location={folder}/out.mp4
        flvmux name=flv streamable=true ! filesink location={folder}/out.flv
        pictures. ! {patient} ! mp4.video_0 pictures. ! {patient} ! flv.video
        sound. ! {patient} ! mp4.audio_0 sound. ! {patient} ! flv.audio
    """
    return Job("gstreamer", ("gst-launch-1.0", "-q", *pipeline.split()))


_LIKE_FFMPEG = "option-string=qpmin=0:qpmax=69"
"""Where x264enc's own defaults are not x264's."""


def liput_job(clip: Clip, folder: Path, *more: str, further: tuple[Clip, ...] = ()) -> Job:
    """Return a session of Liput over the clip, and `further` ones beside it; `more` as tests/bench/liput_job.py has."""
    form = ("--size", f"{clip.width}x{clip.height}", "--rate", str(clip.rate), "--bit-rate", str(clip.bit_rate))
    paths = [str(one.path) for one in (clip, *further)]
    command = (sys.executable, "-m", "tests.bench.liput_job", *form, *more, str(folder), *paths)
    return Job("liput", command, ("archive/**/program.mp4", "out.flv"))


def usage(job: Job, folder: Path) -> Usage:
    """Run the job to its end and return what it took; raises JobFailed with what it said where it fails."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT)
        peak_kb = _peak_kb(process.pid)
        _, status, resources = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        complaint = (folder / "log").read_text(errors="replace")[-2000:]
        raise JobFailed(f"{job.name} ended with {process.returncode}: {complaint}")
    return Usage(resources.ru_utime + resources.ru_stime, peak_kb / 1000)


def _peak_kb(pid: int) -> int:
    """Watch a process until it ends; return the most it had resident (its VmHWM: `ru_maxrss` has ours in it too)."""
    most, status = 0, Path(f"/proc/{pid}/status")
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if found := re.search(r"VmHWM:\s*(\d+) kB", status.read_text()):
            most = max(most, int(found[1]))
        time.sleep(_LOOKS_EVERY_S)
    return most


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


def check_pictures(job: Job, folder: Path, pictures: int) -> None:
    """Raise JobFailed unless each output holds so many pictures."""
    for pattern in job.outputs:
        count = picture_count(output(folder, pattern))
        if count != pictures:
            raise JobFailed(f"{job.name} wrote {count} pictures instead of {pictures} to {pattern}")


def x264_options(path: Path) -> dict[str, str]:
    """Return the settings that x264 wrote into its stream."""
    with path.open("rb") as file:
        found = re.search(rb"x264 - core .*? - options: ([^\0]*)\0", file.read(), re.DOTALL)
    if not found:
        raise JobFailed(f"{path} was not made by x264")
    return dict(pair.split("=", 1) for pair in found[1].decode().split(" ") if "=" in pair)
