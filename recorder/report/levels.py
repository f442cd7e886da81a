"""How loud a recording is over its time, for a plot: samples of it, so that hours cost no more than minutes."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, log10, sqrt
from pathlib import Path

import av
import av.error
import msgspec
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from recorder.archive.media import OPEN_SAFELY
from recorder.archive.model import MediaFile
from recorder.archive.work import program_files
from recorder.slides.chapters import Advance

POINTS = 360
"""Of a plot: more than its width has pixels on paper."""
LISTENED_S = 1.0
"""How much is listened to at each point, at most."""
SILENCE_DBFS = -100.0
"""What is no louder than this is written as this."""


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """Levels of the program's first track of sound: a mean (RMS) and a peak in dBFS for every `step_s` seconds."""

    step_s: float
    rms_dbfs: tuple[float, ...] = ()
    peak_dbfs: tuple[float, ...] = ()


def read_levels(root: Path, media: Sequence[MediaFile], advance: Advance = lambda _share: None) -> Levels | None:
    """Return the levels of the program of a session, whose media are below `root`; None without sound that decodes.

    Where nothing was recorded, between two files, it is silent.
    """
    files = program_files(media) or media[:1]
    length_s = max((file.offset_s + file.duration_s for file in files), default=0.0)
    points = min(POINTS, max(1, ceil(length_s)))
    step_s = length_s / points
    measured = [(0.0, 0.0)] * points
    has_sound = False
    for file in files:
        first, end = (ceil(at_s / step_s) if step_s else 0 for at_s in (file.offset_s, file.offset_s + file.duration_s))
        times = [point * step_s - file.offset_s for point in range(first, min(end, points))]
        try:
            for place, found in enumerate(_of_file(root / file.file, times, min(step_s, LISTENED_S)), first):
                measured[place], has_sound = found, True
                advance((place + 1) / points)
        except (av.error.FFmpegError, ValueError):
            continue
    if not has_sound:
        return None
    return Levels(
        step_s=round(step_s, 3),
        rms_dbfs=tuple(_dbfs(rms) for rms, _ in measured),
        peak_dbfs=tuple(_dbfs(peak) for _, peak in measured),
    )


def _of_file(path: Path, times: Iterable[float], listen_s: float) -> Iterator[tuple[float, float]]:
    """Give RMS and peak at each of `times` of a file; raises FFmpegErrors, or ValueError for one without sound."""
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.audio:
            raise ValueError(f"{path} holds no sound")
        stream = container.streams.audio[0]
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        for at_s in times:
            yield _loudness(container, stream, at_s, listen_s)


def _loudness(container: InputContainer, stream: AudioStream, at_s: float, listen_s: float) -> tuple[float, float]:
    """Return RMS and peak, 1 being full scale, of `listen_s` seconds from `at_s` on; 0 where nothing decodes."""
    total, count, peak = 0.0, 0, 0.0
    try:
        for block in _decoded(container, stream, at_s, listen_s):
            total += float(np.square(block).sum())
            count += block.size
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
    except av.error.FFmpegError:
        stream.codec_context.flush_buffers()
    return (sqrt(total / count) if count else 0.0), peak


def _decoded(
    container: InputContainer, stream: AudioStream, at_s: float, listen_s: float
) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    base = stream.time_base
    container.seek((stream.start_time or 0) + int(at_s / base), stream=stream)
    for packet in container.demux(stream):
        for frame in packet.decode():
            if frame.time is not None and frame.time >= at_s + listen_s:
                return
            samples = frame.to_ndarray()
            scale = float(np.iinfo(str(samples.dtype)).max) if samples.dtype.kind == "i" else 1.0
            yield samples.astype(np.float64) / scale


def _dbfs(level: float) -> float:
    return round(max(SILENCE_DBFS, 20 * log10(level)), 1) if level > 0 else SILENCE_DBFS
