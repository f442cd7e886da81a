"""The pictures of the sources of a session, read and decoded as it would do that, to measure what it takes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Event

import av

from capture.choice import NONE, Chooser
from capture.chosen import Wanted
from capture.pacing import RealPace
from capture.reader import Reader
from capture.source import Frame, Size, VideoFormat, VideoSource
from capture.watch.watcher import Watcher
from config.errors import DeviceBusy, DeviceError, LiputError, MediaError
from config.schema import Settings
from devices.clock import NANOSECONDS, Clock

FREE_WITHIN_S = 6.0
"""How long others may still have a device: whoever looks at its picture at the same time lets go of it soon."""
PICTURE_WITHIN_S = 3.0
_RETRY_S = 0.2
_QUEUE = 30


@dataclass(frozen=True, slots=True)
class Given:
    """What the sources give: the first one's size and rate, how many there are, and its pictures, as they come."""

    form: VideoFormat
    count: int
    pictures: Iterator[av.VideoFrame]


@contextmanager
def given_pictures(words: Sequence[str], wanted: Wanted, settings: Settings, clock: Clock) -> Iterator[Given]:
    """Provide the pictures of what `words` mean, or of the best that is plugged in; everything is closed at the end.

    For each of the first source's pictures the newest of every other one is decoded too, as an inset. Raises a
    LiputError for what cannot be opened, and MediaError for a file: it ends, and is nothing to measure with.
    """
    stop = Event()
    pace = RealPace(clock, stop)
    watcher = Watcher(settings, clock)
    chosen = Chooser(wanted, pace, clock, stop, live=True, watcher=watcher).choose(words, [NONE]).pictures
    if any(one.ends for one in chosen):
        raise MediaError("a file is nothing to measure with")
    with ExitStack() as stack:
        stack.callback(stop.set)
        forms, readers = [], []
        for one in chosen:
            stack.callback(one.source.close)
            forms.append(_open(one.source, clock, stop))
        pace.begin()
        for one in chosen:
            reader: Reader[Frame] = Reader(one.source, bound=_QUEUE, waits=False, on_lost=_lost)
            stack.callback(reader.stop)
            reader.start()
            readers.append((one.source, reader))
        yield Given(forms[0], len(chosen), _pictures(readers, (wanted.width // 4 & ~1, wanted.height // 4 & ~1)))


def _open(source: VideoSource, clock: Clock, stop: Event) -> VideoFormat:
    until_ns = clock.now_ns() + round(FREE_WITHIN_S * NANOSECONDS)
    while True:
        try:
            return source.open()
        except DeviceBusy:
            if clock.now_ns() >= until_ns:
                raise
        clock.wait(stop, _RETRY_S)


def _pictures(readers: Sequence[tuple[VideoSource, Reader[Frame]]], inset: Size) -> Iterator[av.VideoFrame]:
    (main, first), *others = readers
    while True:
        frame = first.get(PICTURE_WITHIN_S)
        if frame is None:
            raise DeviceError(f"{main.name} gives no picture", hint="check its cable and that it is switched on")
        for source, reader in others:
            newest = reader.newest(lambda _frame: True)
            if newest is not None:
                _decoded(source, newest, inset)
        picture = _decoded(main, frame, None)
        if picture is not None:
            yield picture


def _decoded(source: VideoSource, frame: Frame, within: Size | None) -> av.VideoFrame | None:
    try:
        return source.decode(frame, within)
    except MediaError:
        return None  # a damaged picture, which a session leaves out too


def _lost(_error: LiputError) -> None:
    """Say nothing: whoever waits for its pictures notices."""
