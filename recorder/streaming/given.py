"""The pictures of the sources of a session, read and decoded as it would do that, to measure what it takes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from threading import Event

import av

from capture.choice import NONE, SourceSelector
from capture.chosen import SourceRequirements
from capture.pacing import RealPace
from capture.source import Frame, Size, VideoFormat
from capture.source_kind import SourceContext
from capture.source_queue import SourceQueue
from capture.watch.watcher import Watcher
from capture.worker import VideoWorker
from config.errors import DeviceBusy, DeviceError, MediaError
from config.schema import Settings
from devices.clock import NANOSECONDS, Clock

FREE_WITHIN_S = 6.0
"""How long others may still have a device: whoever looks at its picture at the same time lets go of it soon."""
PICTURE_WITHIN_S = 3.0
_LOOK_S = 0.2
_QUEUE = 30


@dataclass(frozen=True, slots=True)
class Given:
    """What the sources give: the first one's size and rate, how many there are, and its pictures, as they come."""

    form: VideoFormat
    count: int
    pictures: Iterator[av.VideoFrame]


@contextmanager
def given_pictures(
    words: Sequence[str], asked: SourceRequirements, settings: Settings, clock: Clock
) -> Iterator[Given]:
    """Provide the pictures of what `words` mean, or of the best that is plugged in; everything is closed at the end.

    For each of the first source's pictures the newest of every other one is decoded too, as an inset. Raises a
    LiputError for what cannot be opened, and MediaError for a file: it ends, and is nothing to measure with.
    """
    stop = Event()
    pace = RealPace(clock, stop)
    context = SourceContext(asked, pace, clock, stop, live=True, watcher=Watcher(settings, clock))
    chosen = SourceSelector(context).choose(words, [NONE]).pictures
    if any(one.ends for one in chosen):
        raise MediaError("a file is nothing to measure with")
    with ExitStack() as stack:
        stack.callback(stop.set)
        workers = [
            VideoWorker(one.source, clock, queue=SourceQueue(_QUEUE), supervision=one.supervision) for one in chosen
        ]
        forms = []
        for worker in workers:
            stack.callback(worker.close)
            forms.append(_open(worker, clock, stop))
        pace.begin()
        for worker in workers:
            worker.start()
        yield Given(forms[0], len(chosen), _pictures(workers, (asked.width // 4 & ~1, asked.height // 4 & ~1)))


def _open(worker: VideoWorker, clock: Clock, stop: Event) -> VideoFormat:
    """Open it; one that another has is tried again by its worker, for a while."""
    with suppress(DeviceBusy):
        return worker.open()
    until_ns = clock.now_ns() + round(FREE_WITHIN_S * NANOSECONDS)
    while worker.form is None and clock.now_ns() < until_ns and not stop.is_set():
        worker.read(_LOOK_S)
    if worker.form is None:
        raise DeviceBusy(worker.outage.reason, hint=worker.outage.hint) if worker.outage else DeviceBusy(worker.name)
    return worker.form


def _pictures(workers: Sequence[VideoWorker], inset: Size) -> Iterator[av.VideoFrame]:
    main, *others = workers
    while True:
        frame = main.queue.get(PICTURE_WITHIN_S)
        if frame is None:
            raise DeviceError(f"{main.name} gives no picture", hint="check its cable and that it is switched on")
        for other in others:
            newest = other.queue.newest(lambda _frame: True)
            if newest is not None:
                _decoded(other, newest, inset)
        picture = _decoded(main, frame, None)
        if picture is not None:
            yield picture


def _decoded(worker: VideoWorker, frame: Frame, within: Size | None) -> av.VideoFrame | None:
    try:
        return worker.decode(frame, within)
    except MediaError:
        return None  # a damaged picture, which a session leaves out too
