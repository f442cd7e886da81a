"""What the ffmpeg command makes of a file: the judge that is not ours."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

KINDS = {"video": "v", "audio": "a"}
"""What ffprobe calls a stream, and how one is chosen."""


@dataclass(frozen=True)
class Decoded:
    """What ffmpeg decoded of one stream: frames (or AAC frames), when the first is shown and the last ends, seconds."""

    frames: int
    start_s: float
    end_s: float


def run(*command: str | Path) -> str:
    """Run a command, fail with what it said, return its standard output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


def decodes_cleanly(path: Path) -> None:
    """Fail unless ffmpeg decodes every stream of the file without a word of complaint."""
    # In the file's own units of time: in those of a nominal rate, two pictures of an uneven camera may be at one.
    words = ["-map", "0", "-enc_time_base", "demux", "-f", "null", "-"]
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{path}: {done.stderr[-2000:]}"


def decoded(path: Path, kind: str) -> Decoded:
    """Decode the first stream of `kind` ("v" or "a") and return what came out; damaged ends count as not there."""
    frames = _frames_of(path, kind)
    starts = sorted(start_s for start_s, _ in frames)
    # ffprobe does not know every duration; where it does not, a frame lasts as long as the one before it.
    step = starts[-1] - starts[-2] if len(starts) > 1 else 0.0
    durations = {start_s: step if lasts_s is None else lasts_s for start_s, lasts_s in frames}
    if not starts:
        return Decoded(0, 0.0, 0.0)
    return Decoded(len(starts), starts[0], starts[-1] + durations[starts[-1]])


def _frames_of(path: Path, kind: str) -> Sequence[tuple[float, float | None]]:
    found = path.stat()
    return _frames(path, (found.st_ino, found.st_size, found.st_mtime_ns)).get(kind, ())


@lru_cache(maxsize=16)
def _frames(path: Path, _stamp: tuple[int, int, int]) -> Mapping[str, Sequence[tuple[float, float | None]]]:
    """Return when each frame of the first stream of each kind is shown and how long, as ffprobe decodes them all.

    Once for a file that is as it was: to start ffprobe, with 200 libraries, takes longer than a short recording does.
    """
    listing = run(
        "ffprobe", "-v", "quiet", "-show_frames",
        "-show_entries", "frame=media_type,stream_index,pts_time,duration_time", "-of", "json", path,
    )  # fmt: skip
    frames = [frame for frame in json.loads(listing)["frames"] if frame.get("media_type") in KINDS]
    first: dict[str, int] = {}
    for frame in frames:
        kind = KINDS[frame["media_type"]]
        first[kind] = min(first.get(kind, frame["stream_index"]), frame["stream_index"])
    return {
        kind: [
            (float(frame["pts_time"]), float(frame["duration_time"]) if "duration_time" in frame else None)
            for frame in frames
            if frame["stream_index"] == index and "pts_time" in frame
        ]
        for kind, index in first.items()
    }


def duration_s(path: Path, kind: str) -> float:
    """Return how long the first stream of `kind` is, as the file says."""
    stream = f"{kind}:0"
    return float(
        run(
            "ffprobe",
            "-v",
            "quiet",
            "-select_streams",
            stream,
            "-show_entries",
            "stream=duration",
            "-of",
            "csv=p=0",
            path,
        )
    )


def shown(path: Path, kind: str) -> list[float]:
    """Return when each frame of the first stream of `kind` is shown, in order, as ffprobe decodes it."""
    return sorted(start_s for start_s, _ in _frames_of(path, kind))


def luma(path: Path, width: int, height: int) -> bytes:
    """Return every picture's luma plane, one behind the other, as ffmpeg decodes them."""
    return b"".join(lumas(path, width, height))


def lumas(path: Path, width: int, height: int) -> Iterator[bytes]:
    """Yield every picture's luma plane, one at a time: those of a long film would fill the memory."""
    words = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", f"scale={width}:{height}:flags=area,format=gray"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), *words, "-f", "rawvideo", "-"],
            stdout=subprocess.PIPE, stderr=said,
        ) as ffmpeg,
    ):  # fmt: skip
        assert ffmpeg.stdout
        while plane := ffmpeg.stdout.read(width * height):
            yield plane
        assert ffmpeg.wait() == 0, _tail(said)


def _tail(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode()[-2000:]
