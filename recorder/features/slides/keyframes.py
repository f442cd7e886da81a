"""The keyframes of a recording, and nothing else of it: the rest is not read.

A keyframe decodes by itself. The demuxer is told to leave out everything else, so of a file of 10 GB some 5 % are read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream

from recorder.package.media import OPEN_SAFELY

_HALF_A_TICK_S = 0.0005
"""Times of files are rounded down when they are looked for."""

type Keyframe = tuple[float, av.VideoFrame]
"""The media time of a picture in its file, in seconds, and the picture."""


def keyframes(
    path: Path, step_s: float, start_s: float = 0.0, end_s: float | None = None, *, rough: bool = False
) -> Iterator[Keyframe]:
    """Give the keyframe at or before each `step_s` seconds of the file's first track of pictures, each once.

    One that does not decode is left out; a file that cannot be opened gives none. Pictures that are `rough` lack the
    last filter of H.264, which saves a tenth of the work: good enough to compare them, not to look at.
    """
    try:
        with _opened(path, rough=rough) as (container, stream):
            end_s = (container.duration or 0) / av.time_base if end_s is None else end_s
            last_s, wanted_s = -1.0, start_s
            while wanted_s < end_s:
                found = _at(container, stream, wanted_s)
                if found is not None and found[0] > last_s:
                    last_s = found[0]
                    yield found
                wanted_s += step_s
    except (av.error.FFmpegError, ValueError):
        return


def pictures_at(path: Path, times: Iterable[float]) -> Iterator[av.VideoFrame | None]:
    """Give the picture of the keyframe at, or just before, each of `times`; None where it does not decode.

    Opens the file once: the index of hours takes 0.1 s to read. One that cannot be opened gives none.
    """
    try:
        with _opened(path) as (container, stream):
            for at_s in times:
                found = _at(container, stream, at_s + _HALF_A_TICK_S)
                yield found[1] if found else None
    except (av.error.FFmpegError, ValueError):
        return


@contextmanager
def _opened(path: Path, *, rough: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Give the first track of pictures of a file; raises FFmpegError, or ValueError where there is none."""
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures")
        stream = container.streams.video[0]
        for other in container.streams:
            other.discard = Discard.nonkey if other is stream else Discard.all
        if rough:
            stream.codec_context.options = {"skip_loop_filter": "all"}
        stream.codec_context.thread_count = 1  # for single pictures more only cost
        yield container, stream


def _at(container: InputContainer, stream: VideoStream, at_s: float) -> Keyframe | None:
    """Return the keyframe at or before `at_s`; None where there is none that decodes."""
    base, codec, first = stream.time_base, stream.codec_context, stream.start_time or 0
    try:
        container.seek(first + int(at_s / base), stream=stream)
        for packet in container.demux(stream):
            if packet.size and packet.is_keyframe:
                # The end is told at once: the decoder would wait for pictures that may have to be shown before it.
                pictures = [*packet.decode(), *codec.decode(None)]
                codec.flush_buffers()
                if not pictures or pictures[0].pts is None:
                    return None
                return float((pictures[0].pts - first) * base), pictures[0]
            if packet.dts is None:
                return None
    except av.error.FFmpegError:
        codec.flush_buffers()
    return None
