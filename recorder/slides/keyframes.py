"""The keyframes of a recording, and nothing else of it: what does not have to be read is not.

A keyframe decodes by itself. The demuxer is told to leave out everything else, so of a file of 10 GB some 5 % are read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from recorder.archive.media import OPEN_SAFELY

_HALF_A_TICK_S = 0.0005
"""Times of files are rounded down when they are looked for."""


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A picture, and its media time in its file, in seconds."""

    at_s: float
    picture: av.VideoFrame


def keyframes(
    path: Path, step_s: float, start_s: float = 0.0, end_s: float | None = None, *, rough: bool = False
) -> Iterator[Keyframe]:
    """Give the keyframe at or before each `step_s` seconds of the file's first track of pictures, each once.

    What does not decode is left out; a file that cannot be opened gives none. Pictures that are `rough` lack the last
    filter of H.264, which saves a tenth of the work: good enough to compare them, not to look at.
    """
    try:
        with _opened(path, rough=rough) as track:
            end_s = track.length_s if end_s is None else end_s
            last_s, wanted_s = -1.0, start_s
            while wanted_s < end_s:
                found = track.at(wanted_s)
                if found is not None and found.at_s > last_s:
                    last_s = found.at_s
                    yield found
                wanted_s += step_s
    except (av.error.FFmpegError, ValueError):
        return


def pictures_at(path: Path, times: Iterable[float]) -> Iterator[av.VideoFrame | None]:
    """Give the picture of the keyframe at, or just before, each of `times`; None where it does not decode.

    Opens the file once: the index of hours takes 0.1 s to read. One that cannot be opened gives none.
    """
    try:
        with _opened(path) as track:
            for at_s in times:
                found = track.at(at_s + _HALF_A_TICK_S)
                yield found.picture if found else None
    except (av.error.FFmpegError, ValueError):
        return


@contextmanager
def _opened(path: Path, *, rough: bool = False) -> Iterator["_Track"]:
    """Give the first track of pictures of a file; raises FFmpegError, or ValueError where there is none."""
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures")
        yield _Track(container, container.streams.video[0], rough=rough)


class _Track:
    """A track of pictures of which keyframes are decoded, one by one."""

    def __init__(self, container: InputContainer, stream: VideoStream, *, rough: bool) -> None:
        for other in container.streams:
            other.discard = Discard.nonkey if other is stream else Discard.all
        if rough:
            stream.codec_context.options = {"skip_loop_filter": "all"}
        stream.codec_context.thread_count = 1  # for single pictures more only cost
        self.length_s = (container.duration or 0) / av.time_base
        self._container = container
        self._stream = stream
        self._first = stream.start_time or 0

    def at(self, at_s: float) -> Keyframe | None:
        """Return the keyframe at or before `at_s`; None where there is none that decodes."""
        base, codec = self._stream.time_base, self._stream.codec_context
        try:
            self._container.seek(self._first + int(at_s / base), stream=self._stream)
            for packet in self._container.demux(self._stream):
                if packet.size and packet.is_keyframe:
                    # The end is told at once: the decoder would wait for pictures that may have to be shown before it.
                    pictures = [*packet.decode(), *codec.decode(None)]
                    codec.flush_buffers()
                    if not pictures or pictures[0].pts is None:
                        return None
                    return Keyframe(float((pictures[0].pts - self._first) * base), pictures[0])
                if packet.dts is None:
                    return None
        except av.error.FFmpegError:
            codec.flush_buffers()
        return None
