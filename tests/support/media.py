"""Recordings judged by the ffmpeg command: streams, timelines, and when their flashes and beeps play."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import IO, Protocol

import av
import msgspec
import numpy as np

from capture.source import ColorMatrix, Samples
from config.errors import LiputError
from config.settings.schema import RecordingSettings as RecordingSettings
from devices.host.clock import Clock, SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track
from recorder.package.metadata import Begun, SessionContext
from recorder.package.work_folder import BEGUN_FILE, WorkFolder
from recorder.recording.mp4_file import Mp4File
from recorder.recording.replica import Replica, ReplicaPlace
from recorder.recording.replica_opener import Templates

KINDS = {"video": "v", "audio": "a"}  # what ffprobe calls a stream, and how one is chosen


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
    command = ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
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


def chapters(path: Path) -> list[tuple[float, str]]:
    """Return where each chapter of a file begins, and its title, as ffprobe reads them."""
    listing = json.loads(run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", path))
    return [(float(each["start_time"]), each["tags"]["title"]) for each in listing["chapters"]]


def duration_s(path: Path, kind: str) -> float:
    """Return how long the first stream of `kind` is, as the file says."""
    words = ("-select_streams", f"{kind}:0", "-show_entries", "stream=duration", "-of", "csv=p=0")
    return float(run("ffprobe", "-v", "quiet", *words, path))


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


def picture_times(path: Path, offset_s: float = 0.0) -> list[float]:
    """Return when each picture of a file is shown, in seconds of the session, as ffprobe reads its packets."""
    listing = run(
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path
    )
    return sorted(float(line.strip(",")) + offset_s for line in listing.splitlines() if line.strip(","))


def offset_of(folder: Path) -> float:
    """Return the media time at which the part in a work folder begins."""
    return msgspec.json.decode((folder / BEGUN_FILE).read_bytes(), type=Begun).offset_s


def is_continuous(parts: Sequence[tuple[Path, float]], rate: float, end_s: float) -> None:
    """Fail unless the pictures of all parts, (file, offset), go from 0 to `end_s` without a gap of over two frames."""
    times = sorted(time for path, offset_s in parts for time in picture_times(path, offset_s))
    assert times, parts
    assert times[0] <= 1 / rate, times[0]
    gaps = [(before, after) for before, after in pairwise(times) if after - before > 2 / rate + 0.001]
    assert not gaps, gaps
    assert times[-1] >= end_s - 2 / rate - 0.001, (times[-1], end_s)


RATE = Fraction(30)
FAST = RecordingSettings(sync_s=0.02)


class Encodes(Protocol):
    def encode_video(self, picture: av.VideoFrame, pts: int, /) -> list[EncodedPacket]: ...

    def encode_audio(self, samples: Samples, pts: int, /) -> list[EncodedPacket]: ...


class PutsPackets(Protocol):
    def put(self, packet: EncodedPacket) -> None: ...


class OneFile(Replica):
    """A replica without a session, that is given packets as one is."""

    def __init__(
        self,
        path: Path,
        templates: Templates,
        *,
        on_failure: Callable[[LiputError], None],
        clock: Clock | None = None,
        settings: RecordingSettings = FAST,
        waits: bool = False,
        file: Mp4File | None = None,
    ) -> None:
        clock = clock or SystemClock()
        begun = Begun(uuid="uuid", title="Rapat", started_at=clock.now(), host="host", context=SessionContext())
        super().__init__(
            ReplicaPlace(Archive(path.parent, clock), WorkFolder(path.parent, begun)),
            file or Mp4File(path, templates, settings.fragment_s, made=clock.now(), is_live=not waits),
            clock=clock,
            settings=settings,
            waits=waits,
            on_failure=lambda _, error: on_failure(error),
        )
        self.path = path
        self.begin()

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet; does not wait for the disk, unless the session runs as fast as its outputs."""
        self.wait_for_room()
        super().put(packet)

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Close the file, and wait for that."""
        super().close(marks, title)
        self.wait()


def encoder() -> Encoder:
    return Encoder(VideoSettings(320, 180, RATE, ColorMatrix.BT601, 400_000, 400_000), AudioSettings(2, 64_000))


def feed(encoder: Encodes, recording: PutsPackets, first: int, count: int) -> None:
    """Feed pictures `first` to `first + count`: white in the first tenth of each second, with a beep beside it."""
    for number in range(first, first + count):
        frame = av.VideoFrame(320, 180, "yuv420p")
        level = 235 if number % 30 < 3 else 40 + number % 50
        for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        for packet in encoder.encode_video(frame, round(number / RATE / VIDEO_TIME_BASE)):
            recording.put(packet)
        samples = np.arange(number * 1600, (number + 1) * 1600)
        tone = np.where(samples % 48_000 < 4800, np.sin(samples * 2 * np.pi * 1000 / 48_000) * 12_000, 0)
        sound = np.repeat(tone.astype(np.int16)[:, None], 2, axis=1)
        for packet in encoder.encode_audio(sound, number * 1600):
            recording.put(packet)


def record(path: Path, count: int) -> OneFile:
    made = encoder()
    failures: list[LiputError] = []
    recording = OneFile(path, made.templates, on_failure=failures.append)
    feed(made, recording, 0, count)
    for track in Track:
        for packet in made.flush(track):
            recording.put(packet)
    recording.close()
    made.close()
    assert not failures
    return recording


def onsets(path: Path) -> tuple[list[float], list[float]]:
    """When the flashes and the beeps of a recording begin, in seconds, as it plays."""
    with av.open(str(path)) as container:
        flashes, lit = [], False
        for picture in container.decode(video=0):
            bright = bool(picture.to_ndarray(format="gray").mean() > 200)
            if bright and not lit and picture.time is not None:
                flashes.append(picture.time)
            lit = bright
    with av.open(str(path)) as container:
        beeps, quiet_since = [], -1.0
        for frame in container.decode(audio=0):
            assert frame.time is not None
            for index in np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1):
                at = frame.time + float(index) / 48_000
                if at - quiet_since > 0.5:
                    beeps.append(at)
                quiet_since = at
    return flashes, beeps
