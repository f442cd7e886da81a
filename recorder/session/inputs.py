"""Opens, reads and closes the sources of one session."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from capture.source import ColorMatrix, Frame, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.sources.source_queue import LIVE_QUEUE_S, SourceQueue
from capture.sources.worker import AudioWorker, LocatedDevice, SourceEvents, SourceOutage, SourceWorker, VideoWorker
from config.errors import DeviceError, LiputError, MediaError
from config.events import Emit
from devices.host.clock import NANOSECONDS, Clock
from devices.host.priority import raise_thread_priority
from recorder.program.mixer import SoundInput
from recorder.recording.iso import IsoRecording, PartDirectoryLookup, unique_file_names
from recorder.session.plan import SessionPlan

OPEN_S = 20.0  # a sound server may have to start, and the kernel gives up on a camera after 5 s
FIRST_PICTURE_S = 10.0  # a USB camera needs up to 5 s to report a failed stream
MISSED_S = 3.0
GRACE_S = 1.0  # wait for sources that may be missing: after the first frame. Without one, MISSED_S
FAST_QUEUE = 8
AUDIO_QUEUE = 256
STOPPED = "stopped before the first picture came; nothing was recorded"
PLUG_AGAIN = "unplug it and plug it in again"
WATCH_S = 0.002  # poll interval while sources open; a start waits for them


class _Reporter(SourceEvents):
    """Reports the events of one source; `failure` is its last error."""

    def __init__(self, name: str, clock: Clock, emit: Emit) -> None:
        self.failure: LiputError | None = None
        self._name = name
        self._clock = clock
        self._emit = emit

    def lost(self, outage: SourceOutage) -> None:
        self._emit("source-lost", self._name, outage.reason, hint=outage.hint, clock_ns=outage.since_ns)

    def found(self, outage: SourceOutage, located: LocatedDevice) -> None:
        device = located.device
        where = f" in port {device.port}" if device.port else ""
        doubt = "" if located.is_certain else "; it has no serial number, so it may be another of its make"
        away_s = (self._clock.now_ns() - outage.since_ns) / NANOSECONDS
        self._emit(
            "source-found",
            self._name,
            f"{self._name} is back{where}{doubt}",
            device=device.id,
            port=device.port,
            moved_from=located.moved_from,
            away_s=round(away_s, 3),
        )

    def hung(self, closings: int) -> None:
        self._emit(
            "source-hung",
            self._name,
            f"{self._name} does not close: closing it is left to the kernel ({closings} so far)",
            count=closings,
            hint=PLUG_AGAIN,
        )

    def failed(self, error: LiputError) -> None:
        self.failure = error
        kind = "file-broken" if isinstance(error, MediaError) else "source-lost"
        self._emit(kind, self._name, error.message, hint=error.hint)


type FirstFrame = tuple[int, Frame]  # a frame with the index of its input


class SessionInputs:
    """Owns the sources and their workers; for the session's thread."""

    def __init__(self, plan: SessionPlan, *, clock: Clock, emit: Emit) -> None:
        self.pictures: list[tuple[ChosenSource[VideoSource], VideoFormat, VideoWorker]] = []
        """Each video source with its (wanted) format and worker."""
        self.sounds: list[tuple[SoundInput, AudioWorker]] = []
        self.late: set[str] = set()  # names of video sources without a frame when the session begins
        self.late_sounds: set[str] = set()  # names of audio sources not open when the session begins
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._began_ns = 0
        self._started = threading.Event()
        self._reporters: dict[str, _Reporter] = {}
        self._videos: list[VideoWorker] = []
        self._isos: list[IsoRecording] = []
        # Cameras, sticks and screens use BT.601; another matrix costs a conversion.
        self._wanted_format = VideoFormat(plan.profile.width, plan.profile.height, plan.profile.fps, ColorMatrix.BT601)

    @property
    def form(self) -> VideoFormat:
        """A single source's format, else the profile's with the first one's matrix; a resumed session keeps its own."""
        if self._plan.resume and self._plan.resume.form:
            return self._plan.resume.form
        ((_, form, _), *others) = self.pictures
        is_known = form is not self._wanted_format
        return form if is_known and not others else replace(self._wanted_format, matrix=form.matrix)

    @property
    def dropped(self) -> int:
        """Dropped frames in all queues."""
        return sum(worker.queue.dropped for _, _, worker in self.pictures)

    def open(self, stack: ExitStack, stopping: threading.Event) -> None:
        """Open each source on its worker's thread, video sources in order unless one is slow.

        Blocks. Sources that may be missing are not waited for long. Raises the LiputError of any other source, and
        LiputError if `stopping` is set.
        """
        for sound in self._plan.sounds:
            listener = SourceWorker(
                sound.source,
                self._clock,
                queue=SourceQueue(AUDIO_QUEUE, waits=not self._plan.live),
                supervision=sound.supervision,
                events=self._reporter(sound.name),
            )
            self.sounds.append((sound, listener))
        self._videos = [self._video(picture) for picture in self._plan.pictures]
        for worker in self._workers:
            stack.callback(worker.close)
        for _, listener in self.sounds:
            # Its thread takes priority in this process, but only after its child has started.
            listener.start(self._started, keeps_early=True, then=raise_thread_priority)
        before: VideoWorker | None = None
        for video in self._videos:
            video.start(self._started, after=before)
            before = video
        self._wait_until_open(stopping)
        for picture, video in zip(self._plan.pictures, self._videos, strict=True):
            form = video.form or self._wanted_format
            video.queue.bound = self._queue_length(form)
            self.pictures.append((picture, form, video))

    def _video(self, picture: ChosenSource[VideoSource]) -> VideoWorker:
        video = VideoWorker(
            picture.source,
            self._clock,
            queue=SourceQueue(self._queue_length(self._wanted_format), waits=not self._plan.live),
            supervision=picture.supervision,
            events=self._reporter(picture.name),
        )
        if self._plan.isolate:
            iso, source = IsoRecording(picture.name, self._emit), picture.source
            self._isos.append(iso)
            video.listeners.append(lambda frame: iso.put(frame, source.coded))
        return video

    def _reporter(self, name: str) -> _Reporter:
        self._reporters[name] = _Reporter(name, self._clock, self._emit)
        return self._reporters[name]

    @property
    def _workers(self) -> Sequence[SourceWorker[Any, Any]]:
        return [*(worker for _, worker in self.sounds), *self._videos]

    def _queue_length(self, form: VideoFormat) -> int:
        return max(FAST_QUEUE, round(form.rate * LIVE_QUEUE_S)) if self._plan.live else FAST_QUEUE

    def _wait_until_open(self, stopping: threading.Event) -> None:
        """Wait for all sources, but only briefly if they may be missing."""
        self._began_ns = self._clock.now_ns()
        a_picture_ns: int | None = None
        while True:
            waiting = [worker for worker in self._workers if not worker.has_tried.is_set()]
            needed = [worker for worker in waiting if not worker.may_miss]
            for worker in self._workers:
                if worker.error is not None and not (worker.may_miss and isinstance(worker.error, DeviceError)):
                    raise worker.error
            if not waiting:
                return
            now_ns = self._clock.now_ns()
            if a_picture_ns is None and any(video.form for video in self._videos):
                a_picture_ns = now_ns
            if not needed:
                is_late = now_ns > self._began_ns + MISSED_S * NANOSECONDS
                if is_late or (a_picture_ns is not None and now_ns > a_picture_ns + GRACE_S * NANOSECONDS):
                    return
            elif now_ns > self._began_ns + OPEN_S * NANOSECONDS:
                raise DeviceError(f"{needed[0].name} cannot be opened: it does not answer", hint=PLUG_AGAIN)
            if self._clock.wait(stopping, WATCH_S):
                raise LiputError(STOPPED)

    def start(self) -> None:
        """Begin to queue frames and blocks."""
        self._plan.pace.begin()
        self._started.set()

    def start_isos(self, stack: ExitStack, where: PartDirectoryLookup, zero_ns: int) -> None:
        """Start an iso recording of each video source; `zero_ns` is the session-clock time of media time 0."""
        files = unique_file_names(iso.name for iso in self._isos)
        for iso in self._isos:
            stack.callback(iso.close)
            iso.begin(where, zero_ns, files[iso.name], self._plan.recording.sync_s)

    def stop(self, timeout_s: float = 1.0) -> None:
        """Stop reading; abandons a hanging source after `timeout_s` each."""
        for worker in self._workers:
            worker.stop(timeout_s)

    def first(self, stopping: threading.Event) -> FirstFrame | None:
        """Return the index and the first frame of the first source, or of any if that may be missing. Blocks.

        Returns None if the first source may be missing and no frame came; else raises the reason.
        """
        index = self._wait_for_first(stopping)
        frame = None if index is None else self.pictures[index][2].queue.get(0.0)
        if index is not None and frame is not None:
            return index, frame
        if stopping.is_set():
            raise LiputError(STOPPED)
        if self._videos[0].may_miss:
            return None
        (picture, _, video), *_ = self.pictures
        failure = self._reporters[picture.name].failure
        if video.queue.at_end:
            raise MediaError(f"{picture.name} holds no video", hint="choose a file with video in it")
        if video.queue.is_over and failure is not None:
            raise failure
        raise DeviceError(
            f"{picture.name} gives no picture", hint="check its cable and that it is switched on, then try again"
        )

    def _wait_for_first(self, stopping: threading.Event) -> int | None:
        """Return the index of the source that begins the session; note the late sources."""
        clock, may_miss = self._clock, self._videos[0].may_miss
        videos = self._videos if may_miss else self._videos[:1]
        limit_ns = clock.now_ns() + round((GRACE_S if may_miss else FIRST_PICTURE_S) * NANOSECONDS)
        if may_miss:
            limit_ns = max(limit_ns, self._began_ns + round(MISSED_S * NANOSECONDS))
        while True:
            given = {index for index, (_, _, video) in enumerate(self.pictures) if video.queue.has_items}
            awaited = next(
                (index for index, video in enumerate(videos) if not (video.error or video.queue.is_over)), None
            )
            if given and may_miss:
                limit_ns = min(limit_ns, clock.now_ns() + round(GRACE_S * NANOSECONDS))
            is_there = awaited in given
            if is_there or awaited is None or clock.now_ns() >= limit_ns or clock.wait(stopping, WATCH_S):
                break
        opening = {picture.name for picture, _, video in self.pictures if not video.has_tried.is_set()}
        silent = {picture.name for index, (picture, _, _) in enumerate(self.pictures) if index not in given}
        self.late = opening if is_there else silent
        self.late_sounds = {sound.name for sound, worker in self.sounds if not worker.has_tried.is_set()}
        if may_miss:
            return min(given, default=None)
        return 0 if 0 in given else None
