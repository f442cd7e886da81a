"""The frames of a session's sources, read for a moment to measure their cost."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event

import av

from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import RealPace
from capture.source import Frame, Size, VideoFormat
from capture.sources.source_kind import SourceContext
from capture.sources.source_queue import SourceQueue
from capture.sources.source_selector import NONE, SourceSelector
from capture.sources.worker import VideoWorker
from config.errors import DeviceError, MediaError
from config.settings.schema import Profile, Settings
from devices.host.clock import NANOSECONDS, Clock

FREE_WITHIN_S = 6.0  # time in which another program may release a device, such as a preview
PICTURE_WITHIN_S = 3.0
_LOOK_S = 0.2
_QUEUE = 30


@contextmanager
def source_frames(
    words: Sequence[str], profile: Profile, settings: Settings, clock: Clock
) -> Iterator[tuple[VideoFormat, int, Iterator[av.VideoFrame]]]:
    """Yield format, number and frames of the sources; closes them at the end.

    Each frame of the first source comes with a decoded inset of every other. Raises a LiputError for a source that does
    not open, and MediaError for a file, which would end.
    """
    stop = Event()
    pace = RealPace(clock, stop)
    context = SourceContext(profile, pace, clock, stop, live=True, watcher=DetectorFactory(settings, clock))
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
        yield forms[0], len(chosen), _frames(workers, (profile.width // 4 & ~1, profile.height // 4 & ~1))


def _open(worker: VideoWorker, clock: Clock, stop: Event) -> VideoFormat:
    """Open a source; retries a busy one for a while."""
    try:
        return worker.open()
    except DeviceError as error:
        if error.why != "busy":
            raise
    until_ns = clock.now_ns() + round(FREE_WITHIN_S * NANOSECONDS)
    while worker.form is None and clock.now_ns() < until_ns and not stop.is_set():
        worker.read(_LOOK_S)
    if worker.form is None:
        outage = worker.outage
        raise DeviceError(outage.reason if outage else worker.name, hint=outage.hint if outage else "", why="busy")
    return worker.form


def _frames(workers: Sequence[VideoWorker], inset: Size) -> Iterator[av.VideoFrame]:
    main, *others = workers
    while True:
        frame = main.queue.get(PICTURE_WITHIN_S)
        if frame is None:
            raise DeviceError(f"{main.name} gives no picture", hint="check its cable and that it is switched on")
        for other in others:
            newest = other.queue.newest(lambda _frame: True)
            if newest is not None:
                _try_decode(other, newest, inset)
        picture = _try_decode(main, frame, None)
        if picture is not None:
            yield picture


def _try_decode(worker: VideoWorker, frame: Frame, within: Size | None) -> av.VideoFrame | None:
    try:
        return worker.decode(frame, within)
    except MediaError:
        return None  # a session skips damaged frames, too
